"""Boot logs of Hyper-V guests, of old and new kernels."""

from fuzz.texts import pasted, read, samples, shown
from hvlab.capture.guestlog import guest_log, told_in_full
from hvlab.errors import BadFile

ALLOWED = (BadFile,)
MODULES = ("hvlab.capture.guestlog", "hvlab.capture.guestevents", "hvlab.capture.source", "hvlab.capture.busfields")
WORDS = (
    "[    0.865112] ",
    "[    T1] ",
    "hv_vmbus: Vmbus version:5.3",
    "Hyper-V: ",
    "privilege flags low 0xae7f, high 0x3b8030, ",
    "hints 0xc2c, misc 0xe0bed7b6",
    "Host Build ",
    "hv_vmbus: registering driver ",
    "hv_netvsc",
    "hv_utils: ",
    " IC version 3.0",
    "hv_pci ",
    "PCI host bridge to bus 7525:00",
    "Hypervisor detected: ",
    "some-host kernel: ",
    "features 0x1, privhigh: 0x2, ",
)


def seeds():
    yield from samples("dmesg_wsl2_host22000", "dmesg_host14393_old", "dmesg_kvm_host14393", "dmesg_dda_gpu_2016")
    yield from samples("dmesg_azure_gen1")
    yield b"Hyper-V: features 0x2e7f, privhigh: 0x3b8030, hints 0xc2c, misc 0xe0bed7b6\n"


def one(data: bytes) -> None:
    log = read(guest_log, data)
    if log is None:
        return
    shown("\n".join(told_in_full(log)))
    lines = len(pasted(data).split("\n"))
    assert 0 < len(log.lines) <= lines and len(log.lines) + log.others <= lines
    assert len(log.events) + len(log.odd) + len(log.left) <= lines
    assert all(value is None or 0 <= value < 1 << 32 for value in (log.low, log.high, log.hints, log.misc))
