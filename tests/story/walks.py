"""Small worlds to walk in: one guest page through tables of any shape, built by hand on a bare machine.

`PYTHONPATH=.:tests python -m story.walks` writes the golden texts again; read the difference before it is committed.
"""

from pathlib import Path

import numpy as np

from hvlab.capture.load import load
from hvlab.capture.samples import sample
from hvlab.hardware.bare import UNCACHED, Bare
from hvlab.hardware.tlb import Geometry
from hvlab.hypervisor.partition import STATE
from hvlab.machine import Machine
from hvlab.story.picture import alt_at
from hvlab.story.storyboard import Storyboard
from hvlab.story.walk import WalkLens
from hvlab.trace.journal import Trace

GOLDEN = Path(__file__).parent.parent / "golden"

READ, WRITE, USER, FETCH, PEEK = 0, 2, 4, 16, 512
CACHED = Geometry()
GVA = 0x7F12_3456_7ABC
KIND = {"none": 0, "EPT": 1, "nested": 2}


class World:
    """Guest tables below page 0x800, second-level tables above page 0x1000; a guest page lies `shift` pages higher."""

    def __init__(
        self,
        guest: int = 4,
        second: int = 4,
        kind: str = "EPT",
        geometry: Geometry = UNCACHED,
        ad: bool = True,
        shift: int = 0x100,
    ) -> None:
        self.guest, self.second, self.kind, self.shift = guest, second, KIND[kind], shift
        self.bare = Bare(np.arange(1, 0x2000), STATE, geometry=geometry, phys_bits=46)
        self.guest_pages, self.second_pages = iter(range(0x601, 0x700)), iter(range(0x1001, 0x1100))
        self.top, self.root = next(self.guest_pages), next(self.second_pages)
        self.tables = [self.top]
        self.bare.set(
            cr3=self.top << 12, cr4=1 << 5 | (guest == 5) << 12, root=self.root << 12, second_levels=second,
            second_level=self.kind, accessed_dirty=ad,
        )  # fmt: skip

    def host(self, gpn: int) -> int:
        """Where a guest page lies."""
        return gpn + self.shift if self.kind else gpn

    def entry(self, spn: int, index: int, value: int | None = None) -> int:
        page = self.bare.memory.page(spn)
        if value is not None:
            page[index] = np.uint64(value).astype(np.int64)
        return int(page[index]) & (1 << 64) - 1

    def below(self, gpn: int, flags: int | None = None, size: int = 0, spn: int | None = None) -> None:
        """Map a guest page in the second level; `size` 1 is a 2-MiB leaf, 2 a 1-GiB leaf."""
        flags = flags if flags is not None else 0x37 if self.kind == 1 else 7
        table = self.root
        for level in range(self.second, 1 + size, -1):
            index = gpn >> 9 * (level - 1) & 511
            if not self.entry(table, index):
                self.entry(table, index, next(self.second_pages) << 12 | 7)
            table = self.entry(table, index) >> 12 & (1 << 40) - 1
        leaf = (self.host(gpn) if spn is None else spn) & -(1 << 9 * size)
        self.entry(table, gpn >> 9 * size & 511, leaf << 12 | flags | (0x80 if size else 0))

    def map(self, gva: int, gpn: int, flags: int = 0x67, size: int = 0) -> None:
        """Map a guest virtual page in the guest's tables."""
        gvn, table = gva >> 12, self.top
        for level in range(self.guest, 1 + size, -1):
            index = gvn >> 9 * (level - 1) & 511
            if not self.entry(self.host(table), index):
                self.tables.append(next(self.guest_pages))
                self.entry(self.host(table), index, self.tables[-1] << 12 | 0x27)
            table = self.entry(self.host(table), index) >> 12 & (1 << 40) - 1
        self.entry(self.host(table), gvn >> 9 * size & 511, gpn << 12 | flags | (0x80 if size else 0))

    def ready(self, size: int = 0) -> "World":
        """Map the guest's own tables in the second level."""
        for gpn in self.tables:
            self.below(gpn, size=size)
        return self

    def go(self, *accesses: tuple[int, int]) -> Trace:
        """Run accesses (GVA, flags) and return their trace."""
        rows = np.zeros((4096, 10), np.int64)
        self.bare.run([gva for gva, _ in accesses], [flags for _, flags in accesses], trace=rows)
        return Trace(rows[: int(self.bare.state["rows"][0])])


def plain(guest: int = 4, second: int = 4, kind: str = "EPT", **more) -> World:
    """One page, 4 KiB in both stages."""
    world = World(guest, second, kind, **more)
    world.map(GVA, 0x321)
    world.ready()
    if world.kind:
        world.below(0x321, spn=0x777)
    return world


def sized(guest_size: int, second_size: int, guest: int = 4, second: int = 4) -> World:
    """One page of the given size in each stage: 0 is 4 KiB, 1 is 2 MiB, 2 is 1 GiB."""
    world = World(guest, second, shift=(0x100, 0x800, 0)[second_size])
    gpn = 0x321 & -(1 << 9 * guest_size)
    world.map(GVA, gpn, size=guest_size)
    world.ready(second_size)
    world.below(gpn | GVA >> 12 & (1 << 9 * guest_size) - 1, size=second_size)
    return world


def unmapped(kind: str = "EPT") -> World:
    """The guest maps a page that the second level does not have."""
    world = World(kind=kind)
    world.map(GVA, 0x321)
    return world.ready()


def alt(story: Storyboard, k: int) -> str:
    """The square in words."""
    return alt_at(story.scene["pictures"][0], story.state_at(k), story.kinds_of_facts, story.enums)


def told(story: Storyboard) -> str:
    """A story as the golden texts hold it: a row of the table twin, and under it the picture in words."""
    rows = story.table().splitlines()[1:]
    return "".join(f"{row}\n    {alt(story, k)}\n" for k, row in enumerate(rows))


def kvm() -> Machine:
    """The second level that KVM built for a small guest, and that guest's own tables."""
    return Machine.from_nested(load(sample("npt_4lvl")))


GOLDENS = {
    "walk-kvm": lambda: WalkLens().story(kvm().translate(0, 0x4028_F1A9).trace),
    "walk-4x4": lambda: WalkLens().story(plain().go((GVA, USER))),
    "walk-4x4-bits": lambda: WalkLens("bit").story(plain().go((GVA, USER))),
    "walk-5x5-nested": lambda: WalkLens().story(plain(5, 5, "nested").go((GVA, USER))),
    "walk-cached": lambda: WalkLens().story(plain(geometry=CACHED).go((GVA, USER), (GVA, USER | WRITE), (GVA, USER))),
    "walk-ept-violation": lambda: WalkLens().story(unmapped().go((GVA, USER | WRITE))),
    "walk-nested-fault": lambda: WalkLens().story(unmapped("nested").go((GVA, USER | WRITE))),
}

if __name__ == "__main__":
    for name, make in GOLDENS.items():
        (GOLDEN / f"{name}.txt").write_text(told(make()), encoding="utf-8", newline="\n")
