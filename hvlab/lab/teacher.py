"""What a teacher may see: the solution of any world, and each wrong idea as a run of its own.

``HVLAB_MODE=teach`` opens it. The mode is no secret: whoever can set it can read the source. Checks in a learner's own
kernel are feedback; marks are made elsewhere, from answers.
"""

from hvlab.errors import BadRequest, plain
from hvlab.lab.deal import hand
from hvlab.lab.exercise import Construct, Wrong
from hvlab.lab.hint import steps
from hvlab.language import _
from hvlab.story.gate import mode
from hvlab.story.storyboard import Storyboard


def solution(id: str, learner: str | None = None, deal: int | None = None) -> str:
    """Return the solution of an item as dealt to a learner.

    Raises
    ------
    BadRequest
        Outside of `teach` mode, or for an unknown id or alias.
    """
    need_teacher(f"the solution of {plain(id, 40)}", f"hint({plain(id, 40)!r}, 4)")
    held = hand(id, learner, deal)
    head = _("{id} of {learner}, seed {seed}:").format(id=id, learner=held.learner, seed=held.seed_text)
    return "\n".join([head, *steps(held)])


def wrong_run(id: str, model: str, learner: str | None = None) -> tuple[Storyboard, Storyboard]:
    """Return the machine's own story and that of a wrong model in the same world, to be shown side by side.

    Raises
    ------
    BadRequest
        Outside of `teach` mode; for an unknown model, with those that have a run of their own.
    """
    need_teacher(f"the run of {plain(model, 40)}", f"hint({plain(id, 40)!r}, 3)")
    held = hand(id, learner)
    item = held.item
    known: dict[str, Wrong] = {one.name: one for one in item.wrong if one.story}
    if model not in known or item.story is None:
        raise BadRequest(f"a run of the model {plain(model, 40)!r}", "", ", ".join(known) or "none has one here")
    world = held.case(0) if isinstance(item, Construct) else held.world
    its = known[model].story
    assert its is not None
    return item.story(world), its(world)


def need_teacher(what: str, instead: str) -> None:
    """Refuse what only a teacher may see."""
    if mode() != "teach":
        raise BadRequest(what, f"{mode()} mode", f"{instead}, or HVLAB_MODE=teach")
