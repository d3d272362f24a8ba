"""A bare machine: processors and memory without a hypervisor, for replaying what other systems recorded."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.errors import BadRequest
from hvlab.hardware import processor
from hvlab.hardware.memory import Memory, Words, layout
from hvlab.hardware.tlb import Geometry

LONG_MODE = {"cr0": 1 << 31 | 1 << 16 | 1, "cr4": 1 << 5, "efer": 1 << 11 | 1 << 10 | 1 << 8}
UNCACHED = Geometry(l1_ways=0, l2_ways=0, structure_ways=0, nested_ways=0)
SILENT: Words = np.zeros((0, 10), np.int64)


class Bare:
    """State and memory as the engine takes them, and one method that runs accesses.

    Parameters
    ----------
    spns : array of int64
        The page numbers behind which there is memory; all others are holes.
    state_type : dtype
        The type of the state: that of a machine with a hypervisor (`hypervisor.partition.STATE`), since the engine is
        compiled for one type.
    geometry : Geometry
        The caches; by default all are off, so that every access walks.
    """

    def __init__(
        self,
        spns: npt.ArrayLike,
        state_type: np.dtype[Any],
        geometry: Geometry = UNCACHED,
        phys_bits: int = 52,
    ) -> None:
        numbers = np.unique(np.asarray(spns, np.int64))
        pages = int(numbers[-1]) + 1 if len(numbers) else 1
        self.state = np.zeros(1, state_type)
        self.state["pages"], self.state["phys_bits"] = pages, phys_bits
        self.mem = layout(numbers, pages)
        self.memory = Memory(self.state, self.mem)
        for lp in range(processor.LPS):
            geometry.into(self.state["lp"][0, lp]["tlb"])
        for vp in range(processor.VPS):
            self.set(vp, **LONG_MODE, vpid=vp + 1, space=vp + 1, phys_bits=phys_bits, host_nxe=1, second_levels=4)

    def set(self, vp: int = 0, **registers: int) -> None:
        """Set registers of a VP, or fields of its control structure, by their names in the state."""
        record = self.state["vp"][0, vp]
        for name, value in registers.items():
            record[name] = value

    def load(self, tables: Mapping[int, npt.ArrayLike]) -> None:
        """Store whole pages of 512 words: SPA -> words."""
        for spa, words in tables.items():
            self.memory.page(spa >> 12)[:] = np.asarray(words).astype(np.uint64).view(np.int64)

    def flush(self) -> None:
        """Empty every cache, as a machine without a hypervisor can only do by all means it has."""
        for cache in ("l1", "l2", "structure", "nested"):
            for word in ("tag", "entry", "used"):
                self.state["lp"]["tlb"][cache][word] = 0

    def run(self, gva: npt.ArrayLike, access: npt.ArrayLike, vp: int = 0, trace: Words = SILENT) -> tuple[Words, Words]:
        """Translate in order; return (faults, SPAs).

        Raises
        ------
        BadRequest
            If there is no such virtual processor, or the trace might not hold what happens.
        """
        gvas = np.ascontiguousarray(np.asarray(gva).astype(np.uint64).view(np.int64))
        wants = np.broadcast_to(np.asarray(access, np.int64), gvas.shape).copy()  # a read-only one would compile anew
        fault, spa = np.zeros(len(gvas), np.int64), np.zeros(len(gvas), np.int64)
        self.state["rows"] = 0
        done = processor.run(self.state, self.mem, trace, vp, gvas, wants, fault, spa)
        if done < 0:
            raise BadRequest(f"VP {vp}", f"VPs 0 to {processor.VPS - 1}")
        if done < len(gvas):
            raise BadRequest(
                f"{len(gvas)} accesses in a trace of {len(trace)} rows",
                f"it might not hold access {done}",
                f"{processor.WORST_STEP} rows for each access, or fewer accesses",
            )
        return fault, spa
