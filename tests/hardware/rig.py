"""A processor and memory without any software: what the engine's own tests set up by hand."""

from dataclasses import dataclass, field

import numpy as np

from hvlab.hardware import processor
from hvlab.hardware.memory import Memory, layout
from hvlab.hardware.second_level import EPT, NONE, NPT
from hvlab.hardware.tlb import Geometry
from hvlab.trace.journal import Trace

I = np.int64  # noqa: E741
UNCACHED = Geometry(l1_ways=0, l2_ways=0, structure_ways=0, nested_ways=0)
SECOND = {"none": NONE, "ept": EPT, "npt": NPT}
LONG_MODE = {"cr0": 1 << 31 | 1 << 16 | 1, "cr4": 1 << 5, "efer": 1 << 11 | 1 << 10 | 1 << 8}


@dataclass
class Rig:
    """One machine's arrays; `vp` 0 is set up as a paging guest without a second level."""

    pages: int = 4096
    spns: np.ndarray | None = None
    geometry: Geometry = UNCACHED
    vps: int = 2
    state: np.ndarray = field(init=False)
    mem: np.ndarray = field(init=False)
    trace: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.state = np.zeros(1, processor.state_type(self.vps, 1))
        self.state["pages"], self.state["phys_bits"] = self.pages, 46
        self.state["cost"]["table_read"] = 5
        spns = np.arange(1, self.pages) if self.spns is None else self.spns
        self.mem = layout(spns, self.pages)
        self.trace = np.zeros((4096, 10), I)
        self.geometry.into(self.state["lp"][0, 0]["tlb"])
        for vp in range(self.vps):
            self.set(vp, **LONG_MODE, vpid=vp + 1, space=vp + 1, phys_bits=46, host_nxe=1, second_levels=4)

    @property
    def memory(self) -> Memory:
        return Memory(self.state, self.mem)

    def set(self, vp: int = 0, **registers: int) -> None:
        for name, value in registers.items():
            self.state["vp"][0, vp][name] = value

    def run(self, gva: list[int] | np.ndarray, access: list[int] | np.ndarray, vp: int = 0, trace: bool = False):
        """Translate in order; return (faults, SPAs, Trace)."""
        gva = np.array(gva, np.uint64).astype(I) if isinstance(gva, list) else gva
        fault, spa = np.zeros(len(gva), I), np.zeros(len(gva), I)
        self.state["rows"] = 0
        rows = self.trace if trace else self.trace[:0]
        done = processor.run(self.state, self.mem, rows, vp, gva, np.asarray(access, I), fault, spa)
        assert done == len(gva)
        return fault, spa, Trace(self.trace[: int(self.state["rows"][0])])
