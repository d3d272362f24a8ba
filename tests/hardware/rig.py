"""A processor and memory without any software, with its trace taken apart: what the engine's own tests use."""

import numpy as np

from hvlab.hardware.bare import UNCACHED, Bare
from hvlab.hardware.second_level import EPT, NONE, NPT
from hvlab.hardware.tlb import Geometry
from hvlab.hypervisor.partition import STATE
from hvlab.trace.journal import Trace

SECOND = {"none": int(NONE), "ept": int(EPT), "npt": int(NPT)}


class Rig:
    """A bare machine of `pages` pages (page 0 included on request) whose runs can be told."""

    def __init__(self, pages: int = 4096, first: int = 1, geometry: Geometry = UNCACHED) -> None:
        self.bare = Bare(np.arange(first, pages), STATE, geometry=geometry, phys_bits=46)
        self.state, self.mem, self.memory, self.set = self.bare.state, self.bare.mem, self.bare.memory, self.bare.set
        self.rows = np.zeros((4096, 10), np.int64)

    def run(self, gva, access, vp=0, trace=False):
        """Translate in order; return (faults, SPAs, Trace)."""
        fault, spa = self.bare.run(np.array(gva, np.uint64), access, vp, self.rows if trace else self.rows[:0])
        return fault, spa, Trace(self.rows[: int(self.state["rows"][0])])
