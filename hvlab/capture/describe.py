"""What a file is and what it holds, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from hvlab.capture.accesses import AddressTrace
from hvlab.capture.buslog import BusLog
from hvlab.capture.counts import (
    NestedSummary,
    Region,
    Space,
    Summary,
    TablesSummary,
    TraceSummary,
    VectorsSummary,
)
from hvlab.capture.devices import DeviceList
from hvlab.capture.guestlog import GuestLog, told_in_full
from hvlab.capture.kinds import recognise
from hvlab.capture.kvmlog import KvmLog
from hvlab.capture.kvmstory import tale
from hvlab.capture.load import Capture, load
from hvlab.capture.source import PASTED, Source, is_text
from hvlab.capture.summary import summary
from hvlab.errors import plain
from hvlab.trace.words import say

Study = Callable[[AddressTrace], str]

IN_FULL: Final = 4
SIZES: Final = {12: "4 KiB", 21: "2 MiB", 30: "1 GiB"}
MIX: Final = {"I": "instruction fetches", "L": "loads", "S": "stores", "M": "modifies (load and store)"}
NAMES: Final = (
    "Names of areas assume a Linux guest without the shifts of KASLR (source: Linux, "
    "Documentation/arch/x86/x86_64/mm.rst)."
)
SHIFTED: Final = (
    "The kernel image does not stand at its fixed place, so KASLR has moved this guest: direct map, vmalloc and page "
    "structures are listed as one area."
)


def describe(path: Source, study: Study | None = None) -> str:
    """Say in plain words what a file is and what it holds.

    Parameters
    ----------
    path : any file, or what somebody pasted; it is told by its content. A bad or unknown one is a `BadFile`.
    study : for an address trace, adds what an engine makes of it (TLB and walk behaviour).
    """
    kind = recognise(path)
    name = PASTED.capitalize() if is_text(path) else plain(path)
    if not kind.ready:
        return f"{name} is {kind.says()}."
    return tell(load(path), f"{name} is {kind.phrase}.", study)


def tell(capture: Capture, opening: str, study: Study | None = None) -> str:
    """The same for a capture that is already loaded."""
    if isinstance(capture, KvmLog):
        span = capture.events[-1].seconds - capture.events[0].seconds
        others = f", {count(capture.others, 'other line')}" if capture.others else ""
        size = f"{count(len(capture), 'event')} in {span:.1f} s{others}."
        return "\n".join([opening, size, *tale(capture), "", repr(capture)])
    if isinstance(capture, DeviceList | BusLog):
        return f"{opening}\n\n{capture!r}"
    if isinstance(capture, GuestLog):
        return "\n".join([opening, "", *told_in_full(capture)])
    lines = [opening, *_lines(summary(capture))]
    if study is not None and isinstance(capture, AddressTrace):
        lines += ["", study(capture)]
    return "\n".join(lines)


def _lines(numbers: Summary) -> Iterator[str]:
    if isinstance(numbers, TablesSummary):
        return _tables(numbers)
    if isinstance(numbers, NestedSummary):
        return _nested(numbers)
    return _trace(numbers) if isinstance(numbers, TraceSummary) else _vectors(numbers)


def count(number: int, one: str, many: str = "") -> str:
    """`1 page`, `2 pages`, `1,000 pages`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def amount(size: int) -> str:
    """A size in bytes in the largest unit that leaves at least 1, one decimal where it is not whole."""
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit:,} {name}" if size % unit == 0 else f"{size / unit:,.1f} {name}"
    return f"{size:,} bytes"


def listed(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "none"


def _sizes(sizes: Mapping[int, int]) -> str:
    return listed([f"{leaves:,} of {SIZES.get(shift, f'2**{shift} bytes')}" for shift, leaves in sorted(sizes.items())])


def _levels(tables: Mapping[int, int]) -> str:
    return listed([f"{pages:,} at level {level}" for level, pages in sorted(tables.items(), reverse=True)])


# --- page tables -----------------------------------------------------------------------------------------------------


def _tables(numbers: TablesSummary) -> Iterator[str]:
    ram = f" of a guest with {amount(numbers.ram_bytes)}" if numbers.ram_bytes else ""
    yield (
        f"It holds {count(numbers.table_pages, 'table page')}{ram}: {numbers.levels} levels, "
        f"{count(numbers.cpus, 'processor')}, {count(len(numbers.spaces), 'address space')}."
    )
    answers = [
        (numbers.oracle_leaves, "leaf", "leaves"),
        (numbers.oracle_rights, "range with its rights", "ranges with their rights"),
        (numbers.oracle_probes, "probed address", "probed addresses"),
    ]
    there = [count(number, one, many) for number, one, many in answers if number]
    yield f"Independent answers to compare with: {listed(there)}."
    yield NAMES
    if any(space.moved for space in numbers.spaces):
        yield SHIFTED
    for space in numbers.spaces[:IN_FULL]:
        yield ""
        yield from _space(space)
    if len(numbers.spaces) > IN_FULL:
        yield ""
        yield "Further address spaces:"
    for space in numbers.spaces[IN_FULL:]:
        who = listed([str(cpu) for cpu in space.cpus])
        leaves = f"{space.user_leaves:,} user and {space.kernel_leaves:,} kernel leaves"
        yield f"  top table at GPA {say('gpa', space.root)}, of processor {who}: {leaves}"


def _space(space: Space) -> Iterator[str]:
    who = listed([f"{cpu} (running at CPL {cpl})" for cpu, cpl in zip(space.cpus, space.cpls, strict=True)])
    yield f"Address space with its top table at GPA {say('gpa', space.root)}, of processor {who}"
    for region in space.regions:
        yield from _region(region)
    yield f"  Tables used: {_levels(space.tables)}."
    yield f"  Distinct leaves: {space.user_leaves:,} in the user half, {space.kernel_leaves:,} in the kernel half" + (
        f"; with tables that are mapped more than once, {count(space.times, 'leaf', 'leaves')}."
        if space.times > space.user_leaves + space.kernel_leaves
        else "."
    )
    writable = [
        f"{count(number, 'leaf', 'leaves')} of the {half}" for half, number in space.writable_code.items() if number
    ]
    yield f"  Writable and executable at once: {listed(writable)}."
    shared = f"  Sharing: {count(space.shared_frames, 'frame')} mapped by more than one 4 KiB leaf"
    yield shared + f"; {count(space.large_too, 'frame')} of user pages also inside a large page of the kernel."
    yield "  " + _isolation(space)
    if space.kept:
        yield f"  Entries that are not present but not empty (protected or swapped pages): {space.kept:,}."
    if space.missing:
        yield f"  Entries that lead to table pages which are not in the file: {space.missing:,}."
    if space.cut:
        yield "  The tables are too entangled to count all of them; these numbers are of the first part."


def _isolation(space: Space) -> str:
    if space.isolated:
        return (
            "Page-table isolation is visible: beside user pages these tables map only "
            f"{count(space.kernel_leaves, 'distinct leaf', 'distinct leaves')} of the kernel, not its memory."
        )
    if not space.user_leaves or not space.kernel_leaves:
        half = "kernel" if space.kernel_leaves else "user"
        return f"Page-table isolation cannot be seen from here: only the {half} half is mapped."
    return "No page-table isolation: the kernel's memory is mapped beside the user's."


def _region(region: Region) -> Iterator[str]:
    yield f"  {region.name}: {say('gva', region.first)} to {say('gva', region.last)}"
    text = f"    pages: {_sizes(region.sizes)}, {amount(region.mapped)}"
    if region.times > region.leaves:
        text += f"; aliases make it {region.times:,} leaves"
    rights = [f"{number:,} {letters}" for letters, number in sorted(region.rights.items())]
    yield f"{text}; effective rights: {listed(rights)}"


# --- nested tables ---------------------------------------------------------------------------------------------------


def _nested(numbers: NestedSummary) -> Iterator[str]:
    pages = sum(numbers.tables.values())
    in_slots = sum(slot.not_writable for slot in numbers.slots if slot.read_only)
    yield (
        f"It holds {count(pages, 'nested table')} ({_levels(numbers.tables)}) that map "
        f"{count(numbers.leaves, 'leaf', 'leaves')}: {_sizes(numbers.sizes)}, {amount(numbers.mapped)} in all."
    )
    yield (
        f"The control block says: ASID {numbers.asid}, nested paging {'on' if numbers.np_enable else 'off'}, last exit "
        f"code {say('hex', numbers.exit_code)}, its root is {'' if numbers.same_root else 'not '}that of these tables."
    )
    yield (
        f"Rights: {numbers.user:,} of {numbers.leaves:,} leaves have U=1 (AMD processors walk nested tables as user); "
        f"{numbers.not_writable:,} are not writable, {in_slots:,} of them in read-only slots."
    )
    for slot in numbers.slots:
        kind = "read-only slot" if slot.read_only else "slot"
        last = say("gpa", slot.gpa + max(slot.size, 1) - 1)
        yield (
            f"  {kind} GPA {say('gpa', slot.gpa)} to {last}, {amount(slot.size)}: "
            f"{amount(slot.mapped)} mapped, {count(slot.not_writable, 'leaf', 'leaves')} not writable"
        )
    if numbers.slots and numbers.outside:
        yield f"  {count(numbers.outside, 'leaf lies', 'leaves lie')} in no slot."
    yield (
        f"Memory that moves: {numbers.moved_pages:,} of {numbers.leaves:,} leaves lead to an SPA that differs from "
        "the GPA."
    )
    yield (
        f"The guest's own tables: {count(numbers.l2_tables, 'page')}, {numbers.l2_levels} levels; "
        f"{numbers.l2_tables_backed:,} of them lie where the nested tables say."
    )
    yield (
        f"Independent answers to compare with: {count(numbers.pagemap, 'page')} of the monitor's process map, "
        f"{count(numbers.touched, 'address', 'addresses')} that the guest touched."
    )
    if numbers.missing:
        yield f"Entries that lead to table pages which are not in the file: {numbers.missing:,}."
    if numbers.cut:
        yield "The tables are too entangled to count all of them; these numbers are of the first part."


# --- traces and vectors ----------------------------------------------------------------------------------------------


def _trace(numbers: TraceSummary) -> Iterator[str]:
    yield f"It holds {count(numbers.accesses, 'access', 'accesses')} in program order."
    if numbers.note:
        yield f"Note: {plain(numbers.note)}."
    shares = [
        f"{number:,} {MIX[letter]} ({number / numbers.accesses:.1%})"
        for letter, number in numbers.mix.items()
        if number
    ]
    yield f"Mix: {listed(shares)}."
    yield (
        f"Pages of 4 KiB touched: {numbers.pages:,} ({numbers.code_pages:,} with code, {numbers.data_pages:,} with "
        f"data, {numbers.written_pages:,} written), in {count(numbers.large_pages, 'range')} of 2 MiB, "
        f"from GVA {say('gva', numbers.low)} to {say('gva', numbers.high)}."
    )
    yield f"Accesses that cross a page border: {numbers.crossing:,}."
    low, high = min(numbers.working_set), max(numbers.working_set)
    middle = sorted(numbers.working_set)[len(numbers.working_set) // 2]
    yield (
        f"Working set, in windows of {numbers.window:,} accesses: {low:,} to {count(high, 'page')}, "
        f"{middle:,} in the middle of the list; over time {_curve(numbers.working_set)}"
    )
    tops = [f"{top:,} {'take' if top > 1 else 'takes'} {share:.1%}" for top, share in numbers.top_share.items()]
    yield f"Locality: of the busiest pages, {listed(tops)} of all accesses."
    yield (
        f"The next access stays on the page of the one before in {numbers.same_page['fetches']:.1%} of the fetches and "
        f"{numbers.same_page['data']:.1%} of the data accesses."
    )


def _curve(values: tuple[int, ...], steps: int = 10) -> str:
    """The largest value in each tenth of a series."""
    width = max(1, -(-len(values) // steps))
    return ", ".join(f"{max(values[k : k + width]):,}" for k in range(0, len(values), width)) + "."


def _vectors(numbers: VectorsSummary) -> Iterator[str]:
    yield f"It holds {count(numbers.cases, 'case')} with expected answers, to compare the engine with."
    answers = [f"{number:,} {plain(answer, 40)}" for answer, number in sorted(numbers.answers.items())]
    yield f"Expected: {listed(answers)}."
