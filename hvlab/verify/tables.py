"""Snapshots of real tables: the engine walks them, the recorder's own answers are the oracle."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.capture.tables import NOWHERE, Cpu, NestedTables, PageTables
from hvlab.errors import BadRequest
from hvlab.hardware import recorded
from hvlab.hardware.bare import Bare
from hvlab.hardware.memory import Words, signed
from hvlab.hardware.processor import PEEK, READ, USER, WORST_STEP, WRITE
from hvlab.hypervisor.partition import STATE
from hvlab.trace import events  # noqa: F401  fills the catalogue
from hvlab.trace.event import by_name
from hvlab.verify.count import Count
from hvlab.wire.x64 import Cr0, PageTableEntry

PAGE = 4096
CHUNK = 4096
# The nine leaf flags as the emulator lists them, high bit first: X G P D A C T U W.
FLAGS = (
    "writable",
    "user",
    "write_through",
    "cache_disable",
    "accessed",
    "dirty",
    "large",
    "global_page",
    "no_execute",
)


def page_tables(snapshot: PageTables) -> Count:
    """Compare leaves with their flags, effective rights, and probes, for each processor of the snapshot."""
    count = Count()
    for number, cpu in enumerate(snapshot.cpus):
        bare = recorded.guest(snapshot, number, STATE)
        _leaves(bare, count, number, cpu)
        _rights(bare, count, number, cpu)
        _probes(bare, count, number, cpu)
    return count


def _leaves(bare: Bare, count: Count, number: int, cpu: Cpu) -> None:
    gva, gpa, flags = cpu.leaves.gva, cpu.leaves.gpa, cpu.leaves.flags
    fault, spa, entry = _with_leaf(bare, gva)
    found = sum(
        (entry >> getattr(PageTableEntry, name).lo & 1) << place for place, name in enumerate(FLAGS)
    ) + np.zeros(len(gva), np.int64)
    agree = (fault == 0) & (spa.view(np.uint64) == gpa) & (found == flags)
    count.add(
        agree,
        lambda k: (
            f"VP {number}, leaf at {int(gva[k]):#x}: expected GPA {int(gpa[k]):#x} flags {int(flags[k]):#05x}, "
            f"found {_place(fault[k], spa[k])} flags {int(found[k]):#05x}"
        ),
    )


def _with_leaf(bare: Bare, gva: npt.NDArray[np.uint64]) -> tuple[Words, Words, Words]:
    """Translate and return (fault, SPA, the leaf entry that the walk read last), from the engine's own trace."""
    fault, spa, leaf = (np.zeros(len(gva), np.int64) for _ in range(3))
    rows = np.zeros((CHUNK * 16 + WORST_STEP, 10), np.int64)
    read, begun = by_name("table_entry_read"), by_name("access_begun").number
    word = 4 + read.fields.index("entry")
    for at in range(0, len(gva), CHUNK):
        part = slice(at, at + CHUNK)
        fault[part], spa[part] = bare.run(gva[part], int(READ | PEEK), trace=rows)
        told = rows[: int(bare.state["rows"][0])]
        step = np.cumsum(told[:, 0] == begun) - 1
        entries = told[:, 0] == read.number
        leaf[at + step[entries]] = told[entries, word]  # the last one of a step stays
    return fault, spa, leaf


def _rights(bare: Bare, count: Count, number: int, cpu: Cpu) -> None:
    """Ask at the first and the last page of each range: user mode at all, and writing with CR0.WP on."""
    start, end, urw = cpu.rights.start, cpu.rights.end, cpu.rights.urw
    bare.set(cr0=signed(cpu.registers.cr0) | Cr0.mask("write_protect"))
    pages = np.stack([start, end - np.uint64(PAGE)], axis=1).ravel()
    user, _ = bare.run(pages, int(READ | USER | PEEK))
    read, _ = bare.run(pages, int(READ | PEEK))
    write, _ = bare.run(pages, int(WRITE | PEEK))
    found = (user == 0) * 4 + (read == 0) * 2 + (write == 0) * 1
    expected = np.repeat(urw, 2)
    count.add(
        found == expected,
        lambda k: (
            f"VP {number}, rights at {int(pages[k]):#x}: expected urw {int(expected[k]):03b}, found {found[k]:03b}"
        ),
    )
    bare.set(cr0=signed(cpu.registers.cr0))


def _probes(bare: Bare, count: Count, number: int, cpu: Cpu) -> None:
    gva, gpa = cpu.probes.gva, cpu.probes.gpa
    fault, spa = bare.run(gva, int(READ | PEEK))
    found = np.where(fault == 0, spa.view(np.uint64), np.uint64(NOWHERE))
    count.add(
        found == gpa,
        lambda k: f"VP {number}, probe {int(gva[k]):#x}: expected {_gpa(gpa[k])}, found {_place(fault[k], spa[k])}",
    )


def _gpa(value: Any) -> str:
    return "no page" if int(value) == NOWHERE else f"GPA {int(value):#x}"


def _place(fault: Any, spa: Any) -> str:
    return f"fault {int(fault):#x}" if fault else f"GPA {int(spa):#x}"


def nested_tables(snapshot: NestedTables) -> Count:
    """Compare with the outer kernel's own pagemap: each mapped GPA, and the whole walk of each touched address."""
    bare, count = recorded.second_level(snapshot, STATE), Count()
    fault, spa = bare.run(snapshot.pagemap_gpa, int(READ | PEEK))
    mapped = np.flatnonzero(fault == 0)
    expected = snapshot.pagemap_spa[mapped]
    count.add(
        spa[mapped].view(np.uint64) == expected,
        lambda k: (
            f"GPA {int(snapshot.pagemap_gpa[mapped[k]]):#x}: expected SPA {int(expected[k]):#x}, "
            f"found {int(spa[mapped[k]]):#x}"
        ),
    )
    if late := len(fault) - len(mapped):
        count.note = f"{late} more pages are in the pagemap but were never touched by the guest: not in the tables yet"
    try:
        _touched(recorded.nested(snapshot, STATE), count, snapshot)
    except BadRequest as error:
        count.note = f"the guest's own walk is not compared: {error}"
    return count


def _touched(bare: Bare, count: Count, snapshot: NestedTables) -> None:
    """Every address that the guest touched must translate, to the page that the pagemap has for its GPA."""
    gva = snapshot.touched_gva
    where = dict(zip(snapshot.pagemap_gpa.tolist(), snapshot.pagemap_spa.tolist(), strict=True))
    rows, done = np.zeros((WORST_STEP * 2, 10), np.int64), by_name("translated")
    at = 4 + done.fields.index("gpa")
    agree, found, wanted = np.zeros(len(gva), bool), [], []
    for k in range(len(gva)):
        fault, spa = bare.run(gva[k : k + 1], int(READ | PEEK), trace=rows)
        last = rows[int(bare.state["rows"][0]) - 1]
        gpa = int(last[at]) if last[0] == done.number else -1
        expected = where.get(gpa & ~(PAGE - 1), -PAGE) | gpa & PAGE - 1
        agree[k] = fault[0] == 0 and int(spa[0]) == expected
        found.append(f"fault {int(fault[0]):#x}" if fault[0] else f"GPA {gpa:#x}, SPA {int(spa[0]):#x}")
        wanted.append(f"SPA {expected:#x}" if gpa >= 0 and expected >= 0 else "a page of the pagemap")
    count.add(agree, lambda k: f"touched {int(gva[k]):#x}: expected {wanted[k]}, found {found[k]}")
