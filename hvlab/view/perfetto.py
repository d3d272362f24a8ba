"""A run for the viewers of Chrome traces, Perfetto above all (ui.perfetto.dev).

The form is the Trace Event Format as JSON. A partition is a process, a place on one of its virtual processors is a
thread, a row is a complete event (``X``), and a cause is a flow from one row to another (``s`` to ``f``). Times are
simulated; the format counts microseconds, so a nanosecond is 0.001. A row has no duration of its own: it is written
with 0, and viewers stack rows of one moment. ``ordered`` writes one microsecond for each row instead, so that they
stand side by side; then time is not to scale. Tried with the trace processor and screen of Perfetto 52.

Numbers beyond 2**53 are written as text: JavaScript would round them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hvlab.language import _
from hvlab.trace.journal import Trace

EXACT: Final = 1 << 53
PLACES: Final = (
    "guest",
    "vmbus",
    "hypervisor",
    "processor",
    "tlb",
    "memory",
)  # in the order of privilege, then hardware
THREADS: Final = 16  # thread numbers of one virtual processor
NOBODY: Final = 0  # the process of what no virtual processor does, and of those whose partition is not known
Owners = Mapping[int, tuple[int, int, str]]


@dataclass(frozen=True)
class Slice:
    """One thing that happened: where (process and thread), when (ns), its name, its numbers, its cause's place."""

    pid: int
    tid: int
    time: int
    name: str
    category: str
    args: Mapping[str, Any] = field(default_factory=dict)
    cause: int = -1


def chrome_json(
    slices: Sequence[Slice],
    processes: Mapping[int, str],
    threads: Mapping[tuple[int, int], str],
    about: Mapping[str, Any],
    ordered: bool = False,
) -> str:
    """Return slices as a Chrome trace, with the names of processes and threads."""
    events = [*_named(processes, threads), *_events(slices, ordered)]
    data = {"traceEvents": events, "displayTimeUnit": "ns", "otherData": dict(about)}
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False) + "\n"


def _named(processes: Mapping[int, str], threads: Mapping[tuple[int, int], str]) -> Iterator[dict[str, Any]]:
    for pid, name in processes.items():
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
        yield {"ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": {"sort_index": pid}}
    for (pid, tid), name in threads.items():
        yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}
        yield {"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": {"sort_index": tid}}


def _events(slices: Sequence[Slice], ordered: bool) -> Iterator[dict[str, Any]]:
    """The slices in order of time; a flow's ends stand right behind their slices, where importers look for them."""
    effects: dict[int, list[int]] = defaultdict(list)
    for number, one in enumerate(slices):
        if 0 <= one.cause < number:
            effects[one.cause].append(number)
    order = range(len(slices)) if ordered else sorted(range(len(slices)), key=lambda number: slices[number].time)
    for number in order:
        one = slices[number]
        at = {"pid": one.pid, "tid": one.tid, "ts": float(number) if ordered else one.time / 1000}
        name = {"name": one.name, "cat": one.category}
        yield {"ph": "X", **name, **at, "dur": 1 if ordered else 0, "args": dict(one.args)}
        flow = {"name": "cause", "cat": "cause", **at}
        if 0 <= one.cause < number:
            yield {"ph": "f", "bp": "e", "id": number, **flow}
        yield from ({"ph": "s", "id": effect, **flow} for effect in effects[number])


# --- a run of the machine ---------------------------------------------------------------------------------------------


def owners_of(machine: Any) -> dict[int, tuple[int, int, str]]:
    """Return whose each virtual processor of a machine is: by its number, partition, VP index, and a name."""
    named = [(1, "root", machine.vps(1))]
    named += [(child.partition_id, name, child.vps) for name, child in machine.children.items()]
    return {vp.number: (partition, vp.index, name) for partition, name, vps in named for vp in vps}


def perfetto(trace: Trace, owners: Owners | None = None, ordered: bool = False) -> str:
    """Return a run as a Chrome trace.

    Parameters
    ----------
    trace
        The run.
    owners
        Whose each virtual processor is, as `owners_of` gives it; what the run itself says comes on top. Processors of
        which neither says it stand in a process of their own.
    ordered
        One row after the other instead of simulated time.
    """
    known = {**dict(owners or {}), **_created(trace)}
    kinds = trace.kinds()
    slices, processes, threads = [], dict[int, str](), dict[tuple[int, int], str]()
    for k, (name, row) in enumerate(zip(kinds, trace.rows.tolist(), strict=True)):
        box = trace.event(k).box
        pid, tid = _thread(row[2], box, known, processes, threads)
        args: dict[str, Any] = {"row": k, "says": trace.sentence(k)}
        args |= {word: exact(value) for word, value in trace.facts(k).items()}
        slices.append(Slice(pid, tid, row[1], name, box, args, row[3]))
    about = {"what": "a run of hvlab", "rows": len(trace), "digest": trace.digest(), "ordered": ordered}
    return chrome_json(slices, processes, dict(sorted(threads.items())), about, ordered)


def _created(trace: Trace) -> dict[int, tuple[int, int, str]]:
    found = {}
    for k in trace.of("vp_created"):
        facts = trace.facts(k)
        found[facts["slot"]] = (facts["partition"], facts["vp_index"], "")
    return found


def _thread(
    actor: int, box: str, known: Owners, processes: dict[int, str], threads: dict[tuple[int, int], str]
) -> tuple[int, int]:
    """The process and thread of a row; both get their names when they are first met."""
    place = PLACES.index(box) if box in PLACES else len(PLACES)
    if actor in known:
        pid, index, name = known[actor]
        title = _("partition {number}").format(number=pid)
        processes.setdefault(pid, f"{title}: {name}" if name else title)
        tid, who = 1 + index * THREADS + place, f"VP {index}"
    else:
        pid = NOBODY
        processes.setdefault(pid, _("no partition is recorded"))
        tid = 1 + (actor + 1) * THREADS + place
        who = _("VP slot {number}").format(number=actor) if actor >= 0 else _("no processor")
    threads.setdefault((pid, tid), f"{who}: {box}")
    return pid, tid


def exact(value: int) -> int | str:
    """Return a number, as text where a browser would round it."""
    return value if -EXACT < value < EXACT else f"{value & (1 << 64) - 1:#x}"
