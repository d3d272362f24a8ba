"""What KVM recorded of a real guest's SynIC: the kernel's trace points ``kvm_hv_*``.

One line is one event: ``TASK [CPU] FLAGS TIME: kvm_hv_synic_set_msr: vcpu_id 0 msr 0x40000083 data 0x288f001 host 0``.
`host 1` marks what the emulator itself set before the guest ran. Source: Linux arch/x86/kvm/trace.h.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from hvlab.capture.gate import text_lines
from hvlab.capture.source import Source, bytes_of
from hvlab.errors import BadFile
from hvlab.language import _
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.tlfs import Msr, Status

LINE: Final = re.compile(r"^\s*(\S{1,80})\s+\[\d{1,4}\] \S{2,8}\s+(\d{1,9}\.\d{1,9}): kvm_hv_(\w{1,40}): (.{0,400})$")
PAIR: Final = re.compile(r"(\w+) (-?(?:0x[0-9a-f]{1,16}|\d{1,20}))(?= |$)")
MSRS: Final = {msr.value: msr.name for msr in Msr}
STATUS: Final = {status.value: status.name for status in Status}
SENT: Final = "result"  # of a timer's expiry: 0 the message lies in its slot, -11 (EAGAIN) the slot was full
NAMES: Final = {0x0B: "SendSyntheticClusterIpi", 0x5C: "PostMessage", 0x5D: "SignalEvent"}


@dataclass(frozen=True)
class KvmEvent:
    """One recorded event: the line, when, what, by which task, with which numbers."""

    line: int
    seconds: float
    kind: str
    task: str
    words: dict[str, int]

    @property
    def vcpu(self) -> int:
        """The virtual processor; -1 where the line names none."""
        return self.words.get("vcpu_id", self.words.get("vcpu", -1))

    @property
    def by_guest(self) -> bool:
        """Whether the guest did it, not the emulator."""
        return self.words.get("host", 0) == 0


@dataclass(frozen=True)
class KvmLog:
    """The events of a trace, in order, and how many other lines it has."""

    events: tuple[KvmEvent, ...]
    others: int

    def __len__(self) -> int:
        return len(self.events)

    def of(self, vcpu: int) -> list[KvmEvent]:
        """Return the events of one virtual processor."""
        return [event for event in self.events if event.vcpu == vcpu]

    @property
    def vcpus(self) -> list[int]:
        """Return the virtual processors that the trace names."""
        return sorted({event.vcpu for event in self.events} - {-1})

    def runners(self) -> dict[str, int]:
        """Return which task runs which virtual processor: only that task writes its registers for the guest."""
        kinds = ("synic_set_msr", "stimer_set_count", "stimer_set_config")
        return {event.task: event.vcpu for event in self.events if event.kind in kinds and event.by_guest}

    def rows(self) -> list[tuple[str, str, int]]:
        """Return what happened how often: (what, in detail, how many times)."""
        seen = Counter(_row(event) for event in self.events)
        return [(what, detail, count) for (what, detail), count in sorted(seen.items())]

    def __repr__(self) -> str:
        head = (_("what"), _("in detail"), _("times"))
        table = [head, *((what, detail, f"{count:,}") for what, detail, count in self.rows())]
        wide = [max(len(row[k]) for row in table) for k in range(2)]
        last = max(6, len(head[2]))
        return "\n".join(f"{a.ljust(wide[0])}  {b.ljust(wide[1])}  {c.rjust(last)}" for a, b, c in table)


def call_name(code: int) -> str:
    """Return the name of a hypercall; its code where none is known."""
    return CALLS[code].name if code in CALLS else NAMES.get(code, f"{code:#06x}")


def event_words(event: KvmEvent) -> str:
    """Return the numbers of one event in words."""
    words = event.words
    if event.kind == "synic_set_msr":
        return f"{MSRS.get(words.get('msr', 0), hex(words.get('msr', 0)))} = {words.get('data', 0):#x}"
    if event.kind == "stimer_set_count":
        due = _("timer {timer}, due at {count} x 100 ns")
        return due.format(timer=words.get("timer", -1), count=f"{words.get('count', 0):,}")
    return _row(event)[1]


def _row(event: KvmEvent) -> tuple[str, str]:
    words, who = event.words, f"VP {event.vcpu}"
    if event.kind == "synic_set_msr":
        name = MSRS.get(words.get("msr", 0), f"{words.get('msr', 0):#x}")
        text = _("{name} by the guest, {who}") if event.by_guest else _("{name} by the emulator, {who}")
        return _("register written"), text.format(name=name, who=who)
    if event.kind == "synic_set_irq":
        text = _("SINT {sint}, vector {vector:#x}, {who}")
        return _("SINT raised"), text.format(sint=words.get("sint", -1), vector=words.get("vector", 0), who=who)
    if event.kind == "stimer_expiration":
        full = _("timer {timer}: its slot was full, {who}")
        text = full if words.get(SENT, 0) else _("timer {timer}: its message was delivered, {who}")
        return _("timer expired"), text.format(timer=words.get("timer", -1), who=who)
    if event.kind == "hypercall":
        return _("hypercall"), call_name(words.get("code", 0))
    if event.kind == "hypercall_done":
        status = words.get("result", 0) & 0xFFFF
        return _("hypercall answered"), STATUS.get(status, f"{status:#x}")
    if event.kind == "notify_acked_sint":
        return _("SINT acknowledged"), _("by EOM or EOI, {who}").format(who=who)
    if "timer" in words:
        return event.kind.replace("_", " "), _("timer {timer}, {who}").format(timer=words["timer"], who=who)
    return event.kind.replace("_", " "), who if event.vcpu >= 0 else _("any")


def kvm_log(path: Source) -> KvmLog:
    """Read a trace of KVM's Hyper-V events, packed by gzip or not.

    Raises
    ------
    BadFile
        For a file without one such line, or one that the import gate refuses.
    """
    found, others = list[KvmEvent](), 0
    path, data = bytes_of(path)
    for number, line in enumerate(text_lines(path, data), 1):
        parts = LINE.match(line)
        if parts is None:
            others += bool(line.strip())
            continue
        words = {name: int(value, 0) for name, value in PAIR.findall(parts[4])}
        found.append(KvmEvent(number, float(parts[2]), parts[3], parts[1], words))
    if not found:
        raise BadFile(path, "the text", "no line of kvm_hv_*", "a trace of KVM's Hyper-V events")
    return KvmLog(tuple(found), others)
