"""A set-associative cache with true least-recently-used replacement: lists, and one counter as the clock."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tag:
    """What names a cached translation: page number, VPID or ASID, PCID, and whether all PCIDs may use it."""

    page: int
    vpid: int = 0
    pcid: int = 0
    is_global: bool = False


def tag_serves(tag: Tag, page: int, vpid: int, pcid: int) -> bool:
    """Tell whether an entry serves a page asked for under these tags; a global one does for every PCID of its VPID."""
    return tag.page == page and tag.vpid == vpid and (tag.is_global or tag.pcid == pcid)


@dataclass
class Way:
    """One place of a set; last_used is the time of the last hit or fill."""

    key: Any = None
    value: Any = None
    last_used: int = 0
    valid: bool = False


@dataclass
class Cache:
    """A cache of `sets` (a power of two) times `ways`; a key is found by equality, or by what `serves` says."""

    sets: int
    ways: int
    clock: int = 0
    content: list[list[Way]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.sets < 1 or self.sets & (self.sets - 1) or self.ways < 1:
            raise ValueError(f"{self.sets} sets of {self.ways} ways: sets have to be a power of two")
        self.content = [[Way() for _ in range(self.ways)] for _ in range(self.sets)]

    def index_of(self, page: int) -> int:
        """Return the set of a page number."""
        return page & (self.sets - 1)

    def find(self, set_index: int, wanted: Callable[[Any], bool]) -> Way | None:
        """Return the way of the lowest number whose key is wanted, without using it."""
        for way in self.content[set_index]:
            if way.valid and wanted(way.key):
                return way
        return None

    def lookup(self, key: Hashable, set_index: int, serves: Callable[[Any], bool] | None = None) -> Any | None:
        """Return the value and make it the most recently used; None if it is not there."""
        way = self.find(set_index, serves or (lambda held: held == key))
        if way is None:
            return None
        self.use(way)
        return way.value

    def fill(self, key: Hashable, set_index: int, value: Any) -> Any | None:
        """Put a value in, in the place of the same key if it is there; return the key that had to leave."""
        way = self.find(set_index, lambda held: held == key)
        evicted = None
        if way is None:
            way = self.content[set_index][self.victim(set_index)]
            evicted = way.key if way.valid else None
        way.key, way.value, way.valid = key, value, True
        self.use(way)
        return evicted

    def victim(self, set_index: int) -> int:
        """Return the way to fill next: the first that is not valid, else the one used longest ago."""
        places = self.content[set_index]
        for number, way in enumerate(places):
            if not way.valid:
                return number
        return min(range(self.ways), key=lambda number: places[number].last_used)

    def use(self, way: Way) -> None:
        self.clock += 1
        way.last_used = self.clock

    def flush(self, goes: Callable[[Any], bool]) -> int:
        """Drop every entry whose key goes; return how many did. The others keep their order of use."""
        gone = [way for places in self.content for way in places if way.valid and goes(way.key)]
        for way in gone:
            way.key, way.value, way.valid = None, None, False
        return len(gone)

    def keys(self) -> list[Any]:
        """Return all keys, set by set and way by way."""
        return [way.key for places in self.content for way in places if way.valid]


# what each operation of a processor or hypervisor drops, as a predicate for `flush`


def everything(tag: Tag) -> bool:
    """All contexts (INVEPT and INVVPID for all contexts)."""
    return True


def one_vpid(vpid: int) -> Callable[[Tag], bool]:
    """All of one VP, global entries too (INVVPID single context; a change of CR4.PGE)."""
    return lambda tag: tag.vpid == vpid


def one_vpid_but_global(vpid: int) -> Callable[[Tag], bool]:
    """All of one VP except global entries (INVVPID type 3; INVPCID type 3)."""
    return lambda tag: tag.vpid == vpid and not tag.is_global


def one_pcid(vpid: int, pcid: int) -> Callable[[Tag], bool]:
    """One address space except global entries (MOV to CR3; INVPCID type 1)."""
    return lambda tag: tag.vpid == vpid and tag.pcid == pcid and not tag.is_global


def one_page(vpid: int, pcid: int, page: int) -> Callable[[Tag], bool]:
    """One page in one address space, also where it is global (INVLPG)."""
    return lambda tag: tag.page == page and tag.vpid == vpid and (tag.pcid == pcid or tag.is_global)


def one_page_in_all(vpid: int, page: int) -> Callable[[Tag], bool]:
    """One page in every address space of a VP (INVVPID individual address)."""
    return lambda tag: tag.page == page and tag.vpid == vpid
