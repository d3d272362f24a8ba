"""The map of the host with the glossary's cards on its boxes."""

from functools import cache

from hvlab.lab.glossary import cards
from hvlab.story.host import BOXES
from hvlab.story.system import SystemLens


@cache
def box_cards() -> dict[str, tuple[str, str, str]]:
    """Return what the glossary says of the boxes of the diagram, its source, and the lesson that explains it.

    A box without a word keeps what the diagram says of it.
    """
    known = {name.casefold(): card for card in cards() for name in card.names}
    boxes = {box.card for box in BOXES.values()}
    words = {box: known.get(box.casefold(), known.get(box.casefold().removesuffix("s"))) for box in sorted(boxes)}
    return {box: (card.short, card.source, (*card.lessons, "")[0]) for box, card in words.items() if card is not None}


def host_lens(grain: str = "event", guest: str = "windows", name: str = "") -> SystemLens:
    """Return the lens of the whole machine, its boxes with the glossary's cards.

    Parameters
    ----------
    grain
        `request`, `event` or `bit`.
    guest, name
        Which column of the map is the child (``windows``, ``linux``, ``unenlightened``), and what it is called.
    """
    return SystemLens(grain, guest, name, box_cards())
