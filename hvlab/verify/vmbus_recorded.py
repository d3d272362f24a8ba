"""What a recorded VMBus connection says, end by end: a folder with the guest's probes, the host's trace, and KVM's.

Words are as the probes printed them; nothing is put together or left out here but lines of other things.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hvlab.capture.kvmlog import KvmLog, kvm_log
from hvlab.capture.source import lines_of
from hvlab.wire.hypercalls import CODES
from hvlab.wire.tlfs import Msr

FILES: Final = {
    "probes": "l2_ftrace.txt",
    "sysfs": "l2_sysfs.txt",
    "host": "qemu_vmbus_trace.txt",
    "kvm": "l1_kvm_hv_trace.txt.gz",
    "flags": "flags.txt",
}
NUMBER: Final = re.compile(r"\b(\w+)=(0x[0-9a-f]+|\d+)")
PROBE: Final = re.compile(r": (\w+): \((\w+)\+0x[0-9a-f]+/0x[0-9a-f]+[^)]*\)(.*)$")
CALL: Final = re.compile(r"\]\s+\S+\s+[\d.]+: (\w+) <-(\w+)")
SYSFS: Final = re.compile(r"/devices/([0-9a-f-]{36})/(\S+) = (.*);$")
HOST: Final = re.compile(r":(\w+) (.*)$")
DIGITS: Final = re.compile(r"0x[0-9a-f]+|-?\d+(?:\.\d+)?")
Words = dict[str, int]


@dataclass
class Recorded:
    """One recorded connection.

    Attributes
    ----------
    sent, received, written, read : list of dict
        Leading words of the guest's messages, of the host's, and of packets in both directions.
    calls : list of str
        Functions of the guest's driver, where only these were recorded.
    host : list of tuple
        The host's trace points, with the numbers in each.
    kvm : KvmLog
    sysfs : dict
    flags : set of str
        The emulator's switches.
    """

    name: str
    sent: list[Words] = field(default_factory=list)
    received: list[Words] = field(default_factory=list)
    written: list[Words] = field(default_factory=list)
    read: list[Words] = field(default_factory=list)
    doorbells: int = 0
    calls: list[str] = field(default_factory=list)
    host: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    kvm: KvmLog = field(default_factory=lambda: KvmLog((), 0))
    sysfs: dict[str, str] = field(default_factory=dict)
    devices: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)

    # what can be read out of it --------------------------------------------------------------------------------------

    def registers(self) -> list[tuple[int, int, int]]:
        """Return the SynIC registers that the guest set, but EOM: (virtual processor, register, value)."""
        events = [one for one in self.kvm.events if one.kind == "synic_set_msr" and one.by_guest]
        words = [(one.vcpu, one.words["msr"], one.words["data"]) for one in events]
        return [one for one in words if one[1] != Msr.EOM]

    def hypercalls(self) -> list[tuple[int, int, int]]:
        """Return posts and signals: (code, input, status); the status is in the next answer that was recorded."""
        wanted, found = (CODES["PostMessage"], CODES["SignalEvent"]), list[tuple[int, int, int]]()
        events = self.kvm.events
        for k, one in enumerate(events):
            if one.kind == "hypercall" and one.words["code"] in wanted:
                done = next((later for later in events[k:] if later.kind == "hypercall_done"), None)
                status = done.words["result"] & 0xFFFF if done else -1
                found.append((one.words["code"], one.words["in"], status))
        return found

    def told(self, name: str) -> list[tuple[str, ...]]:
        """Return the numbers of each line of one of the host's trace points."""
        return [numbers for event, numbers in self.host if event == name]


def is_recording(folder: Path) -> bool:
    """Whether a folder holds such a recording."""
    return all((folder / FILES[name]).is_file() for name in ("probes", "host", "kvm"))


def read_folder(folder: Path) -> Recorded:
    """Read a recording."""
    found = Recorded(folder.name)
    _probes(found, folder / FILES["probes"])
    for _, line in lines_of(folder / FILES["host"])[1]:
        if parts := HOST.search(line):
            found.host.append((parts[1], tuple(DIGITS.findall(parts[2]))))
    found.kvm = kvm_log(folder / FILES["kvm"])
    if (folder / FILES["sysfs"]).is_file():
        for _, line in lines_of(folder / FILES["sysfs"])[1]:
            if parts := SYSFS.search(line):
                found.sysfs[parts[2]] = parts[3]
                found.devices = [parts[1]] if parts[1] not in found.devices else found.devices
    if (folder / FILES["flags"]).is_file():
        found.flags = {flag for _, line in lines_of(folder / FILES["flags"])[1] for flag in line.split(",")}
    return found


def _probes(found: Recorded, path: Path) -> None:
    for _, line in lines_of(path)[1]:
        if parts := PROBE.search(line):
            words = {name: int(value, 0) for name, value in NUMBER.findall(parts[3])}
            _probe(found, parts[1], words)
        elif parts := CALL.search(line):
            found.calls.append(parts[1])


def _probe(found: Recorded, name: str, words: Words) -> None:
    if name == "vmtx":
        found.sent.append(words)
    elif name.startswith("rx_vmbus_on"):
        found.received.append(words)
    elif name == "tx_pkt":
        found.written.append(words)
    elif name == "rx_pkt" and words["desc"]:
        found.read.append(words)
    elif name == "setevent":
        found.doorbells += 1
