"""Which world is whose: the item, the learner and the number of the deal give the seed, the seed gives the world."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hvlab.lab import items, predict, progress, recall
from hvlab.lab.exercise import Construct, Exercise, Item
from hvlab.lab.seed import seed_of
from hvlab.language import _
from hvlab.story.gate import mode

_kept: dict[int, Any] = {}
MOST_KEPT = 64


@dataclass(frozen=True)
class Dealt:
    """One item in the hands of one learner."""

    id: str
    item: Item
    learner: str
    number: int

    @property
    def seed(self) -> int:
        return seed_of(self.id, self.item.version, self.learner, self.number)

    @property
    def seed_text(self) -> str:
        return f"{self.seed:016x}"

    def other(self) -> "Dealt":
        """Return another learner's hand, which nobody holds: for worked runs."""
        return Dealt(self.id, self.item, " worked", self.number)

    @property
    def world(self) -> Any:
        """The world of an exercise; made once."""
        assert isinstance(self.item, Exercise)
        return kept(self.seed, lambda: self.item.deal(self.seed))  # type: ignore[union-attr]

    def case(self, k: int) -> Any:
        """Hidden case k of a construction."""
        assert isinstance(self.item, Construct)
        return self.item.case(self.seed, k)


def kept(key: int, make: Callable[[], Any]) -> Any:
    """Return a world, made when it is first asked for; only some of the last ones are kept."""
    if key not in _kept:
        if len(_kept) >= MOST_KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = make()
    return _kept[key]


def hand(id: str, learner: str | None = None, number: int | None = None) -> Dealt:
    """Return an item as it is dealt to a learner now; without more, to the learner of this folder.

    Raises
    ------
    BadRequest
        For an unknown id, with the nearest three.
    """
    who = progress.learner() if learner is None else progress.alias(learner)
    item = recall.short_of(id, who) or items.find_exercise(id)
    return Dealt(id, item, who, deals(id, who) if number is None else number)


def deals(id: str, learner: str) -> int:
    """Return the number of the deal that a learner holds of an item."""
    rows = progress.BOOK.reading().rows
    return sum(row.kind == "again" and row.item == id and row.learner == learner for row in rows)


def next_deal(id: str) -> Dealt:
    """Deal the next world of an item to the learner of this folder."""
    progress.note(id, "again")
    return hand(id)


def again(id: str) -> Any:
    """Ask once more: of a prediction the first answer is forgotten, of an exercise a new world is dealt."""
    if id in items.every():
        return predict.again(id)
    held = next_deal(id)
    print(_("{id}: a new world is dealt, number {number}.").format(id=id, number=held.number + 1))
    from hvlab.lab.check import task

    return task(id) if mode() != "test" else None
