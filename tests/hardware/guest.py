"""A guest of one page, laid out by hand, for sentences about the processor."""

from typing import NamedTuple

from hardware.rig import SECOND, Rig
from model.build import EPT_OPEN, OPEN, Builder
from model.paging import LARGE, READ, shift_of

from hvlab.hardware.bare import UNCACHED
from hvlab.hardware.processor import OUTCOMES
from hvlab.trace.journal import Trace

GVA, OTHER = 0x12_0060_5000, 0x50_0000
ABOVE = 0x4000_0000  # under a second level, what lies at an SPA has a GPA that much higher
CR0, CR4, EFER = 1 << 31 | 1, 1 << 5, 1 << 10 | 1 << 8
WP, NXE, AC = 1 << 16, 1 << 11, 1 << 18
PGE, LA57, PCIDE, SMEP, SMAP, PKE = (1 << bit for bit in (7, 12, 17, 20, 21, 22))
READS = ("second_level_entry_read", "table_entry_read")
MARKS = ("accessed_set", "dirty_set")


class End(NamedTuple):
    """How one access ended."""

    kind: str
    code: int
    spa: int
    trace: Trace

    def count(self, *names: str) -> int:
        return len(list(self.trace.of(*names)))


class Guest:
    """One page at GVA, in tables laid out by hand; nothing in them is marked yet."""

    def __init__(self, kind="none", levels=4, leaf=1, nested_leaf=1, geometry=UNCACHED) -> None:
        self.rig, builder, above = Rig(2048, geometry=geometry), Builder(0x10_0000), ABOVE if kind != "none" else 0
        tables = [builder.table() for _ in range(leaf, levels + 1)]
        inside = (1 << shift_of(leaf)) - 1
        self.data = (0x40_0000 & ~inside) + (GVA & inside)
        self.at, self.nested_at = [], []
        for level, table, target in zip(range(levels, 0, -1), tables, [*tables[1:], self.data & ~inside], strict=False):
            self.at.append(table + 8 * (GVA >> shift_of(level) & 511))
            builder.memory.write64(self.at[-1], target + above | OPEN | (LARGE if level == leaf > 1 else 0))
        root = builder.table()
        if kind != "none":
            place, size = builder.map_ept if kind == "ept" else builder.map, (1 << shift_of(nested_leaf)) - 1
            for spa in (*tables, self.data):
                flags = EPT_OPEN if kind == "ept" else OPEN
                self.nested_at.append(place(root, levels, spa + ABOVE & ~size, spa & ~size, nested_leaf, flags))
        self.memory = self.rig.memory
        self.rig.bare.load({spn << 12: words for spn, words in builder.memory.pages.items()})
        self.set(cr0=CR0 | WP, cr3=tables[0] + above, cr4=CR4 | (LA57 if levels == 5 else 0), efer=EFER | NXE)
        self.set(second_level=SECOND[kind], root=root, second_levels=levels, accessed_dirty=int(kind == "ept"))

    def set(self, vp: int = 0, **registers: int) -> None:
        self.rig.set(vp, **registers)

    def go(self, access: int = READ, gva: int = GVA, vp: int = 0) -> End:
        fault, spa, trace = self.rig.run([gva], [access], vp=vp, trace=True)
        return End(OUTCOMES[int(fault[0]) & 255], int(fault[0]) >> 8, int(spa[0]), trace)

    def ends(self, *accesses: int) -> list:
        """Return the end of each access: "ok", or the kind of fault with its code."""
        ends = [self.go(access) for access in accesses]
        return [end.kind if end.kind == "ok" else (end.kind, end.code) for end in ends]

    def put(self, at: int, on: int = 0, off: int = 0) -> None:
        """Change bits of an entry in memory."""
        self.memory.write64(at, self.memory.read64(at) & ~off | on)

    def flags(self, *where: int, of: int) -> list[int]:
        return [self.memory.read64(at) & of for at in where]
