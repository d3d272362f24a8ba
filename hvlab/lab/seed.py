"""Seeds: each learner's own worlds, the same on every Python and platform.

A seed is the first 64 bits of a SHA-256 over the item's id and version, the learner's alias and the number of the
deal. Draws come from a stream of SHA-256 over seed and counter; nothing of Python's own random numbers takes part,
since their methods may change with a version.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MASK: Final = (1 << 64) - 1
MARK: Final = b"hvlab seed 1"


def seed_of(item: str, version: int, learner: str, deal: int = 0) -> int:
    """Return the 64-bit seed of one deal of an item to a learner.

    Parameters
    ----------
    item, version
        The item's id, such as ``"05.E1"``; its version grows when its worlds change.
    learner
        An alias, never a name.
    deal
        0 for the first world; ``again(id)`` deals the next.
    """
    parts = (MARK, item.encode(), str(version).encode(), learner.encode(), str(deal).encode())
    told = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return int.from_bytes(hashlib.sha256(told).digest()[:8], "big")


class Draw:
    """A stream of numbers from one seed.

    >>> draw = Draw(7)
    >>> draw.below(512) == Draw(7).below(512)
    True
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed & MASK
        self._count = 0
        self._held: list[int] = []

    def word(self) -> int:
        """Return the next 64 bits."""
        if not self._held:
            told = self.seed.to_bytes(8, "big") + self._count.to_bytes(8, "big")
            block = hashlib.sha256(told).digest()
            self._count += 1
            self._held = [int.from_bytes(block[at : at + 8], "big") for at in (24, 16, 8, 0)]
        return self._held.pop()

    def bits(self, count: int) -> int:
        """Return a number of at most so many bits (64 at most)."""
        return self.word() >> 64 - count if count else 0

    def below(self, limit: int) -> int:
        """Return a number from 0 to limit - 1, each equally likely."""
        size = max((limit - 1).bit_length(), 1)
        while (drawn := self.bits(size)) >= limit:
            pass
        return drawn

    def between(self, low: int, high: int) -> int:
        """Return a number from low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, part: int, of: int) -> bool:
        """Return True in `part` of `of` cases."""
        return self.below(of) < part

    def pick(self, things: Sequence[T]) -> T:
        """Return one of the things."""
        return things[self.below(len(things))]

    def sample(self, things: Sequence[T], count: int) -> list[T]:
        """Return so many of the things, each at most once, in a drawn order."""
        left, found = list(things), []
        for _ in range(count):
            found.append(left.pop(self.below(len(left))))
        return found

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """Return all things in a drawn order."""
        return self.sample(things, len(things))
