"""Bare machines that hold what other systems recorded: tables at their real addresses, registers as they were.

AC is set, so that SMAP hides nothing that one looks at.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hvlab.capture.tables import NestedTables, PageTables, Registers
from hvlab.errors import BadRequest
from hvlab.hardware.bare import Bare
from hvlab.hardware.memory import signed
from hvlab.hardware.second_level import NPT
from hvlab.wire.x64 import Cr0, Rflags


def guest(tables: PageTables, cpu: int, state_type: np.dtype[Any]) -> Bare:
    """Return a machine with a guest's page tables and nothing else; VP 0 is the recorded processor `cpu`."""
    if not 0 <= cpu < len(tables.cpus):
        raise BadRequest(f"processor {cpu}", f"processors 0 to {len(tables.cpus) - 1}")
    bare = Bare(tables.table_gpa >> np.uint64(12), state_type, phys_bits=_bits(tables.meta))
    bare.load(dict(zip(tables.table_gpa.tolist(), tables.table_data, strict=True)))
    _registers(bare, tables.cpus[cpu].registers)
    return bare


def second_level(tables: NestedTables, state_type: np.dtype[Any]) -> Bare:
    """Return a machine with a second level and its guest's own tables; VP 0 does not page: its GVAs are GPAs."""
    pages = dict(zip(tables.table_spa.tolist(), tables.table_data, strict=True))
    pages |= dict(zip(tables.l2_spa.tolist(), tables.l2_data, strict=True))
    bare = Bare(np.array(sorted(pages), np.uint64) >> np.uint64(12), state_type, phys_bits=_bits(tables.meta))
    bare.load(pages)
    bare.set(cr0=Cr0.mask("protection"), second_level=int(NPT), root=tables.ncr3, second_levels=tables.levels)
    return bare


def nested(tables: NestedTables, state_type: np.dtype[Any]) -> Bare:
    """Return the same machine with the guest's recorded registers in VP 0: both levels translate."""
    bare = second_level(tables, state_type)
    _registers(bare, tables.registers)
    return bare


def _registers(bare: Bare, r: Registers) -> None:
    if r.cr0 & Cr0.mask("paging") and r.levels < 4:
        raise BadRequest(f"{r.levels}-level paging", "the engine walks 4 and 5 levels")
    bare.set(cr0=signed(r.cr0), cr3=signed(r.cr3), cr4=signed(r.cr4), efer=signed(r.efer))
    bare.set(rflags=Rflags.mask("alignment_check"))


def _bits(meta: Mapping[str, Any]) -> int:
    bits = meta.get("phys_bits", 52)
    return bits if isinstance(bits, int) and not isinstance(bits, bool) and 36 <= bits <= 52 else 52
