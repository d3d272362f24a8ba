"""The SynIC: vectors of message slots, and what a real guest and host did, with the interrupts that came of it.

Of the recording each virtual processor is replayed by itself, in its recorded order. Inputs: its register writes, its
timers' settings, the passing of time up to the next expiry, what the host sent. When the guest freed a slot was not
recorded; it is freed as late as what follows allows. Outcomes that are compared: until when a timer runs, whether an
expiry finds its slot full, and each SINT that is raised, with its vector, in order.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from hvlab.capture.kvmlog import SENT, KvmEvent, KvmLog
from hvlab.child.discovery import enable_synic, establish
from hvlab.errors import BadRequest
from hvlab.hypervisor import clockwork, synic_ops
from hvlab.hypervisor.vp import Fault, Vp
from hvlab.machine import Machine
from hvlab.verify.count import Count
from hvlab.wire.synic import ConnectionInfo, EventPortInfo, MessagePortInfo
from hvlab.wire.tlfs import MessageHeader, Msr

PAGE = 4096
MESSAGES, FLAGS, INPUT, HYPERCALL = (20, 21), (22, 23), 24, 25  # guest pages of the vectors' child
SINT, VECTOR, PLAIN_FLAG = 8, 0xB0, 5
LATE = 1  # outcomes of the last input, whose line the recording does not have any more
MESSAGE, EVENT = 1, 2  # connections, and the types of their ports


class Desk:
    """A child with two virtual processors, switched on or not, and ports at the first one."""

    def __init__(self, switched_on: bool) -> None:
        self.machine = Machine(memory=4 << 20)
        self.child = self.machine.child("replayed", 64 * PAGE, vps=2, pool=40)
        self.hv = self.machine.hv
        if switched_on:
            establish(self.child.vp, HYPERCALL)
            for k, vp in enumerate(self.child.vps):
                enable_synic(vp, MESSAGES[k], FLAGS[k], VECTOR, SINT, auto_eoi=False)

    def wire(self, sint: int, vp: int, sender: int) -> None:
        """Make a port for messages and one for signals, and connections to them."""
        here, call = self.child.partition_id, self.machine.vid.winhv.call
        for kind, info in (
            (MESSAGE, MessagePortInfo.encode(type=MESSAGE, sint=sint, vp_index=vp)),
            (EVENT, EventPortInfo.encode(type=EVENT, sint=sint, vp_index=vp, flag_count=2048)),
        ):
            call("CreatePort", for_whom=here, port_partition=here, port_id=kind, connection_partition=sender, info=info)
            call(
                "ConnectPort",
                connection_partition=sender,
                connection_id=kind,
                port_partition=here,
                port_id=kind,
                info=ConnectionInfo.encode(type=kind),
            )

    def raised(self, vp: Vp) -> int:
        return int(self.hv.state["apic"][0, vp.number]["count"]["raised"])


def synic_slots(cases: list[Any]) -> Count:
    """Posts, signals and what the receiver does: the slot, the flag, the status, how many interrupts."""
    given = [_slots(case) for case, _ in cases]
    count = Count()
    agree = [
        all(one.get(name) == value for name, value in want.items() if name != "note")
        for one, (_, want) in zip(given, cases, strict=True)
    ]
    count.add(np.array(agree, bool), lambda k: f"{cases[k][0]}: expected {cases[k][1]}, found {given[k]}")
    return count


def _slots(case: dict[str, Any]) -> dict[str, int]:
    """Do the operations of a case; return what is there after the last one."""
    desk = Desk(True)
    desk.wire(SINT, 0, desk.child.partition_id)
    vp, status, before, last = desk.child.vp, 0, 0, 0
    for name, *words in case["ops"]:
        before = desk.raised(vp)
        if name in ("post", "signal"):
            sender = desk.child.vps[0 if words[0] == "self" else 1]
            answer = (
                sender.post_message(MESSAGE, 1, bytes([words[1]]), INPUT * PAGE)
                if name == "post"
                else sender.signal_event(EVENT, words[1])
            )
            status = -1 if isinstance(answer, Fault) else answer & 0xFFFF
        elif name in ("clear", "clear_without_eom"):
            vp.write_gpa(MESSAGES[0] * PAGE + 256 * SINT, bytes(4))
            if name == "clear":
                vp.wrmsr(Msr.EOM, 0)
        else:
            raise BadRequest(f"operation {name}", "", "post, signal, clear, clear_without_eom")
        last = desk.raised(vp) - before
    slot, flags = (_read(vp, page * PAGE + 256 * SINT) for page in (MESSAGES[0], FLAGS[0]))
    header = MessageHeader.decode(slot)
    return {
        "slot_type": header.type,
        "payload": slot[16],
        "msg_pending": header.flags & 1,
        "flag": PLAIN_FLAG,
        "set": flags[PLAIN_FLAG >> 3] >> (PLAIN_FLAG & 7) & 1,
        "status": status,
        "interrupts": last,
        "interrupts_after_second": last,
    }


def _read(vp: Vp, gpa: int) -> bytes:
    data = vp.read_gpa(gpa, 256)
    return bytes(256) if isinstance(data, Fault) else data


# a recording ---------------------------------------------------------------------------------------------------------


@dataclass
class Replay:
    """One virtual processor of a recording: what was recorded, what came of it here, and what was left out."""

    index: int
    desk: Desk = field(default_factory=lambda: Desk(False))
    recorded: list[tuple[str, int, int]] = field(default_factory=list)
    found: list[tuple[str, int, int]] = field(default_factory=list)
    where: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.vp = self.desk.child.vps[self.index]
        self.sint = 2

    def timer(self, number: int) -> Any:
        return self.desk.hv.state["timer"][0, self.vp.number, number]

    def expect(self, event: KvmEvent, *outcome: Any) -> None:
        self.recorded.append(outcome)
        self.where.append(event.line)

    def collect(self) -> None:
        """Note which interrupts the last action raised, and which expiries found their slot full."""
        trace = self.desk.machine.trace
        sint = self.sint
        for k, name in enumerate(trace.kinds()):
            if name == "slot_filled":
                sint = trace.fact(k, "sint")
            elif name in ("vector_raised", "vector_coalesced"):
                self.found.append(("raised", sint, trace.fact(k, "vector")))
            elif name == "message_queued":
                self.found.append(("full", trace.fact(k, "sint"), 0))
        with self.desk.hv.action():
            self.desk.hv.turn([(0, int(clockwork.ACCEPT), self.vp.number)])

    def write(self, msr: int, value: int) -> None:
        if self.vp.wrmsr(msr, value) is not None:
            self.found.append(("fault", msr, value))
        self.collect()

    def free(self) -> None:
        """Let the guest free the slot, if it is full."""
        with self.desk.hv.action():
            self.desk.hv.turn([(0, int(synic_ops.TAKE), self.vp.number, self.sint)])

    def reach(self, number: int) -> None:
        """Let time pass until a timer is due."""
        due, hv = int(self.timer(number)["due"]), self.desk.hv
        if due:
            with hv.action():
                born = int(hv.state["partition"]["born"][0, hv.slot_of(self.vp.number)])
                hv.turn((), until=born + due * 100)
            self.collect()

    # events ----------------------------------------------------------------------------------------------------------

    def set_msr(self, event: KvmEvent) -> None:
        if not event.by_guest:
            self.left_out["registers that the emulator set before the guest ran"] += 1
            return
        msr, data = event.words["msr"], event.words["data"]
        if msr == Msr.EOM:
            self.free()
        if Msr.SINT0 <= msr <= Msr.SINT15 and not data >> 16 & 1:
            self.sint = msr - Msr.SINT0
        self.write(msr, data)

    def set_timer(self, event: KvmEvent) -> None:
        if not event.by_guest:
            self.left_out["registers that the emulator set before the guest ran"] += 1
            return
        number, config = event.words["timer"], "config" in event.words
        self.write(Msr.STIMER0_CONFIG + 2 * number + (not config), event.words["config" if config else "count"])

    def started(self, event: KvmEvent) -> None:
        """KVM says until when a timer runs; so does ours."""
        number = event.words["timer"]
        self.expect(event, "until", number, event.words["count"])
        self.found.append(("until", number, int(self.timer(number)["due"])))

    def raised(self, event: KvmEvent, following: KvmEvent | None) -> None:
        words = event.words
        ahead = len(self.found) > len(self.recorded)  # an EOM has delivered it already
        self.expect(event, "raised", words["sint"], words["vector"])
        if ahead:
            return
        self.free()
        timed = following is not None and following.kind == "stimer_expiration" and following.words[SENT] == 0
        if timed and following is not None and self.timer(following.words["timer"])["due"]:
            self.reach(following.words["timer"])
            return
        self.left_out["SINTs raised for what the host sent, taken as one message each"] += 1
        if not self.desk.hv.state["port"]["owner"][0, 0]:
            self.desk.wire(words["sint"], self.index, 1)
        self.desk.machine.root_vp.post_message(
            MESSAGE, 1, b"from the host", self.desk.machine.vid.winhv.input_gpn * PAGE
        )
        self.collect()

    def expired(self, event: KvmEvent) -> None:
        """KVM says that a timer's message was delivered just now, or that the slot was full."""
        number = event.words["timer"]
        runs = int(self.timer(number)["due"]) != 0
        if event.words[SENT] == 0:
            self.expect(event, "expired", number, 0)
            if runs:
                self.reach(number)
            self.found.append(("expired", number, 0))
        elif runs:
            self.expect(event, "full", int(self.timer(number)["config"]) >> 16 & 15, 0)
            self.reach(number)
        else:
            self.left_out["retries of a timer that found the slot full again: KVM has no queue for it"] += 1


def kvm_trace(log: KvmLog) -> Count:
    """Replay what a real guest and host did, and compare what our SynIC raises."""
    count, left = Count(), Counter[str]()
    for vcpu in log.vcpus[:2]:
        replay = _replay(vcpu, log.of(vcpu))
        left += replay.left_out
        pairs = list(zip(replay.recorded, replay.found, strict=False))
        missing = len(replay.recorded) - len(replay.found)
        if -LATE <= missing < 0:
            left["outcomes after the last line of the recording"] -= missing
            missing = 0
        agree = np.array([ours == theirs for theirs, ours in pairs] + [False] * abs(missing), bool)
        count.add(agree, partial(_tell, replay))
    names = {"hypercall": "hypercalls without their input block", "send_ipi": "IPIs by hypercall"}
    for event in log.events:
        if event.vcpu < 0 and event.kind in names:
            left[names[event.kind]] += 1
    left["events that follow from these"] += sum(
        event.kind in ("hypercall_done", "notify_acked_sint", "stimer_callback") for event in log.events
    )
    parts = [f"{number:,} {what}" for what, number in sorted(left.items()) if number]
    count.note = "not compared: " + "; ".join(parts) if parts else ""
    return count


def _replay(vcpu: int, events: list[KvmEvent]) -> Replay:
    replay = Replay(vcpu)
    ours = [event for event in events if event.kind in HANDLERS or event.kind == "synic_set_irq"]
    for k, event in enumerate(ours):
        if event.kind == "synic_set_irq":
            replay.raised(event, ours[k + 1] if k + 1 < len(ours) else None)
        else:
            HANDLERS[event.kind](replay, event)
    return replay


HANDLERS = {
    "synic_set_msr": Replay.set_msr,
    "stimer_set_config": Replay.set_timer,
    "stimer_set_count": Replay.set_timer,
    "stimer_start_one_shot": Replay.started,
    "stimer_expiration": Replay.expired,
}


def _tell(replay: Replay, k: int) -> str:
    there = k < len(replay.recorded), k < len(replay.found)
    recorded = replay.recorded[k] if there[0] else "nothing"
    found = replay.found[k] if there[1] else "nothing"
    line = f"line {replay.where[k]}" if there[0] else "at the end"
    return f"VP {replay.index}, {line}: recorded {recorded}, found {found}"
