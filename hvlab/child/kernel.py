"""A guest's kernel as far as VMBus needs it: it finds out where it runs, switches on what it found, loads the driver.

The order is Linux's: CPUID, GUEST_OS_ID, hypercall page, then on each virtual processor SIMP, SIEFP, SINT 2 and
SCONTROL last. Source: Linux arch/x86/kernel/cpu/mshyperv.c, drivers/hv/hv_init.c, hv.c, vmbus_drv.c (facts).

A Windows guest says another identity, decides on the interface's name, and asks for version 6.0 first, with features
and a client id (openvmm vmbus_server, vmbus_core). Not known, and as Linux does it here: its vector, the order of its
registers, its handles.

SIMPLER THAN REAL: the guest runs without paging, at its physical addresses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hvlab.child.discovery import LINUX, Found, discover, enable_synic, establish
from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault, Vp
from hvlab.vmbus.channel import Knobs
from hvlab.vmbus.endpoint import Mailbox
from hvlab.vmbus.guest import Guest
from hvlab.vmbus.guest_base import FEATURES, LINUX_LIST
from hvlab.wire import cpuid, vmbus
from hvlab.wire.tlfs import GuestOsId

PAGE: Final = 4096
VECTOR: Final = 0xF3  # Linux HYPERVISOR_CALLBACK_VECTOR
NO_AUTO_EOI: Final = 1 << 9  # of the recommendations: Linux HV_DEPRECATING_AEOI_RECOMMENDED
WINDOWS: Final = GuestOsId.encode(vendor=1, os=4, major=10, build=20348)
CLIENT: Final = "5bd8b0c4-1f6e-4a0e-9f3c-6b1d2c3e4f50"  # our choice


@dataclass(frozen=True)
class Kind:
    """What differs between guests.

    Attributes
    ----------
    os_id : int
    by_vendor : bool
        It decides on the vendor's name in CPUID (Linux); else on the interface's.
    versions : tuple of str
        In the order in which it asks.
    features : int
        What it asks for from 6.0 on.
    """

    os_id: int
    by_vendor: bool
    versions: tuple[str, ...]
    features: int


KINDS: Final = {
    "linux": Kind(LINUX, True, LINUX_LIST, 0),
    "windows": Kind(WINDOWS, False, ("6.0", *LINUX_LIST), int(FEATURES)),
}


@dataclass(frozen=True)
class Places:
    """Where a kernel has its pages: page numbers of its own.

    Attributes
    ----------
    hypercall : int
    synic : tuple
        For each virtual processor: message page, flag page, page for the input of calls.
    monitor : tuple of int
        Interrupt page, the host's monitor page, the guest's own.
    frames : tuple of int
        What is free for rings and buffers, in the order in which it is taken.
    """

    hypercall: int
    synic: tuple[tuple[int, int, int], ...]
    monitor: tuple[int, int, int]
    frames: tuple[int, ...]


def places_from(first: int, pages: int, vps: int) -> Places:
    """Return places one after the other, from a page on."""
    synic = tuple((first + 1 + 3 * k, first + 2 + 3 * k, first + 3 + 3 * k) for k in range(vps))
    at = first + 1 + 3 * vps
    return Places(first, synic, (at, at + 1, at + 2), tuple(range(at + 3, pages)))


class Kernel:
    """A guest's kernel.

    Parameters
    ----------
    vps : sequence of Vp
        Its virtual processors.
    pages : int
        How much memory it has, from GPA 0 on.
    kind : str
        ``"linux"`` or ``"windows"``.
    places : Places, optional
        Where its pages are.

    Attributes
    ----------
    found : Found
        What it read out of CPUID.
    guest : Guest
        Its VMBus driver.
    """

    def __init__(
        self,
        vps: Sequence[Vp],
        pages: int,
        kind: str = "linux",
        versions: Sequence[str] | None = None,
        features: int | None = None,
        knobs: Knobs | None = None,
        idle: Callable[[], object] = lambda: None,
        places: Places | None = None,
    ) -> None:
        if kind not in KINDS:
            raise BadRequest(f"a guest {kind!r}", "", ", ".join(KINDS))
        how, self.kind = KINDS[kind], kind
        self.vps, self.found = list(vps), discover(vps[0])
        name = self.found.vendor if how.by_vendor else self.found.interface
        if name != (cpuid.VENDOR_NAME if how.by_vendor else cpuid.INTERFACE_NAME) or not self.found.enlightened:
            raise BadRequest("to use VMBus", self.found.why or "another hypervisor", "a guest of Hyper-V")
        where = places or places_from(16, pages, len(vps))
        self._done(establish(vps[0], where.hypercall, how.os_id))
        self.boxes = [self._synic(vp, *three) for vp, three in zip(vps, where.synic, strict=True)]
        interrupts, to_child, to_parent = (gpn * PAGE for gpn in where.monitor)
        self.guest = Guest(
            self.boxes,
            where.frames,
            how.versions if versions is None else versions,
            how.features if features is None else features,
            (interrupts, to_child, to_parent),
            knobs,
            idle,
            vmbus.guid(CLIENT),
        )

    def _synic(self, vp: Vp, message: int, flags: int, block: int) -> Mailbox:
        """Switch on the SynIC of one virtual processor, and make its driver's view of it."""
        auto_eoi = not self.found.hints & NO_AUTO_EOI
        self._done(enable_synic(vp, message, flags, VECTOR, vmbus.SINT, auto_eoi))
        return Mailbox(vp, message * PAGE, flags * PAGE, block * PAGE, auto_eoi)

    @staticmethod
    def _done(fault: Fault | None) -> None:
        if fault is not None:
            raise BadRequest("to switch the SynIC on", fault.kind, "a guest with the privilege, and pages in its pool")

    def service(self) -> bool:
        """Take the interrupts that wait; whether there were any."""
        return self.guest.service()

    def saved(self) -> Any:
        """Return what the kernel holds, as a copy."""
        return self.guest.saved()

    def restore(self, saved: Any) -> None:
        """Go back to what `saved` returned."""
        self.guest.restore(saved)


__all__ = ["KINDS", "Found", "Kernel"]
