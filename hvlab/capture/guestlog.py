"""What a Linux guest prints about Hyper-V while it boots: its privileges, hints, features and the host's build.

The kernel read these numbers with CPUID (leaves 0x40000002 to 0x40000004); here they are taken apart again and set
beside the other lines of the same log. A log may come from a file or be pasted as text. Lines of a form that is not
known are counted, never guessed at; clock, thread and syslog prefixes are dropped, and with them a host's name.

Sources of the forms: Linux arch/x86/kernel/cpu/mshyperv.c, several versions; drivers/hv/vmbus_drv.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from hvlab.capture.busfields import version_means, version_value
from hvlab.capture.gate import text_lines
from hvlab.capture.guestevents import GuestEvent, event_of, told
from hvlab.capture.source import Source, Unknown, bytes_of, left_over, safe, unknown
from hvlab.errors import BadFile, plain
from hvlab.language import _
from hvlab.trace.words import grouped
from hvlab.wire.cpuid import FeatureBits, RecommendationBits
from hvlab.wire.struct import Word
from hvlab.wire.tlfs import PrivilegeMask

PREFIX: Final = (
    re.compile(  # level, host and date of syslog; the clock, or the date that `dmesg -T` makes of it; thread
        r"^(?:<\d{1,3}>|\w{1,8} *:\w{1,8} *: )?(?:[^\[\]]{0,80}kernel: ?)?"
        r"(?:\[(?: *\d{1,9}\.\d{1,9}|\w{3} \w{3} [ \d]\d [\d:]{8} \d{4})\] ?)?(?:\[ *[TC]\d{1,7}\] ?)?"
    )
)
NUMBER: Final = r"0x([0-9a-fA-F]{1,16})"
FLAGS: Final = re.compile(
    rf"^Hyper-?V: privilege flags low {NUMBER}, high {NUMBER},(?: ext {NUMBER},)? hints {NUMBER}, misc {NUMBER}$"
)
OLDER: Final = re.compile(
    rf"^Hyper-?V: features {NUMBER},(?: privhigh: {NUMBER},)? hints {NUMBER}(?:, misc {NUMBER})?$"
)
DETECTED: Final = re.compile(r"^Hypervisor detected: (.{1,60})$")
BUILD: Final = re.compile(r"^Hyper-V: Host Build ([0-9.\-]{5,40})$|^hv_vmbus: Hyper-V Host Build:([0-9.\-]{5,40});")
VMBUS: Final = re.compile(r"Vmbus version:(\d{1,3}\.\d{1,3})$")
OURS: Final = re.compile(r"^(Hyper-?V: |Hypervisor detected: |hv_\w{1,20}|hyperv_\w{1,20}|scsi |hid_hyperv)|Hyper-V")
LIES_IN: Final = {"low": 0xFFFF_FFFF, "high": 0xFFFF_FFFF, "hints": 0xFFFF_FFFF, "misc": 0xFFFF_FFFF}
EXPLAINS: Final = (  # a line of the log, and the hint behind it. Source: Linux mshyperv.c, hv_apic.c, mmu.c
    ("Using hypercall for remote TLB flush", 2),
    ("Using enlightened APIC", 3),
    ("Using IPI hypercalls", 10),
)
ABSENT: Final = ("create_partitions", "access_memory_pool", "access_partition_id", "access_reset_msr")


@dataclass(frozen=True)
class GuestLog:
    """What a guest's boot log says.

    Attributes
    ----------
    detected, build, vmbus : str
        The hypervisor that the kernel took it for, the host's build, the VMBus version; empty where nothing is said.
    low, high, hints, misc : int or None
        EAX and EBX of leaf 0x40000003, EAX of leaf 0x40000004, EDX of leaf 0x40000003.
    lines : tuple of str
        The lines about Hyper-V, without their prefixes.
    others : int
        How many other lines there are.
    events : tuple of GuestEvent
        What those lines say whose form is known, of whatever part of the kernel.
    odd, left : tuples of Unknown
        Lines about Hyper-V of no form that is known, and lines of other parts of the kernel.
    """

    detected: str = ""
    build: str = ""
    vmbus: str = ""
    low: int | None = None
    high: int | None = None
    hints: int | None = None
    misc: int | None = None
    lines: tuple[str, ...] = field(default=(), repr=False)
    others: int = 0
    events: tuple[GuestEvent, ...] = field(default=(), repr=False)
    odd: tuple[Unknown, ...] = field(default=(), repr=False)
    left: tuple[Unknown, ...] = field(default=(), repr=False)

    @property
    def privileges(self) -> int | None:
        """The privilege mask, high half over low half; None if the log does not print both."""
        return None if self.low is None or self.high is None else self.high << 32 | self.low

    def holds(self, name: str) -> bool:
        """Whether the guest has a privilege, by its name in `PrivilegeMask`; False where the log does not say."""
        return bool((self.privileges or 0) & PrivilegeMask.mask(name))

    def hint_bits(self) -> list[int]:
        """The bits of the hints that are set."""
        return [bit for bit in range(32) if (self.hints or 0) >> bit & 1]

    def features(self) -> list[str]:
        """The names of the features that `misc` announces."""
        return [one.name for one in FeatureBits.fields if (self.misc or 0) >> one.lo & 1]

    def explained(self) -> list[tuple[str, int, bool]]:
        """Lines of the log that a hint explains: (line, bit, whether the hint is set)."""
        found = ((line, bit) for start, bit in EXPLAINS for line in self.lines if f"Hyper-V: {start}" in line)
        return [(line.removeprefix("Hyper-V: "), bit, bit in self.hint_bits()) for line, bit in found]

    def __repr__(self) -> str:
        return "\n".join(self._told())

    def _told(self) -> Iterator[str]:
        heads = [_("Hypervisor"), _("Host build"), "VMBus", _("Privileges"), _("Hints"), _("Features")]
        wide = max(map(len, heads)) + 3
        detected, build, vmbus, privileges, hints, features = (head.ljust(wide) for head in heads)
        yield detected + (plain(self.detected, 60) or _("not said"))
        yield build + (self.build or _("not said"))
        yield vmbus + (self.vmbus or _("not said"))
        if self.privileges is None:
            yield privileges + _("this log does not print them; dmesg | grep 'privilege flags' on a newer kernel does")
        else:
            halves = _("{mask} (high {high:#x}, low {low:#x})")
            yield privileges + halves.format(mask=grouped(self.privileges, 16), high=self.high, low=self.low)
            yield from _set_bits(PrivilegeMask, self.privileges)
            names = ", ".join(f"{name} ({PrivilegeMask.lo(name)})" for name in self._absent())
            yield "  " + _("not given: {names}").format(names=names)
        if self.hints is not None:
            bits = ", ".join(map(str, self.hint_bits())) or _("none")
            yield hints + _("{value:#x}: bits {bits}").format(value=self.hints, bits=bits)
            yield from _set_bits(RecommendationBits, self.hints)
        for line, bit, there in self.explained():
            why = _("{line} in the log: because of hint {bit}") if there else _("{line} in the log: without hint {bit}")
            yield "  " + why.format(line=repr(line), bit=bit)
        if self.misc is not None:
            named = _("{value:#x}: {count} with a name here")
            yield features + named.format(value=self.misc, count=len(self.features()))
        counts = _("{lines} lines about Hyper-V, {others} others left aside")
        yield counts.format(lines=len(self.lines), others=self.others)

    def _absent(self) -> list[str]:
        return [name for name in ABSENT if not self.holds(name)]


def told_in_full(log: GuestLog) -> Iterator[str]:
    """Tell a log line by line: what each says, what the VMBus version means, and what is not known."""
    yield repr(log)
    yield ""
    yield _("What its lines say:")
    yield from told(log.events)
    if log.vmbus:
        yield ""
        yield from version_means(version_value(log.vmbus))
    yield from left_over(log.odd)
    if log.left:
        yield _("Lines of other parts of the kernel:")
        yield from left_over(log.left)


def _set_bits(word: type[Word], value: int) -> Iterator[str]:
    for one in word.fields:
        if value >> one.lo & 1:
            yield f"  {_('bit {number:2}').format(number=one.lo)}  {one.name}: {one.doc}"
    left = word.undeclared(value)
    if left:
        bits = ", ".join(str(bit) for bit in range(64) if left >> bit & 1)
        yield "  " + _("bits {bits}: no name here").format(bits=bits)


def guest_log(source: Source) -> GuestLog:
    """Read a boot log: a file, or the text itself (whatever holds a line break, or begins with a clock).

    Raises
    ------
    BadFile
        For a text without a line about Hyper-V, numbers of more than 32 bits, two different statements of one thing,
        or whatever the import gate refuses.
    """
    name, data = bytes_of(source)
    found: dict[str, Any] = {}
    ours, others = [], 0
    events, odd, left = list[GuestEvent](), list[Unknown](), list[Unknown]()
    for number, line in enumerate(text_lines(name, data), 1):
        said = PREFIX.sub("", line.strip(), count=1).strip()
        if event := event_of(number, line, said):
            events.append(event)
        if not OURS.search(said):
            others += bool(said)
            left += [unknown(number, said)] if said and not event else []
            continue
        ours.append(safe(said))
        read = list(_read(said))
        odd += [] if event or read else [unknown(number, said)]
        for key, value in read:
            _once(name, number, found, key, value)
    if not ours:
        raise BadFile(name, "the text", "no line about Hyper-V", "the boot log of a Hyper-V guest, as dmesg prints it")
    return GuestLog(**found, lines=tuple(ours), others=others, events=tuple(events), odd=tuple(odd), left=tuple(left))


def _read(said: str) -> Iterator[tuple[str, Any]]:
    if match := FLAGS.match(said):
        low, high, _ext, hints, misc = match.groups()
        yield from (("low", low), ("high", high), ("hints", hints), ("misc", misc))
    elif match := OLDER.match(said):
        yield from (pair for pair in zip(("low", "high", "hints", "misc"), match.groups(), strict=True) if pair[1])
    if match := DETECTED.match(said):
        yield "detected", match[1]
    if match := BUILD.search(said):
        yield "build", match[1] or match[2]
    if match := VMBUS.search(said):
        yield "vmbus", match[1]


def _once(file: object, number: int, found: dict[str, Any], key: str, value: Any) -> None:
    if key in LIES_IN:
        value = int(value, 16)
        if value > LIES_IN[key]:
            raise BadFile(file, f"line {number:,}", f"{key} {value:#x}", "a number of 32 bits, one CPUID register")
    if found.setdefault(key, value) != value:
        raise BadFile(file, f"line {number:,}", f"another {key} than before", "the log of one boot of one guest")
