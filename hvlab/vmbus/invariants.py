"""What must always hold on a VMBus: I14 (page lists), I15 (channels), and I18 for messages that wait.

Each function returns a sentence for every breach. They look at what both drivers keep, at the page database, and at
what was recorded; none of the drivers calls them. `machine` is a `hvlab.machine.Machine`.
"""

from collections import Counter
from typing import Any, Final

from hvlab.vmbus.gpadl import PAGE
from hvlab.vmbus.host_base import MOST_WAITING
from hvlab.vmbus.states import Connection, Gpadl, Refusal, State
from hvlab.wire import vmbus

R, F, G, O, C, X = State.RELEASED, State.OFFERED, State.OPENING, State.OPEN, State.CLOSING, State.RESCINDED  # noqa: E741
ROOT_STEPS: Final = {(R, F), (F, O), (O, F), (F, X), (O, X), (X, R), (F, R), (O, R)}
CHILD_STEPS: Final = {(R, F), (F, G), (G, O), (G, F), (O, C), (C, F), (F, X), (G, X), (O, X), (C, X), (X, R), (C, R)}
# Each request and its one answer. No other message of a guest is answered: CLOSECHANNEL, RELID_RELEASED, RESUME.
ANSWERS: Final = {14: 15, 3: 4, 16: 17, 5: 6, 11: 12, 18: 6, 25: 26, 27: 28}
# At most one: a page list is answered when it is complete, a reserved channel's end while the guest is connected, a
# move from 5.3 on, a socket if it fails. Source: openvmm gpadl_updated, close_complete,
# send_modify_channel_response, send_tl_connect_result.
OTHERS: Final = {8: 10, 9: 10, 19: 20, 22: 24, 21: 23}
# Refusals that have their answer all the same, as the device's failure has in openvmm (open_complete; modify_channel);
# all others are silent, as there (handle_synic_message returns an error, which is only logged).
OF_RINGS: Final = {Refusal.UNKNOWN_GPADL, Refusal.GPADL_OF_ANOTHER, Refusal.OFFSET_OUTSIDE}
TOLD: Final[dict[int, set[Refusal]]] = {
    14: {Refusal.NO_SUCH_VP},
    5: OF_RINGS | {Refusal.NO_SUCH_VP},
    18: OF_RINGS,
    22: {Refusal.UNKNOWN_CHANNEL, Refusal.NOT_NOW, Refusal.NO_SUCH_VP},
}


def _hosts(machine: Any) -> list[tuple[Any, Any]]:
    """Return (driver, partition) of each child that the root serves."""
    bus = machine._vmbus
    return [(host, machine.vid.partitions[number]) for number, host in bus.hosts.items()] if bus else []


def check_gpadls(machine: Any) -> list[str]:
    """I14: each page of a live page list is its creator's own; none of them can be taken away."""
    found, hv = list[str](), machine.hv
    for host, partition in _hosts(machine):
        pinned = Counter[int](host.state.watch.pages)
        for (handle, number), pages in host.state.gpadls.items():
            if (handle, number) != (pages.gpadl_id, pages.channel) or number not in host.state.channels:
                found.append(f"I14: GPADL {handle:#x} is kept for channel {number}, says {pages.channel}")
            if pages.state != Gpadl.LIVE:
                continue
            pinned.update(pages.pfns)
            for one in pages.found:
                if one.length == 0 or one.offset >= PAGE or len(one.pfns) != -(-(one.offset + one.length) // PAGE):
                    found.append(f"I14: GPADL {handle:#x} has a range of {one.length} bytes at {one.offset}")
            for pfn, gpn in zip(pages.pfns, pages.gpns, strict=True):
                owner = hv.id_of(hv.memory.record(gpn).owner)
                if partition.pages.get(pfn) != gpn or owner != partition.partition_id:
                    found.append(f"I14: page {pfn:#x} of GPADL {handle:#x} is not its creator's")
        if dict(pinned) != partition.pinned:
            found.append(
                f"I14: partition {partition.partition_id} has pages in lists that may be taken, or the reverse"
            )
    return found


def check_channels(machine: Any) -> list[str]:
    """I15: ids and states of channels fit together, on the host's side."""
    found = list[str]()
    for host, _ in _hosts(machine):
        state, there = host.state, host.state.channels
        known = {one.channel_id: one.number for one in there.values() if one.state != R}
        if known != state.ids or not set(state.ids) <= set(range(1, vmbus.CHANNELS + 1)):
            found.append(f"I15: the host's ids are {state.ids}, its channels say {known}")
        for one in there.values():
            pages = state.gpadls.get((one.ring, one.number))
            opened = one.state == O
            if opened != (one.channel_id in host.ends) or opened != (pages is not None and pages.in_use):
                found.append(f"I15: channel {one.channel_id} is {one.state.name}, its rings say otherwise")
            if one.reserved is not None and not opened:
                found.append(f"I15: channel {one.channel_id} is reserved and not open")
            if one.state in (F, X) and state.connection != Connection.CONNECTED and one.reserved is None:
                found.append(f"I15: channel {one.channel_id} is {one.state.name} without a connection")
        loose = [handle for (handle, number), pages in state.gpadls.items() if there[number].state == R]
        found += [f"I15: GPADL {handle:#x} belongs to a channel that the guest does not know" for handle in loose]
        begun = {handle: n for (handle, n), pages in state.gpadls.items() if pages.state == Gpadl.IN_PROGRESS}
        if begun != state.incomplete:
            found.append(f"I15: page lists {begun} are not complete, the host waits for {state.incomplete}")
        in_use = [pages for pages in state.gpadls.values() if pages.in_use]
        if len(in_use) != sum(one.state == O for one in there.values()):
            found.append("I15: page lists are in use without an open channel")
    return found


def check_guests(machine: Any) -> list[str]:
    """I15: ids and states of channels fit together, on the guests' side."""
    found = list[str]()
    for name, kernel in machine.kernels.items():
        state, ends = kernel.guest.state, kernel.guest.ends
        for number, one in state.offers.items():
            wanted = one.state in (G, O)
            if number != one.channel_id or wanted != (number in ends):
                found.append(f"I15: {name}'s channel {number} is {one.state.name}, its rings say otherwise")
        if set(ends) - set(state.offers):
            found.append(f"I15: {name} has rings of channels {sorted(set(ends) - set(state.offers))}")
        held = [gpn for named in state.gpadls.values() for gpn in named.gpns]
        if set(held) & set(state.frames) or len(set(state.frames)) != len(state.frames):
            found.append(f"I15: {name} uses pages twice")
    return found


def check_bounds(machine: Any) -> list[str]:
    """I18: what a guest can let pile up has a bound."""
    found = list[str]()
    for host, partition in _hosts(machine):
        if len(host.state.gpadls) > vmbus.MAX_GPADLS:
            found.append(f"I18: partition {partition.partition_id} has {len(host.state.gpadls)} page lists")
        if len(host.state.outbox) > MOST_WAITING + len(host.state.channels) + 2:
            found.append(f"I18: {len(host.state.outbox)} answers wait for partition {partition.partition_id}")
    return found


def check_states(trace: Any) -> list[str]:
    """I15: each change of a channel's state is one that is listed."""
    found = list[str]()
    for k, name in enumerate(trace.kinds()):
        if name == "channel_state_changed":
            step = State(trace.fact(k, "old")), State(trace.fact(k, "new"))
            if step not in (ROOT_STEPS if trace.fact(k, "side") == 1 else CHILD_STEPS):
                found.append(f"I15: row {k}: {step[0].name} becomes {step[1].name}")
    return found


def check_answers(trace: Any, root: int, version: int = 0) -> list[str]:
    """I15: each request that the host took has exactly one answer; one that it refused has none, or one that says so.

    Parameters
    ----------
    root : int
        The machine's number of the root's virtual processor.
    version : int
        What the ends spoke all the time, if that is known: from 5.3 on each move has its answer, too.
    """
    found, kinds, said = list[str](), trace.kinds(), dict[int, list[int]]()
    refused = {
        int(trace.rows[k, 3]): Refusal(trace.fact(k, "why"))
        for k, name in enumerate(kinds)
        if name == "channel_message_refused"
    }
    for k, name in enumerate(kinds):
        if name == "channel_message_sent" and int(trace.rows[k, 2]) == root:
            said.setdefault(int(trace.rows[k, 3]), []).append(trace.fact(k, "number"))
    for k, name in enumerate(kinds):
        if name != "channel_message_taken" or int(trace.rows[k, 2]) != root:
            continue
        number = trace.fact(k, "number")
        wanted = ANSWERS.get(number, OTHERS.get(number, -1))
        owed = number in ANSWERS or (number == vmbus.ModifyChannel.number and version >= vmbus.V5_3)
        least = int(owed and (k not in refused or refused[k] in TOLD.get(number, ())))
        count = said.get(k, []).count(wanted)
        if not least <= count <= 1 or [one for one in said.get(k, []) if one not in (wanted, 1)]:
            found.append(f"I15: row {k}: {vmbus.NAMES.get(number, number)} is answered by {said.get(k, [])}")
    return found


CHECKS: Final = (check_gpadls, check_channels, check_guests, check_bounds)


def check_bus(machine: Any) -> list[str]:
    """Return every breach that a machine shows."""
    return [sentence for check in CHECKS for sentence in check(machine)]
