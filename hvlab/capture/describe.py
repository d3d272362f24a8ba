"""What a file is and what it holds, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from hvlab.capture.accesses import AddressTrace
from hvlab.capture.buslog import BusLog
from hvlab.capture.counts import (
    NestedSummary,
    Region,
    SlotUse,
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
from hvlab.capture.source import Source, is_text
from hvlab.capture.summary import summary
from hvlab.errors import plain
from hvlab.language import N_, _, ngettext
from hvlab.trace.words import say

Study = Callable[[AddressTrace], str]

IN_FULL: Final = 4
SIZES: Final = {12: "4 KiB", 21: "2 MiB", 30: "1 GiB"}
MIX: Final = {
    "I": N_("instruction fetches"),
    "L": N_("loads"),
    "S": N_("stores"),
    "M": N_("modifies (load and store)"),
}
WRITABLE: Final = {"user": N_("{leaves} of the user"), "kernel": N_("{leaves} of the kernel")}
NAMES: Final = N_(
    "Names of areas assume a Linux guest without the shifts of KASLR (source: Linux, "
    "Documentation/arch/x86/x86_64/mm.rst)."
)
SHIFTED: Final = N_(
    "The kernel image does not stand at its fixed place, so KASLR has moved this guest: direct map, vmalloc and page "
    "structures are listed as one area."
)
CUT: Final = N_("The tables are too entangled to count all of them; these numbers are of the first part.")
MISSING: Final = N_("Entries that lead to table pages which are not in the file: {count}.")


def describe(path: Source, study: Study | None = None) -> str:
    """Say in plain words what a file is and what it holds.

    Parameters
    ----------
    path : any file, or what somebody pasted; it is told by its content. A bad or unknown one is a `BadFile`.
    study : for an address trace, adds what an engine makes of it (TLB and walk behaviour).
    """
    kind = recognise(path)
    opening = kind.sentence(_("The pasted text") if is_text(path) else plain(path))
    return tell(load(path), opening, study) if kind.ready else opening


def tell(capture: Capture, opening: str, study: Study | None = None) -> str:
    """The same for a capture that is already loaded."""
    if isinstance(capture, KvmLog):
        return "\n".join([opening, _events(capture), *tale(capture), "", repr(capture)])
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


def _events(log: KvmLog) -> str:
    events = count(len(log), "{count} event", "{count} events")
    span = f"{log.events[-1].seconds - log.events[0].seconds:.1f}"
    if not log.others:
        return _("{events} in {span} s.").format(events=events, span=span)
    others = count(log.others, "{count} other line", "{count} other lines")
    return _("{events} in {span} s, {others}.").format(events=events, span=span, others=others)


def count(number: int, one: str, many: str) -> str:
    """The form of a text that goes with a number: `1 page`, `2 pages`, `1,000 pages`."""
    return ngettext(one, many, number).format(count=f"{number:,}")


def pages(number: int) -> str:
    """`1 page`, `2 pages`."""
    return count(number, "{count} page", "{count} pages")


def leaves(number: int) -> str:
    """`1 leaf`, `2 leaves`."""
    return count(number, "{count} leaf", "{count} leaves")


def amount(size: int) -> str:
    """A size in bytes in the largest unit that leaves at least 1, one decimal where it is not whole."""
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit:,} {name}" if size % unit == 0 else f"{size / unit:,.1f} {name}"
    return _("{size} bytes").format(size=f"{size:,}")


def listed(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts) or _("none")
    return _("{some} and {last}").format(some=", ".join(parts[:-1]), last=parts[-1])


def _sizes(sizes: Mapping[int, int]) -> str:
    text = _("{leaves} of {size}")
    return listed([text.format(leaves=f"{number:,}", size=size_of(shift)) for shift, number in sorted(sizes.items())])


def size_of(shift: int) -> str:
    """A page size in words."""
    return SIZES.get(shift) or _("{size} bytes").format(size=f"2**{shift}")


def _levels(tables: Mapping[int, int]) -> str:
    text = _("{pages} at level {level}")
    return listed([text.format(pages=f"{many:,}", level=level) for level, many in sorted(tables.items(), reverse=True)])


# --- page tables -----------------------------------------------------------------------------------------------------


def _tables(numbers: TablesSummary) -> Iterator[str]:
    whole = _("It holds {tables}: {levels} levels, {processors}, {spaces}.")
    if numbers.ram_bytes:
        whole = _("It holds {tables} of a guest with {memory}: {levels} levels, {processors}, {spaces}.")
    yield whole.format(
        tables=count(numbers.table_pages, "{count} table page", "{count} table pages"),
        memory=amount(numbers.ram_bytes),
        levels=numbers.levels,
        processors=count(numbers.cpus, "{count} processor", "{count} processors"),
        spaces=count(len(numbers.spaces), "{count} address space", "{count} address spaces"),
    )
    yield _("Independent answers to compare with: {answers}.").format(answers=listed(list(_oracles(numbers))))
    yield _(NAMES)
    if any(space.moved for space in numbers.spaces):
        yield _(SHIFTED)
    for space in numbers.spaces[:IN_FULL]:
        yield ""
        yield from _space(space)
    if len(numbers.spaces) > IN_FULL:
        yield ""
        yield _("Further address spaces:")
    text = _("top table at GPA {root}, of processor {who}: {user} user and {kernel} kernel leaves")
    for space in numbers.spaces[IN_FULL:]:
        yield "  " + text.format(
            root=say("gpa", space.root),
            who=listed([str(cpu) for cpu in space.cpus]),
            user=f"{space.user_leaves:,}",
            kernel=f"{space.kernel_leaves:,}",
        )


def _oracles(numbers: TablesSummary) -> Iterator[str]:
    if numbers.oracle_leaves:
        yield leaves(numbers.oracle_leaves)
    if numbers.oracle_rights:
        yield count(numbers.oracle_rights, "{count} range with its rights", "{count} ranges with their rights")
    if numbers.oracle_probes:
        yield count(numbers.oracle_probes, "{count} probed address", "{count} probed addresses")


def _space(space: Space) -> Iterator[str]:
    runs = _("{processor} (running at CPL {cpl})")
    who = [runs.format(processor=cpu, cpl=cpl) for cpu, cpl in zip(space.cpus, space.cpls, strict=True)]
    title = _("Address space with its top table at GPA {root}, of processor {who}")
    yield title.format(root=say("gpa", space.root), who=listed(who))
    for region in space.regions:
        yield from _region(region)
    yield "  " + _("Tables used: {tables}.").format(tables=_levels(space.tables))
    yield "  " + _distinct(space)
    writable = [_(WRITABLE[half]).format(leaves=leaves(many)) for half, many in space.writable_code.items() if many]
    yield "  " + _("Writable and executable at once: {leaves}.").format(leaves=listed(writable))
    sharing = _(
        "Sharing: {shared} mapped by more than one 4 KiB leaf; {large} of user pages also inside a large page of the "
        "kernel."
    )
    frames = [count(many, "{count} frame", "{count} frames") for many in (space.shared_frames, space.large_too)]
    yield "  " + sharing.format(shared=frames[0], large=frames[1])
    yield "  " + _isolation(space)
    if space.kept:
        text = _("Entries that are not present but not empty (protected or swapped pages): {count}.")
        yield "  " + text.format(count=f"{space.kept:,}")
    if space.missing:
        yield "  " + _(MISSING).format(count=f"{space.missing:,}")
    if space.cut:
        yield "  " + _(CUT)


def _distinct(space: Space) -> str:
    text = _("Distinct leaves: {user} in the user half, {kernel} in the kernel half.")
    if space.times > space.user_leaves + space.kernel_leaves:
        text = _(
            "Distinct leaves: {user} in the user half, {kernel} in the kernel half; with tables that are mapped more "
            "than once, {all}."
        )
    return text.format(user=f"{space.user_leaves:,}", kernel=f"{space.kernel_leaves:,}", all=leaves(space.times))


def _isolation(space: Space) -> str:
    if space.isolated:
        kernel = count(space.kernel_leaves, "{count} distinct leaf", "{count} distinct leaves")
        text = _(
            "Page-table isolation is visible: beside user pages these tables map only {leaves} of the kernel, not its "
            "memory."
        )
        return text.format(leaves=kernel)
    if not space.user_leaves or not space.kernel_leaves:
        if space.kernel_leaves:
            return _("Page-table isolation cannot be seen from here: only the kernel half is mapped.")
        return _("Page-table isolation cannot be seen from here: only the user half is mapped.")
    return _("No page-table isolation: the kernel's memory is mapped beside the user's.")


def _region(region: Region) -> Iterator[str]:
    text = _("{area}: {first} to {last}")
    yield "  " + text.format(area=_(region.name), first=say("gva", region.first), last=say("gva", region.last))
    text = _("pages: {sizes}, {mapped}; effective rights: {rights}")
    if region.times > region.leaves:
        text = _("pages: {sizes}, {mapped}; aliases make it {times} leaves; effective rights: {rights}")
    yield "    " + text.format(
        sizes=_sizes(region.sizes),
        mapped=amount(region.mapped),
        times=f"{region.times:,}",
        rights=listed([f"{number:,} {letters}" for letters, number in sorted(region.rights.items())]),
    )


# --- nested tables ---------------------------------------------------------------------------------------------------


def _nested(numbers: NestedSummary) -> Iterator[str]:
    yield _("It holds {tables} ({levels}) that map {leaves}: {sizes}, {mapped} in all.").format(
        tables=count(sum(numbers.tables.values()), "{count} nested table", "{count} nested tables"),
        levels=_levels(numbers.tables),
        leaves=leaves(numbers.leaves),
        sizes=_sizes(numbers.sizes),
        mapped=amount(numbers.mapped),
    )
    yield _control(numbers)
    yield _(
        "Rights: {user} of {leaves} leaves have U=1 (AMD processors walk nested tables as user); {closed} are not "
        "writable, {in_slots} of them in read-only slots."
    ).format(
        user=f"{numbers.user:,}",
        leaves=f"{numbers.leaves:,}",
        closed=f"{numbers.not_writable:,}",
        in_slots=f"{sum(slot.not_writable for slot in numbers.slots if slot.read_only):,}",
    )
    for slot in numbers.slots:
        yield "  " + _slot(slot)
    if numbers.slots and numbers.outside:
        yield "  " + count(numbers.outside, "{count} leaf lies in no slot.", "{count} leaves lie in no slot.")
    moves = _("Memory that moves: {moved} of {leaves} leaves lead to an SPA that differs from the GPA.")
    yield moves.format(moved=f"{numbers.moved_pages:,}", leaves=f"{numbers.leaves:,}")
    yield _(
        "The guest's own tables: {pages}, {levels} levels; {backed} of them lie where the nested tables say."
    ).format(pages=pages(numbers.l2_tables), levels=numbers.l2_levels, backed=f"{numbers.l2_tables_backed:,}")
    yield _(
        "Independent answers to compare with: {pages} of the monitor's process map, {addresses} that the guest touched."
    ).format(pages=pages(numbers.pagemap), addresses=count(numbers.touched, "{count} address", "{count} addresses"))
    if numbers.missing:
        yield _(MISSING).format(count=f"{numbers.missing:,}")
    if numbers.cut:
        yield _(CUT)


def _control(numbers: NestedSummary) -> str:
    text = _(
        "The control block says: ASID {asid}, nested paging {paging}, last exit code {code}, its root is not that of "
        "these tables."
    )
    if numbers.same_root:
        text = _(
            "The control block says: ASID {asid}, nested paging {paging}, last exit code {code}, its root is that of "
            "these tables."
        )
    paging = _("on") if numbers.np_enable else _("off")
    return text.format(asid=numbers.asid, paging=paging, code=say("hex", numbers.exit_code))


def _slot(slot: SlotUse) -> str:
    text = _("slot GPA {first} to {last}, {size}: {mapped} mapped, {closed} not writable")
    if slot.read_only:
        text = _("read-only slot GPA {first} to {last}, {size}: {mapped} mapped, {closed} not writable")
    return text.format(
        first=say("gpa", slot.gpa),
        last=say("gpa", slot.gpa + max(slot.size, 1) - 1),
        size=amount(slot.size),
        mapped=amount(slot.mapped),
        closed=leaves(slot.not_writable),
    )


# --- traces and vectors ----------------------------------------------------------------------------------------------


def _trace(numbers: TraceSummary) -> Iterator[str]:
    accesses = count(numbers.accesses, "{count} access", "{count} accesses")
    yield _("It holds {accesses} in program order.").format(accesses=accesses)
    if numbers.note:
        yield _("Note: {note}.").format(note=plain(numbers.note))
    shares = [
        f"{number:,} {_(MIX[letter])} ({number / numbers.accesses:.1%})"
        for letter, number in numbers.mix.items()
        if number
    ]
    yield _("Mix: {shares}.").format(shares=listed(shares))
    yield _(
        "Pages of 4 KiB touched: {pages} ({code} with code, {data} with data, {written} written), in {ranges} of "
        "2 MiB, from GVA {low} to {high}."
    ).format(
        pages=f"{numbers.pages:,}",
        code=f"{numbers.code_pages:,}",
        data=f"{numbers.data_pages:,}",
        written=f"{numbers.written_pages:,}",
        ranges=count(numbers.large_pages, "{count} range", "{count} ranges"),
        low=say("gva", numbers.low),
        high=say("gva", numbers.high),
    )
    yield _("Accesses that cross a page border: {count}.").format(count=f"{numbers.crossing:,}")
    yield _(
        "Working set, in windows of {window} accesses: {low} to {high}, {middle} in the middle of the list; over time "
        "{curve}."
    ).format(
        window=f"{numbers.window:,}",
        low=f"{min(numbers.working_set):,}",
        high=pages(max(numbers.working_set)),
        middle=f"{sorted(numbers.working_set)[len(numbers.working_set) // 2]:,}",
        curve=_curve(numbers.working_set),
    )
    tops = [
        ngettext("{pages} takes {share}", "{pages} take {share}", top).format(pages=f"{top:,}", share=f"{share:.1%}")
        for top, share in numbers.top_share.items()
    ]
    yield _("Locality: of the busiest pages, {tops} of all accesses.").format(tops=listed(tops))
    yield _(
        "The next access stays on the page of the one before in {fetches:.1%} of the fetches and {data:.1%} of the "
        "data accesses."
    ).format(**numbers.same_page)


def _curve(values: tuple[int, ...], steps: int = 10) -> str:
    """The largest value in each tenth of a series."""
    width = max(1, -(-len(values) // steps))
    return ", ".join(f"{max(values[k : k + width]):,}" for k in range(0, len(values), width))


def _vectors(numbers: VectorsSummary) -> Iterator[str]:
    cases = count(numbers.cases, "{count} case", "{count} cases")
    yield _("It holds {cases} with expected answers, to compare the engine with.").format(cases=cases)
    answers = [f"{number:,} {plain(answer, 40)}" for answer, number in sorted(numbers.answers.items())]
    yield _("Expected: {answers}.").format(answers=listed(answers))
