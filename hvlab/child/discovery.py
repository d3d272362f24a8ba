"""How a guest finds out where it runs, and what it then switches on, in the order of a real kernel.

Source: TLFS, feature and interface discovery; Linux arch/x86/kernel/cpu/mshyperv.c, drivers/hv/hv_init.c, hv.c (facts).
"""

from dataclasses import dataclass, field

from hvlab.hypervisor.vp import Fault, Vp
from hvlab.wire import cpuid
from hvlab.wire.synic import VMBUS_SINT, Scontrol, Siefp, Simp, Sint
from hvlab.wire.tlfs import HypercallMsr, Msr, PrivilegeMask

NEEDED = ("access_hypercall_msrs", "access_vp_index")  # without these a guest cannot be enlightened
LINUX = 0x8100 << 48 | 0x060100 << 16  # open source, Linux, kernel version 6.1


@dataclass
class Found:
    """What a guest found, leaf by leaf in the order in which it asked.

    Attributes
    ----------
    asked : list of int
        The leaves.
    vendor, interface : bytes
        The two signatures. The TLFS says to decide on the interface; Linux decides on the vendor.
    privileges : int
        EBX over EAX of leaf 0x40000003.
    why : str
        What stopped it; "" if it runs on a hypervisor of this interface.
    """

    asked: list[int] = field(default_factory=list)
    vendor: bytes = b""
    interface: bytes = b""
    privileges: int = 0
    features: int = 0
    hints: int = 0
    why: str = ""

    @property
    def enlightened(self) -> bool:
        """Whether the guest may use the hypervisor's interface."""
        return not self.why

    def may(self, privilege: str) -> bool:
        """Whether the partition has a privilege."""
        return bool(self.privileges & PrivilegeMask.mask(privilege))


def discover(vp: Vp) -> Found:
    """Let a virtual processor ask CPUID, and stop at the first answer that makes the rest meaningless."""
    found = Found()

    def ask(leaf: int) -> tuple[int, int, int, int]:
        found.asked.append(leaf)
        return vp.cpuid(leaf)

    if not ask(cpuid.PRESENT_LEAF)[2] & cpuid.HYPERVISOR_PRESENT:
        found.why = "no hypervisor"
        return found
    last, *name = ask(cpuid.VENDOR)
    found.vendor = b"".join(word.to_bytes(4, "little") for word in name)
    if last < cpuid.LIMITS:
        found.why = "too few leaves"
        return found
    found.interface = ask(cpuid.INTERFACE)[0].to_bytes(4, "little")
    if found.interface != cpuid.INTERFACE_NAME:
        found.why = "another interface"
        return found
    low, high, _, found.features = ask(cpuid.FEATURES)
    found.privileges = high << 32 | low
    found.hints = ask(cpuid.RECOMMENDATIONS)[0]
    ask(cpuid.LIMITS)
    ask(cpuid.HARDWARE)
    missing = [privilege for privilege in NEEDED if not found.may(privilege)]
    found.why = f"without {', '.join(missing)}" if missing else ""
    return found


def establish(vp: Vp, gpn: int, os_id: int = LINUX) -> Fault | None:
    """Say who the guest is, then let the hypercall page come: the enable bit does not stick in the other order."""
    if fault := vp.wrmsr(Msr.GUEST_OS_ID, os_id):
        return fault
    return vp.wrmsr(Msr.HYPERCALL, HypercallMsr.encode(enable=1, gpn=gpn))


def enable_synic(
    vp: Vp, message_gpn: int, flags_gpn: int, vector: int, sint: int = VMBUS_SINT, auto_eoi: bool = True
) -> Fault | None:
    """Switch the SynIC on as Linux does: both pages, the SINT, and SCONTROL last."""
    for register, value in (
        (Msr.SIMP, Simp.encode(enable=1, gpn=message_gpn)),
        (Msr.SIEFP, Siefp.encode(enable=1, gpn=flags_gpn)),
        (Msr(Msr.SINT0 + sint), Sint.encode(vector=vector, auto_eoi=int(auto_eoi))),
        (Msr.SCONTROL, Scontrol.encode(enable=1)),
    ):
        if fault := vp.wrmsr(register, value):
            return fault
    return None


def disable_synic(vp: Vp, sint: int = VMBUS_SINT) -> Fault | None:
    """Switch it off again: the SINT masked, the pages, SCONTROL."""
    for register, value in (
        (Msr(Msr.SINT0 + sint), Sint.encode(masked=1)),
        (Msr.SIMP, 0),
        (Msr.SIEFP, 0),
        (Msr.SCONTROL, 0),
    ):
        if fault := vp.wrmsr(register, value):
            return fault
    return None
