"""Worked runs that fade: all of it, then with one blank, then with two; after that the exercise has none filled in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hvlab.errors import BadRequest, plain
from hvlab.lab.answer import shown, whole
from hvlab.lab.deal import Dealt, hand
from hvlab.lab.exercise import Exercise
from hvlab.lab.hint import steps
from hvlab.language import _

NUMBER: Final = re.compile(r"0x[0-9a-f_]+")
MOST_BLANKS: Final = 4


@dataclass(frozen=True)
class Worked:
    """A worked run of a world that nobody is asked about.

    Attributes
    ----------
    lines : tuple of str
        Its steps, some numbers left blank.
    said : tuple of str
        What the lab says to the numbers that were filled in.
    """

    task: str
    lines: tuple[str, ...]
    said: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join([self.task, *self.lines, *self.said])


def worked(id: str, blanks: int = 0, fill: Sequence[Any] = ()) -> Worked:
    """Show a worked run of another world, with so many numbers left blank.

    Parameters
    ----------
    id
        Such as ``"05.E1"``.
    blanks
        0 to 4; another number of blanks is another world.
    fill
        Your numbers, in the order of the blanks.

    Raises
    ------
    BadRequest
        For an unknown id, or one whose run has no steps, or a number of blanks that is not possible.
    """
    held = hand(id)
    if not isinstance(held.item, Exercise) or held.item.steps is None:
        raise BadRequest(f"a worked run of {plain(id, 40)}", "an item without steps", f"hint({id!r}, 3)")
    if type(blanks) is not int or not 0 <= blanks <= MOST_BLANKS:
        raise BadRequest(f"{plain(blanks, 20)} blanks", "", f"0 to {MOST_BLANKS}")
    other = Dealt(held.id, held.item, f" worked {blanks}", 0)
    lines, hidden = faded(steps(other), blanks)
    asked = [_("Fill it in: worked({id}, {blanks}, […]).").format(id=repr(id), blanks=blanks)] if blanks else []
    said = [compared(k, given, right) for k, (given, right) in enumerate(zip(fill, hidden, strict=False), 1)]
    return Worked(held.item.ask(other.world), tuple(lines), tuple(said or asked))


def faded(lines: Sequence[str], blanks: int) -> tuple[list[str], list[int]]:
    """Return the lines with the last number of some of them left blank, spread over the run; and these numbers."""
    places = [k for k, line in enumerate(lines) if NUMBER.search(line)]
    chosen = {places[(2 * k + 1) * len(places) // (2 * blanks)] for k in range(blanks)}
    told, hidden = [], []
    for k, line in enumerate(lines):
        if k in chosen:
            last = list(NUMBER.finditer(line))[-1]
            hidden.append(int(last.group().replace("_", ""), 16))
            line = f"{line[: last.start()]}____ ({len(hidden)}){line[last.end() :]}"
        told.append(line)
    return told, hidden


def compared(k: int, given: Any, right: int) -> str:
    """Say whether a blank was filled as the machine has it."""
    if whole(given) == right:
        return _("({blank}) {given}: as in the machine.").format(blank=k, given=shown(given))
    return _("({blank}) {given}: not what the machine has there.").format(blank=k, given=shown(given))
