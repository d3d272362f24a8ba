"""What the lines of a guest's boot log say, one by one: the bus, its drivers, their protocols, the devices they find.

A kind is a form of line that a kernel prints; its words are what stands in the form's places. Sources: Linux
drivers/hv (vmbus_drv.c, hv_util.c, hv_balloon.c), drivers/net/hyperv, drivers/scsi/storvsc_drv.c,
drivers/pci/controller/pci-hyperv.c, drivers/gpu/drm/hyperv, drivers/video/fbdev/hyperv_fb.c,
arch/x86/kernel/cpu/mshyperv.c; several versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hvlab.capture.devices import GUID
from hvlab.errors import plain
from hvlab.language import N_, _
from hvlab.wire.guids import CLASSES, INSTANCES, drivers

Word = int | str
VERSION: Final = r"(\d{1,5}\.\d{1,5})"
UNIT: Final = r"\d{1,5}:\d{1,5}:\d{1,5}:\d{1,5}"
_FORMS: Final = (  # kind, the form, what it tells; a word that is all digits is a number
    ("det", r"Hypervisor detected: Microsoft Hyper-V", N_("the kernel found Hyper-V by CPUID")),
    ("feat", r"Hyper-?V: privilege flags low (0x\w{1,16}), high (0x\w{1,16}),(?: ext 0x\w{1,16},)? "
     r"hints (0x\w{1,16}), misc (0x\w{1,16})", N_("privileges {0} and {1}, hints {2}, features {3}")),
    ("host", r"Hyper-V: Host Build ([\d.-]{5,40})", N_("the host's build is {0}")),
    ("nested", r"Hyper-V: Nested features: (0x\w{1,16})", N_("features for a hypervisor in the guest: {0}")),
    ("lapic", r"Hyper-V: LAPIC Timer Frequency: (0x\w{1,16})", N_("the APIC timer's frequency is {0}")),
    ("tlb", r"Hyper-V: Using hypercall for remote TLB flush", N_("other processors' TLBs are flushed by hypercall")),
    ("pvspin", r"Hyper-V: PV spinlocks (enabled|disabled)", N_("waiting for a lock may give up the processor: {0}")),
    ("ipi", r"Hyper-V: Using IPI hypercalls", N_("IPIs are sent by hypercall")),
    ("apic", r"Hyper-V: Using enlightened APIC \((\w{1,12}) mode\)", N_("APIC registers are synthetic MSRs ({0})")),
    ("vmbus_ver", rf"hv_vmbus: Vmbus version:{VERSION}", N_("both ends speak VMBus {0}")),
    ("vmbus_ver_old", rf"hv_vmbus: Hyper-V Host Build:([\d.-]{{5,40}}); Vmbus version:{VERSION}",
     N_("the host's build is {0}, both ends speak VMBus {1}")),
    ("unknown", rf"hv_vmbus: Unknown GUID: ({GUID})", N_("a device was offered that this kernel does not know: {0}")),
    ("reg", r"hv_vmbus: registering driver (\w{1,40})", N_("driver {0} is registered")),
    ("utilreg", r"hv_utils: Registering HyperV Utility Driver", N_("the integration services' driver is loaded")),
    ("util", rf"hv_utils: (\w{{1,20}}) IC version {VERSION}", N_("service {0} speaks version {1}")),
    ("dmver", rf"hv_balloon: Using Dynamic Memory protocol version {VERSION}", N_("Dynamic Memory speaks version {0}")),
    ("dmmax", r"hv_balloon: Max\. dynamic memory size: (\d{1,12}) MB", N_("memory may grow to {0} MB")),
    ("cold", r"hv_balloon: Cold memory discard hint (enabled|not supported by Hyper-V)",
     N_("the guest can tell which pages it does not need: {0}")),
    ("nvopen", r"hv_netvsc: hv_netvsc channel opened successfully", N_("a network adapter's channel is open")),
    ("nvsec", r"hv_netvsc vmbus_(\d{1,10}): Send section size: (\d{1,10}), Section count:(\d{1,10})",
     N_("adapter {0} sends from {2} sections of {1} bytes")),
    ("nvmac", r"hv_netvsc vmbus_(\d{1,10}): Device MAC ([\da-f:]{17}) link state (\w{1,8})",
     N_("adapter {0} has address {1}, link {2}")),
    ("synthvid", rf"hyperv_drm ({GUID}): \[drm\] Synthvid Version major (\d{{1,5}}), minor (\d{{1,5}})",
     N_("screen {0} speaks version {1}.{2}")),
    ("fb", r"hyperv_fb: Screen resolution: (\d{1,5}x\d{1,5}), Color depth: (\d{1,3})",
     N_("the screen has {0} points of {1} bits")),
    ("pciver", rf"hv_pci ({GUID}): PCI VMBus probing: Using version (0x\w{{1,8}})",
     N_("PCI bus {0} speaks version {1}")),
    ("pcibus", rf"hv_pci ({GUID}): PCI host bridge to bus (\w{{1,8}}):00", N_("PCI bus {0} is domain {1}")),
    ("pcidev", r"pci (\w{1,8}):00:(\w\w\.\w): \[(\w{4}:\w{4})\] type 00 class (0x\w{1,6}).{0,60}",
     N_("domain {0} has device {1}: {2}, class {3}")),
    ("scsihost", r"scsi host(\d{1,5}): storvsc_host_t", N_("storvsc is SCSI host {0}")),
    ("lun", rf"scsi ({UNIT}): (\S[\w -]{{1,30}}?) +Msft +(\S.{{0,40}}?) {{2,}}\S{{1,8}} +PQ: \d ANSI: (\d)",
     N_("unit {0}: {1}, {2}")),
    ("sd", rf"sd ({UNIT}): \[(\w{{1,12}})\] (\d{{1,15}}) \d{{1,6}}-byte logical blocks: (\(.{{1,40}}\))",
     N_("unit {0} is {1}, {2} blocks {3}")),
    ("tsc", r"tsc: Marking TSC unstable due to running on Hyper-V", N_("the processor's own TSC is not trusted here")),
    ("pvboot", r"Booting paravirtualized kernel on Hyper-V", N_("the kernel knows that it is a guest of Hyper-V")),
    ("clock", r"clocksource: (hyperv_clocksource_\w{1,40}): mask: .{1,200}", N_("a clock of Hyper-V is there: {0}")),
    ("csrc", r"clocksource: Switched to clocksource (\w{1,60})", N_("the kernel reads time from {0}")),
)  # fmt: skip
FORMS: Final = {kind: (re.compile(form), says) for kind, form, says in _FORMS}
CLOCK: Final = re.compile(r"\[ *(\d{1,9}\.\d{1,9})\]")


@dataclass(frozen=True)
class GuestEvent:
    """One line that has a meaning: its number, the kernel's clock (-1: not printed), its kind, what stands in it."""

    line: int
    seconds: float
    kind: str
    words: tuple[Word, ...] = ()

    def says(self) -> str:
        """Return it in words."""
        return _(FORMS[self.kind][1]).format(*(_shown(word) for word in self.words))


def event_of(line: int, raw: str, said: str) -> GuestEvent | None:
    """Return what a line says: `raw` as it stands in the log, `said` without clock, thread and host."""
    for kind, (form, _says) in FORMS.items():
        if parts := form.fullmatch(said):
            clock = CLOCK.search(raw)
            # a PCI domain such as 7525 is a name
            words = (int(word) if word.isdecimal() and not kind.startswith("pci") else word for word in parts.groups())
            return GuestEvent(line, float(clock[1]) if clock else -1.0, kind, tuple(words))
    return None


def _shown(word: Word) -> str:
    """A word for a reader: GUIDs that everybody has get their name."""
    known = CLASSES.get(str(word)) or INSTANCES.get(str(word))
    return f"{word} ({known.name}, {known.symbol})" if known else plain(str(word).strip(), 60)


def told(events: tuple[GuestEvent, ...]) -> Iterator[str]:
    """Tell the lines in order; of a driver, which classes of devices it serves."""
    serves = drivers()
    for event in events:
        clock = f"{event.seconds:10.3f} s" if event.seconds >= 0 else " " * 12
        names = [one.name for one in serves.get(_renamed(str(event.words[0])), [])] if event.kind == "reg" else []
        names += [_("sockets between host and guest")] if event.words[:1] == ("hv_sock",) else []
        serving = "; " + _("it serves {names}").format(names=", ".join(names)) if names else ""
        yield f"{clock}  {event.says()}{serving}"


def _renamed(driver: str) -> str:
    """A driver's name today; older kernels had others for two of them."""
    return {"hyperv_fb": "hyperv_drm", "hv_util": "hv_utils"}.get(driver, driver)
