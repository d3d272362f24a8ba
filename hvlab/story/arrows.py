"""Marks of lanes, and the arrows from cause to effect between them, each with a number that can be read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from hvlab.story.picture import Element, group, wire, words

NEAR: Final = 14  # px: marks this close stand above each other
DIGITS: Final = 16  # px that a number of two digits takes
ABOVE, BELOW = 12, 4  # px that a small text takes over and under its baseline
PART: Final = 64  # px of the picture that are looked through together
FAR: Final = 10_000  # px: further down than any picture reaches
MARK, TEXT = 1, 8  # how bad it is to cover one


@dataclass
class Mark:
    """Steps that share a place on the axis and a lane."""

    lane: int
    row: int
    x: float
    steps: list[int]
    letter: str
    y: float = 0.0

    def count_at(self, bar: bool = False) -> tuple[float, float]:
        """Return where the number of its steps begins, seen from the mark: beside it, clear of the other row."""
        return (-1, 8) if bar else (11, (3, 9)[self.row])


class Room(NamedTuple):
    """What a text or a mark takes of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def common(self, other: "Room") -> float:
        """Return the area that two of them share."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 1 and high > 1 else 0


class Spot(NamedTuple):
    """A place for the number of an arrow: its baseline, and whether it begins or ends there."""

    x: float
    y: float
    ends: bool = False

    def room(self) -> Room:
        """Return what a number here takes."""
        left = self.x - DIGITS * self.ends
        return Room(left, self.y - ABOVE, left + DIGITS, self.y + BELOW)


class Taken:
    """What of the picture is taken: by marks and their counts for every arrow, by numbers for arrows that follow."""

    def __init__(self, marks: Sequence[Mark], bars: bool, sides: tuple[float, float]) -> None:
        self.parts: dict[int, list[tuple[Room, int, frozenset[int]]]] = defaultdict(list)
        for outside in (sides[0] - PART, sides[1]):
            self._take(Room(outside, 0, outside + PART, FAR), TEXT)
        for mark in marks:
            self._take(Room(mark.x - 10, mark.y - 8, mark.x + 10, mark.y + 8), MARK)
            if len(mark.steps) > 1:
                x, y = mark.count_at(bars)
                self._take(Spot(mark.x + x, mark.y + y).room(), TEXT)

    def _take(self, room: Room, weight: int, ends: frozenset[int] = frozenset()) -> None:
        for part in range(int(room.left // PART), int(room.right // PART) + 1):
            self.parts[part].append((room, weight, ends))

    def choose(self, spots: Sequence[Spot], ends: frozenset[int]) -> Spot:
        """Take the first spot that is free for an arrow between these marks; if none is, where least is covered."""
        spot = min(spots, key=lambda one: self._covered(one.room(), ends))
        self._take(spot.room(), TEXT, ends)
        return spot

    def _covered(self, room: Room, ends: frozenset[int]) -> float:
        near = [self.parts.get(part, []) for part in range(int(room.left // PART), int(room.right // PART) + 1)]
        found = {other: weight for part in near for other, weight, theirs in part if not theirs or theirs & ends}
        return sum(weight * room.common(other) for other, weight in found.items())


def arrows(
    edges: Sequence[tuple[int, int]], marks: Sequence[Mark], sides: tuple[float, float], bars: bool = False
) -> tuple[list[Element], list[Element]]:
    """Return arrows from cause to effect, numbered from the first cause on.

    Parameters
    ----------
    edges
        Pairs of marks by their place in `marks`; the fact ``hop0`` is the number of the first one, 0 while hidden.
    marks
        The marks, where they stand.
    sides
        Where lanes begin and end.
    bars
        Are marks drawn as bars, of which each has its count?
    """
    layer, bind, taken = [], list[Element](), Taken(marks, bars, sides)
    for at, (first, last) in enumerate(edges):
        one, other = marks[first], marks[last]
        if one.lane == other.lane and abs(one.x - other.x) < NEAR:  # they touch: the number says enough
            drawn, spots = list[Element](), _beside(one, other)
        else:
            drawn, spots = _arrow(one.x, one.y, other.x, other.y, (6, -6)[other.row])
        spot = taken.choose(spots, frozenset((first, last)))
        drawn.append(words(f"edge{at}n", spot.x, spot.y, "", "small title signal" + " end" * spot.ends))
        layer.append(group(f"edge{at}", drawn, "signal"))
        bind += [["show", f"edge{at}", f"hop{at}"], ["text", f"edge{at}n", f"hop{at}", "dec"]]
    return layer, bind


def _beside(one: Mark, other: Mark) -> list[Spot]:
    """Where the number of two marks that touch may stand: beside them and their counts."""
    right, left, y = max(one.x, other.x), min(one.x, other.x), (one.y + other.y) / 2 + 4
    near = 20 if len(one.steps) + len(other.steps) > 2 else 11
    return [Spot(right + near, y), Spot(right + near + DIGITS, y), Spot(left - 12, y, True)]


def _arrow(x: float, y: float, to_x: float, to_y: float, aside: int) -> tuple[list[Element], list[Spot]]:
    """An elbow, down or up first, then along; and where its number may stand."""
    down, along = (to_y > y) - (to_y < y), (to_x > x) - (to_x < x)
    heights = [y + (to_y - y) * share + 4 for share in (1 / 4, 1 / 2, 3 / 4)]
    right, left = (max(x, to_x), min(x, to_x)) if abs(to_x - x) < NEAR else (x, x)
    spots = [Spot(right + far, height) for far in (7, 7 + DIGITS) for height in heights]
    spots[3:3] = [Spot(left - 7, height, True) for height in heights]
    if abs(to_x - x) < NEAR:
        tip = to_y - 12 * down
        line = f"M{x:g} {y:g}V{(y + tip) / 2:g}H{to_x:g}V{tip - 4 * down:g}"
        head = f"M{to_x:g} {tip:g}l-5 {-8 * down}h10Z"
    else:
        tip, level = to_x - 9 * along, to_y + aside
        line = f"M{x:g} {y:g}V{level:g}H{tip - 4 * along:g}"
        head = f"M{tip:g} {level:g}l{-8 * along} -5v10Z"
        middles = [x + (tip - x) * share - 4 for share in (1 / 2, 1 / 3, 2 / 3)]
        spots = spots * bool(down) + [Spot(middle, level + far) for far in (-5, 15) for middle in middles]
    return [wire("", line, "edge"), ["path", "", "solid", {"d": head}, ""]], spots
