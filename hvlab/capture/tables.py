"""Page tables as real systems built them: a guest's own tables, and a hypervisor's nested tables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hvlab.capture.gate import Array, content, fields, json_value, npz, whole_number
from hvlab.errors import BadFile

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

NOWHERE: Final = (1 << 64) - 1
ADDRESS_CAP: Final = 1 << 52
PAGE: Final = 4096
CPUS_CAP: Final = 64
SLOTS_CAP: Final = 4096

PAGE_TABLE_RULES: Final = {
    "table_gpa": Array("u8", ("tables",)),
    "table_data": Array("u8", ("tables", 512)),
    "meta_json": Array("raw", ("meta",)),
    "table_level_first_seen": Array("u1", ("tables",), optional=True),
    "tlb_gva_#": Array("u8", ("leaves_#",)),
    "tlb_gpa_#": Array("u8", ("leaves_#",)),
    "tlb_flags_#": Array("u2", ("leaves_#",)),
    "mem_start_#": Array("u8", ("ranges_#",)),
    "mem_end_#": Array("u8", ("ranges_#",)),
    "mem_urw_#": Array("u1", ("ranges_#",)),
    "probe_gva_#": Array("u8", ("probes_#",)),
    "probe_gpa_#": Array("u8", ("probes_#",)),
}
NESTED_RULES: Final = {
    "table_gpa": Array("u8", ("tables",)),
    "table_level": Array("u1", ("tables",)),
    "table_data": Array("u8", ("tables", 512)),
    "l2pt_gpa": Array("u8", ("l2_tables",)),
    "l2pt_spa": Array("u8", ("l2_tables",)),
    "l2pt_data": Array("u8", ("l2_tables", 512)),
    "vmcb": Array("u8", (512,)),
    "vmcb_spa": Array("u8", ()),
    "ncr3": Array("u8", ()),
    "levels": Array("u1", ()),
    "pagemap_l2gpa": Array("u8", ("pages",)),
    "pagemap_spa": Array("u8", ("pages",)),
    "touched_l2gva": Array("u8", ("touched",)),
    "touched_first8": Array("u8", ("first8",), optional=True),
    "slots": Array("u8", ("slots", 5)),
    "meta_json": Array("raw", ("meta",), optional=True),
}


@dataclass(frozen=True)
class Registers:
    """The control registers that decide how one virtual processor walks its tables."""

    cr0: int
    cr3: int
    cr4: int
    efer: int
    levels: int
    cpl: int
    rip: int = 0
    rsp: int = 0

    @property
    def root(self) -> int:
        """GPA of the top table: CR3 without its low twelve bits (PCID or cache bits) and without LAM bits."""
        return self.cr3 & 0x000F_FFFF_FFFF_F000


@dataclass(frozen=True, eq=False)
class Leaves:
    """Oracle: every leaf that the emulator listed. Flags are those of the leaf entry only."""

    gva: Words
    gpa: Words
    flags: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Rights:
    """Oracle: effective rights of ranges, u=4 r=2 w=1, ANDed over the levels; `end` is exclusive, may wrap to 0."""

    start: Words
    end: Words
    urw: Bytes


@dataclass(frozen=True, eq=False)
class Probes:
    """Oracle: single addresses and where they lead; `NOWHERE` means unmapped."""

    gva: Words
    gpa: Words


@dataclass(frozen=True, eq=False)
class Cpu:
    """One virtual processor of a snapshot with its three oracles, each of which may be empty."""

    registers: Registers
    leaves: Leaves
    rights: Rights
    probes: Probes


@dataclass(frozen=True, eq=False)
class PageTables:
    """A guest's page tables: `table_data[i]` are the 512 entries of the table at `table_gpa[i]`."""

    file: str
    name: str
    cpus: tuple[Cpu, ...]
    table_gpa: Words
    table_data: Words
    meta: dict[str, Any] = field(repr=False)

    @property
    def levels(self) -> int:
        """Levels of the tables (of the deepest, should the processors differ)."""
        return max(cpu.registers.levels for cpu in self.cpus)

    @property
    def ram_bytes(self) -> int:
        """Size of the guest's memory as recorded, or 0 when the file does not say."""
        size = self.meta.get("ram_bytes", 0)
        return size if isinstance(size, int) and size > 0 else 0


@dataclass(frozen=True)
class Control:
    """What an AMD virtual machine control block says about the nested guest. Source: AMD APM 2, appendix B."""

    asid: int
    exit_code: int
    np_enable: bool
    ncr3: int
    l2: Registers


@dataclass(frozen=True)
class Slot:
    """One range of guest memory that the virtual machine monitor registered."""

    index: int
    gpa: int
    size: int
    hva: int
    flags: int

    @property
    def read_only(self) -> bool:
        """The monitor asked for this range to be read-only (bit 1 of the flags is KVM's KVM_MEM_READONLY)."""
        return bool(self.flags)


@dataclass(frozen=True, eq=False)
class NestedTables:
    """A real second level: nested tables (GPA of L2 to SPA), and L2's own tables to replay the whole walk on.

    `table_spa[i]` holds `table_data[i]` and stands at `table_level[i]`; L2's own table at `l2_gpa[i]` lies at
    `l2_spa[i]` and holds `l2_data[i]`. Oracles: `pagemap_gpa` to `pagemap_spa`; `touched_gva` with `touched_first8`
    (the first eight bytes that the program read there; empty where they were not recorded).
    """

    file: str
    name: str
    levels: int
    ncr3: int
    table_spa: Words
    table_level: Bytes
    table_data: Words
    l2_gpa: Words
    l2_spa: Words
    l2_data: Words
    vmcb: Words
    vmcb_spa: int
    control: Control
    pagemap_gpa: Words
    pagemap_spa: Words
    touched_gva: Words
    touched_first8: Words
    slots: tuple[Slot, ...]
    meta: dict[str, Any] = field(repr=False)

    @property
    def registers(self) -> Registers:
        """L2's control registers, read from the control block."""
        return self.control.l2


def page_tables(path: str | os.PathLike[str]) -> PageTables:
    """Load a snapshot of a guest's page tables (members `table_gpa`, `table_data`, `meta_json` and three oracles)."""
    file = str(path)
    arrays = npz(file, content(path), PAGE_TABLE_RULES)
    meta = meta_of(file, arrays)
    listed = fields(file, "meta_json", meta, ("cpus",))["cpus"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= CPUS_CAP:
        raise BadFile(file, "meta_json.cpus", f"a {type(listed).__name__}", f"a list of 1 to {CPUS_CAP} processors")
    gpas = _tables(file, "table_gpa", arrays["table_gpa"])
    spare = [
        name for name in arrays if name.rpartition("_")[2].isdigit() and int(name.rpartition("_")[2]) >= len(listed)
    ]
    if spare:
        raise BadFile(file, f"member {spare[0]}", "a processor too many", f"processors 0 to {len(listed) - 1}")
    cpus = tuple(_cpu(file, c, registers, arrays, gpas) for c, registers in enumerate(listed))
    return PageTables(file, name_of(meta), cpus, arrays["table_gpa"], arrays["table_data"], meta)


def nested_tables(path: str | os.PathLike[str]) -> NestedTables:
    """Load a snapshot of a second level (`npt_*.npz`: nested tables, L2's tables, control block, oracles)."""
    file = str(path)
    arrays = npz(file, content(path), NESTED_RULES)
    meta = meta_of(file, arrays)
    levels, ncr3 = _root(file, arrays)
    _tables(file, "l2pt_gpa", arrays["l2pt_gpa"], at_least=0)
    for name in ("l2pt_spa", "pagemap_l2gpa", "pagemap_spa", "vmcb_spa"):
        _pages(file, name, arrays[name])
    first8 = arrays.get("touched_first8", arrays["touched_l2gva"][:0])
    if first8.size not in (0, arrays["touched_l2gva"].size):
        found, expected = f"{first8.size} values", f"none or {arrays['touched_l2gva'].size}, one for each address"
        raise BadFile(file, "member touched_first8", found, expected)
    return NestedTables(
        file=file,
        name=name_of(meta),
        levels=levels,
        ncr3=ncr3,
        table_spa=arrays["table_gpa"],
        table_level=arrays["table_level"],
        table_data=arrays["table_data"],
        l2_gpa=arrays["l2pt_gpa"],
        l2_spa=arrays["l2pt_spa"],
        l2_data=arrays["l2pt_data"],
        vmcb=arrays["vmcb"],
        vmcb_spa=int(arrays["vmcb_spa"][()]),
        control=_control(arrays["vmcb"]),
        pagemap_gpa=arrays["pagemap_l2gpa"],
        pagemap_spa=arrays["pagemap_spa"],
        touched_gva=arrays["touched_l2gva"],
        touched_first8=first8,
        slots=_slots(file, arrays["slots"]),
        meta=meta,
    )


def _root(file: str, arrays: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
    """Levels and root of nested tables: each table stands at a level that there is, and the root at the top."""
    levels = whole_number(file, "member levels", int(arrays["levels"][()]), 3, 5)
    ncr3, stands = int(arrays["ncr3"][()]), arrays["table_level"]
    spas = _tables(file, "table_gpa", arrays["table_gpa"])
    if not 1 <= int(stands.min()) <= int(stands.max()) <= levels:
        found = f"levels {int(stands.min())} to {int(stands.max())}"
        raise BadFile(file, "member table_level", found, f"levels 1 to {levels}")
    if ncr3 not in spas or int(stands[spas[ncr3]]) != levels:
        raise BadFile(file, "member ncr3", f"{ncr3:#x}", f"the address of a table of level {levels} in table_gpa")
    return levels, ncr3


def meta_of(file: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The recorder's own notes, from the member `meta_json`."""
    if "meta_json" not in arrays:
        return {}
    return fields(file, "meta_json", json_value(file, arrays["meta_json"].tobytes(), "member meta_json"), ())


def name_of(meta: Mapping[str, Any]) -> str:
    """The name that the recorder gave, if it is a short text."""
    name = meta.get("name", "")
    return name[:64] if isinstance(name, str) else ""


def _pages(file: str, member: str, values: NDArray[Any]) -> None:
    """Page addresses: aligned, and inside the 52 bits that x86-64 can address."""
    bad = np.flatnonzero((values.ravel() & np.uint64(PAGE - 1) != 0) | (values.ravel() >= np.uint64(ADDRESS_CAP)))
    if bad.size:
        found = f"{int(values.ravel()[bad[0]]):#x} at index {int(bad[0]):,}"
        raise BadFile(file, f"member {member}", found, f"multiples of {PAGE} below 2**52")


def _tables(file: str, member: str, gpas: Words, at_least: int = 1) -> dict[int, int]:
    """Where each table page lies: address to index. Each address once."""
    if len(gpas) < at_least:
        raise BadFile(file, f"member {member}", "no table", "at least one table page")
    _pages(file, member, gpas)
    places = {int(gpa): index for index, gpa in enumerate(gpas)}
    if len(places) != len(gpas):
        values, counts = np.unique(gpas, return_counts=True)
        raise BadFile(file, f"member {member}", f"{int(values[counts > 1][0]):#x} twice", "each table page once")
    return places


def _cpu(file: str, c: int, listed: Any, arrays: Mapping[str, NDArray[Any]], tables: Mapping[int, int]) -> Cpu:
    where = f"meta_json.cpus[{c}]"
    values = fields(file, where, listed, ("cr0", "cr3", "cr4", "efer", "levels", "cpl"))
    limits = {"levels": (3, 5), "cpl": (0, 3)}
    names = ("cr0", "cr3", "cr4", "efer", "levels", "cpl", "rip", "rsp")
    numbers = {
        name: whole_number(file, f"{where}.{name}", values.get(name, 0), *limits.get(name, (0, NOWHERE)))
        for name in names
    }
    registers = Registers(**numbers)
    if registers.root not in tables:
        raise BadFile(file, f"{where}.cr3", f"{registers.cr3:#x}", "the address of one of the table pages")
    oracle = _oracles(file, c, arrays)
    if (flags := oracle["tlb_flags"]).size and int(flags.max()) > 0x1FF:
        raise BadFile(file, f"member tlb_flags_{c}", f"flags {int(flags.max()):#x}", "nine bits: X G P D A C T U W")
    if (urw := oracle["mem_urw"]).size and int(urw.max()) > 7:
        raise BadFile(file, f"member mem_urw_{c}", f"rights {int(urw.max())}", "three bits: u=4 r=2 w=1")
    leads = oracle["probe_gpa"]
    if (lost := (leads >= np.uint64(ADDRESS_CAP)) & (leads != np.uint64(NOWHERE))).any():
        raise BadFile(file, f"member probe_gpa_{c}", f"{int(leads[lost][0]):#x}", "addresses below 2**52, or 2**64-1")
    return Cpu(
        registers,
        Leaves(oracle["tlb_gva"], oracle["tlb_gpa"], flags),
        Rights(oracle["mem_start"], oracle["mem_end"], urw),
        Probes(oracle["probe_gva"], leads),
    )


def _oracles(file: str, c: int, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The eight oracle arrays of one processor; an oracle may be missing as a whole, never in part."""
    oracle = {}
    for group in (("tlb_gva", "tlb_gpa", "tlb_flags"), ("mem_start", "mem_end", "mem_urw"), ("probe_gva", "probe_gpa")):
        there = [name for name in group if f"{name}_{c}" in arrays]
        if there and len(there) < len(group):
            missing = next(name for name in group if name not in there)
            raise BadFile(file, f"member {missing}_{c}", "no such member", f"it, as {there[0]}_{c} is there")
        for name in group:
            kind = PAGE_TABLE_RULES[f"{name}_#"].kind
            oracle[name] = arrays[f"{name}_{c}"] if there else np.zeros(0, kind)
    for name in ("tlb_gva", "mem_start", "mem_end"):
        if (crooked := oracle[name] & np.uint64(PAGE - 1)).any():
            found = f"{int(oracle[name][crooked != 0][0]):#x}"
            raise BadFile(file, f"member {name}_{c}", found, f"multiples of {PAGE}")
    _pages(file, f"tlb_gpa_{c}", oracle["tlb_gpa"])
    return oracle


def _control(vmcb: Words) -> Control:
    """The fields of an AMD control block that say how its guest is translated. Source: AMD APM 2, appendix B."""

    def word(offset: int) -> int:
        return int(vmcb[offset // 8])

    cr0, cr3, cr4, efer = word(0x558), word(0x550), word(0x548), word(0x4D0)
    long_mode, la57, pae = efer >> 10 & 1, cr4 >> 12 & 1, cr4 >> 5 & 1
    levels = 4 + la57 if long_mode else 2 + pae
    cpl = word(0x4C8) >> 24 & 0xFF
    l2 = Registers(cr0, cr3, cr4, efer, levels, cpl, rip=word(0x578), rsp=word(0x5D8))
    return Control(word(0x58) & 0xFFFF_FFFF, word(0x70), bool(word(0x90) & 1), word(0xB0), l2)


def _slots(file: str, rows: Words) -> tuple[Slot, ...]:
    if len(rows) > SLOTS_CAP:
        raise BadFile(file, "member slots", f"{len(rows):,} slots", f"at most {SLOTS_CAP:,}")
    for row in rows.tolist():
        _, gpa, size, _, _ = row
        if gpa % PAGE or size % PAGE or gpa + size > ADDRESS_CAP:
            found = f"{size:#x} bytes at {gpa:#x}"
            raise BadFile(file, "member slots", found, f"multiples of {PAGE} that end below 2**52")
    return tuple(Slot(*row) for row in rows.tolist())
