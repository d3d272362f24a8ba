"""A guest to walk: four-level tables over four-level EPT, shuffled 4-KiB pages, and the accesses made in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.capture import FETCH, LOAD, address_trace, sample
from hvlab.hardware.memory import Memory, layout
from hvlab.hardware.tlb import Geometry
from hvlab.hypervisor.partition import STATE
from hvlab.wire.x64 import Cr0, Cr4, Efer, EptEntry, PageTableEntry

Words = npt.NDArray[np.int64]

PAGES = 16_384
BASE = 0x7F00_0000_0000  # where the patterns' pages begin in the guest's address space
READ, WRITE, USER, FETCHES = 0, 2, 4, 16
PATTERNS = ("hot 32 pages", "hot 1k pages", "Zipf 1.2", "page stride", "random")
TRACES = ("sort", "gzip", "sqlite")
TABLE = PageTableEntry.encode(present=1, writable=1, user=1)
LEAF = EptEntry.encode(read=1, write=1, execute=1, memory_type=6)
LINK = EptEntry.encode(read=1, write=1, execute=1)


@dataclass
class World:
    """A machine ready to run, and the accesses to make on its VP 0."""

    name: str
    state: npt.NDArray[Any]
    mem: Words
    gva: Words
    access: Words

    def copy(self) -> tuple[npt.NDArray[Any], Words, Words, Words]:
        """Return state, memory and room for the answers: what one side of a comparison works on."""
        return self.state.copy(), self.mem.copy(), np.zeros_like(self.gva), np.zeros_like(self.gva)


class Tables:
    """Page tables under construction: one radix tree, whose tables are taken from the front of a list of pages."""

    def __init__(self, memory: Memory, place: dict[int, int], free: list[int], link: int) -> None:
        self.memory, self.place, self.free, self.link = memory, place, free, link
        self.root = self._new()

    def _new(self) -> int:
        return self.free.pop(0)

    def map(self, page: int, entry: int) -> None:
        """Let a page number lead to a leaf entry."""
        table = self.root
        for level in (3, 2, 1):
            words = self.memory.page(self.place.get(table, table))
            index = page >> 9 * level & 511
            if words[index] == 0:
                words[index] = self._new() << 12 | self.link
            table = int(words[index]) >> 12 & 0xFF_FFFF_FFFF
        self.memory.page(self.place.get(table, table))[page & 511] = entry


def world(name: str, gva: Words, access: Words, seed: int = 1) -> World:
    """Build a guest in which the pages of all these addresses exist, in shuffled places, and grant every access.

    Guest page numbers: the guest's tables first, then its data. System page numbers: the second level's tables first,
    then the guest's memory, shuffled. Only tables need words behind them: a translation does not read the data.
    """
    random = np.random.default_rng(seed)
    gvns = np.unique(gva >> 12)
    most = 16 + 2 * len(gvns) // 512 + 3 * len(np.unique(gvns >> 9)) + 3  # an upper bound for the guest's tables
    guest = most + len(gvns)
    own = 16 + guest // 512 + 3
    spns = own + random.permutation(guest)
    gpns = most + random.permutation(len(gvns))
    pages = own + guest
    mem = layout(np.concatenate([np.arange(1, own), spns[:most]]), pages)
    state = np.zeros(1, STATE)
    state["pages"], state["phys_bits"], state["cost"]["table_read"] = pages, 46, 5
    memory = Memory(state, mem)
    second = Tables(memory, {}, list(range(1, own)), LINK)
    for gpn, spn in enumerate(spns.tolist()):
        second.map(gpn, spn << 12 | LEAF)
    first = Tables(memory, dict(enumerate(spns[:most].tolist())), list(range(1, most)), TABLE)
    for gvn, gpn in zip(gvns.tolist(), gpns.tolist(), strict=True):
        first.map(gvn, gpn << 12 | TABLE)
    registers(state, cr3=first.root << 12, root=second.root << 12)
    return World(name, state, mem, np.ascontiguousarray(gva), np.ascontiguousarray(access))


def registers(state: npt.NDArray[Any], cr3: int, root: int = 0, geometry: Geometry | None = None) -> None:
    """Set VP 0 to four-level paging, over four-level EPT with A and D bits if there is a root of it."""
    values = {
        "cr0": Cr0.encode(protection=1, write_protect=1, paging=1),
        "cr3": cr3,
        "cr4": Cr4.encode(pae=1, page_global=1),
        "efer": Efer.encode(long_mode_enable=1, long_mode_active=1, no_execute=1),
        "vpid": 1,
        "phys_bits": 46,
        **({"second_level": 1, "root": root, "second_levels": 4, "space": 1, "accessed_dirty": 1} if root else {}),
    }
    for name, value in values.items():
        state["vp"][0, 0][name] = value
    for lp in state["lp"][0]:
        (geometry or Geometry()).into(lp["tlb"])


def pattern(name: str, count: int, seed: int = 1) -> World:
    """Return a world with one of the five synthetic patterns: user accesses, a third of them writes."""
    random = np.random.default_rng(seed)
    if name == "Zipf 1.2":
        weight = 1 / np.arange(1, PAGES + 1) ** 1.2
        ranks = np.searchsorted(np.cumsum(weight / weight.sum()), random.random(count))
        page = random.permutation(PAGES)[np.minimum(ranks, PAGES - 1)]
    elif name == "page stride":
        page = np.arange(count) % PAGES
    else:
        page = random.integers(0, {"hot 32 pages": 32, "hot 1k pages": 1024, "random": PAGES}[name], count)
    gva = BASE + (page << 12) + random.integers(0, 512, count) * 8
    access = USER | np.where(random.random(count) < 1 / 3, WRITE, READ)
    return world(name, gva.astype(np.int64), access.astype(np.int64), seed)


def real_trace(name: str, count: int) -> World:
    """Return a world with the first accesses of a real program; a modify is a write."""
    trace = address_trace(sample(name))
    kind = trace.kind[:count]
    access = USER | np.where(kind == FETCH, FETCHES, np.where(kind == LOAD, READ, WRITE))
    return world(name, trace.gva[:count].astype(np.int64), access.astype(np.int64))
