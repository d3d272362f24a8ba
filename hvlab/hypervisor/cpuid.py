"""What CPUID says about the hypervisor. Source: TLFS, feature and interface discovery.

SIMPLER THAN REAL: of the processor's own leaves only leaf 1 is there, and of it only the bit left to hypervisors.
"""

from collections.abc import Callable

from hvlab.hardware import processor
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept_table import Reason
from hvlab.wire import cpuid
from hvlab.wire.cpuid import AddressBits, FeatureBits, HardwareBits, RecommendationBits

Words = tuple[int, int, int, int]
BUILD, MAJOR, MINOR = 20348, 10, 0  # a build number in use (Windows Server 2022), so that guests print something known
MASK = (1 << 32) - 1
NEVER_SPIN = MASK
FEATURES_HERE = FeatureBits.encode(
    guest_idle=1,
    frequency_msrs=1,
    guest_crash_msrs=1,
    polling=1,
    hypercall_lock=1,
    direct_timers=1,
    translate_flags=1,
)


def answer(hv: Hypervisor, vp: int, leaf: int) -> Words:
    """Return (EAX, EBX, ECX, EDX); leaves that are not there answer zeros."""
    words = held(hv, vp, leaf)
    hv.tell("cpuid_answered", leaf=leaf, eax=words[0], ebx=words[1], ecx=words[2], edx=words[3])
    hv.leave(vp, Reason.CPUID)
    return words


def held(hv: Hypervisor, vp: int, leaf: int) -> Words:
    """Return what the hypervisor would answer, without an exit."""
    return ANSWERS[leaf](hv, vp) if leaf in ANSWERS else NOTHING


def _text(text: bytes) -> list[int]:
    return [int.from_bytes(text[k : k + 4], "little") for k in range(0, len(text), 4)]


def _vendor(hv: Hypervisor, vp: int) -> Words:
    ebx, ecx, edx = _text(cpuid.VENDOR_NAME)
    return cpuid.LAST_LEAF, ebx, ecx, edx


def _features(hv: Hypervisor, vp: int) -> Words:
    privileges = int(hv.state["partition"]["privileges"][0, hv.slot_of(vp)])
    return privileges & MASK, privileges >> 32, 0, FEATURES_HERE


def _recommendations(hv: Hypervisor, vp: int) -> Words:
    width = AddressBits.encode(physical_bits=int(hv.state["vp"]["phys_bits"][0, vp]))
    return RecommendationBits.encode(hypercall_for_remote_flush=1, relaxed_timing=1, ex_masks=1), NEVER_SPIN, width, 0


NOTHING: Words = (0, 0, 0, 0)
ANSWERS: dict[int, Callable[[Hypervisor, int], Words]] = {
    cpuid.PRESENT_LEAF: lambda hv, vp: (0, 0, cpuid.HYPERVISOR_PRESENT, 0),
    cpuid.VENDOR: _vendor,
    cpuid.INTERFACE: lambda hv, vp: (_text(cpuid.INTERFACE_NAME)[0], 0, 0, 0),
    cpuid.VERSION: lambda hv, vp: (BUILD, MAJOR << 16 | MINOR, 0, 0),
    cpuid.FEATURES: _features,
    cpuid.RECOMMENDATIONS: _recommendations,
    cpuid.LIMITS: lambda hv, vp: (processor.VPS, processor.LPS, 0, 0),
    cpuid.HARDWARE: lambda hv, vp: (HardwareBits.encode(msr_bitmaps=1, second_level=1), 0, 0, 0),
}
