"""I18: no message is lost, each waits in one queue, and no queue is without bound; nothing names who is gone (I4)."""

from typing import Any

import numpy as np

from hvlab.hardware import processor
from hvlab.hypervisor import queues
from hvlab.hypervisor.core import Hypervisor
from hvlab.wire.synic import GUEST_BUFFERS, SINTS


def _hv(machine: Any) -> Hypervisor:
    hv: Hypervisor = getattr(machine, "hv", machine)
    return hv


def _queue(hv: Hypervisor, vp: int, sint: int) -> list[int]:
    """Return the tickets of a queue, in order; a queue that bites its tail ends after as many as there are."""
    m, found = hv.state[0], list[int]()
    at = int(m["synic"][vp]["head"][sint])
    while at and len(found) <= queues.OWN_TICKET + GUEST_BUFFERS:
        found.append(at)
        at = int(queues.next_of(m, vp, at))
    return found


def check_messages(machine: Any) -> list[str]:
    """I18: accepted = delivered + dropped + waiting; each buffer in use waits in one queue, each message has one."""
    hv = _hv(machine)
    m, found, seen = hv.state[0], list[str](), list[int]()
    waiting = 0
    for vp in range(processor.VPS):
        s = m["synic"][vp]
        for sint in range(SINTS):
            tickets = _queue(hv, vp, sint)
            waiting += len(tickets)
            seen += [t for t in tickets if not queues.TIMER_TICKET <= t < queues.OWN_TICKET]
            if len(set(tickets)) != len(tickets) or len(tickets) != int(s["depth"][sint]):
                found.append(
                    f"I18: the queue of SINT {sint} of VP {vp} holds {tickets}, its depth says {s['depth'][sint]}"
                )
            if tickets and int(s["tail"][sint]) != tickets[-1]:
                found.append(f"I18: the queue of SINT {sint} of VP {vp} does not end at its tail")
        if int(s["waiting"]) != sum(len(_queue(hv, vp, sint)) for sint in range(SINTS)):
            found.append(f"I18: VP {vp} counts {s['waiting']} messages that wait")
        for timer in range(4):
            queued = int(m["timer"][vp][timer]["queued"])
            if queued and timer + queues.TIMER_TICKET not in _queue(hv, vp, queued - 1):
                found.append(f"I18: timer {timer} of VP {vp} believes that its message waits")
    books = m["messages"]
    if int(books["accepted"]) != int(books["delivered"]) + int(books["dropped"]) + waiting:
        told = ", ".join(f"{name} {int(books[name])}" for name in ("accepted", "delivered", "dropped"))
        found.append(f"I18: messages got lost: {told}, waiting {waiting}")
    return found + _buffers(hv, seen)


def _buffers(hv: Hypervisor, seen: list[int]) -> list[str]:
    m, used = hv.state[0], list[int]()
    for k in range(queues.PORTS):
        mask, room = int(m["port"][k]["used"]), int(m["port"][k]["room"])
        used += [k * GUEST_BUFFERS + bit + 1 for bit in range(GUEST_BUFFERS) if mask >> bit & 1]
        if mask >> room:
            return [f"I18: port {k} uses more than its {room} buffers"]
    used += [bit + queues.OWN_TICKET for bit in range(queues.OWN_BUFFERS) if int(m["messages"]["used"]) >> bit & 1]
    if sorted(used) != sorted(seen):
        return [f"I18: buffers {sorted(set(used) ^ set(seen))} are in use and wait nowhere, or the other way round"]
    return []


def check_message_teardown(machine: Any) -> list[str]:
    """I4: no port, connection or overlay names a partition that is gone, no timer or queue a virtual processor."""
    hv = _hv(machine)
    alive, found = hv.alive(), list[str]()
    for table in ("port", "connection", "overlay"):
        owners = hv.state[table]["owner"][0]
        gone = (owners != 0) & ~np.isin(owners, alive)
        found += [f"I4: {table} {k} belongs to a partition that is gone" for k in np.flatnonzero(gone).tolist()]
    senders = hv.state["port"]["sender"][0]
    gone = (senders != 0) & ~np.isin(senders, alive)
    found += [f"I4: port {k} waits for a sender that is gone" for k in np.flatnonzero(gone).tolist()]
    for vp in np.flatnonzero(hv.state["guest"]["partition"][0] == 0).tolist():
        if hv.state["synic"][0, vp].tobytes().strip(b"\0") or hv.state["timer"][0, vp].tobytes().strip(b"\0"):
            found.append(f"I4: VP {vp} is gone, its SynIC or timers are not")
    return found


CHECKS = (check_messages, check_message_teardown)
