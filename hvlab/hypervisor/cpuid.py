"""What CPUID says about the hypervisor. Source: TLFS, feature and interface discovery.

SIMPLER THAN REAL: of the processor's own leaves only leaf 1 is there, and of it only the bit left to hypervisors.
"""

from hvlab.hardware import processor
from hvlab.hypervisor.core import Hypervisor
from hvlab.wire import cpuid
from hvlab.wire.cpuid import AddressBits, FeatureBits, HardwareBits, RecommendationBits

BUILD, MAJOR, MINOR = 20348, 10, 0  # a build number in use (Windows Server 2022), so that guests print something known
MASK = (1 << 32) - 1
NEVER_SPIN = MASK


def answer(hv: Hypervisor, vp: int, leaf: int) -> tuple[int, int, int, int]:
    """Return (EAX, EBX, ECX, EDX); leaves that are not there answer zeros."""
    words = _leaf(hv, vp, leaf)
    hv.tell("cpuid_answered", leaf=leaf, eax=words[0], ebx=words[1], ecx=words[2], edx=words[3])
    hv.spend("exit")
    return words


def _text(text: bytes) -> list[int]:
    return [int.from_bytes(text[k : k + 4], "little") for k in range(0, len(text), 4)]


def _leaf(hv: Hypervisor, vp: int, leaf: int) -> tuple[int, int, int, int]:
    privileges = int(hv.state["partition"]["privileges"][0, hv.slot_of(vp)])
    if leaf == cpuid.PRESENT_LEAF:
        return 0, 0, cpuid.HYPERVISOR_PRESENT, 0
    if leaf == cpuid.VENDOR:
        ebx, ecx, edx = _text(cpuid.VENDOR_NAME)
        return cpuid.HARDWARE, ebx, ecx, edx
    if leaf == cpuid.INTERFACE:
        return _text(cpuid.INTERFACE_NAME)[0], 0, 0, 0
    if leaf == cpuid.VERSION:
        return BUILD, MAJOR << 16 | MINOR, 0, 0
    if leaf == cpuid.FEATURES:
        return privileges & MASK, privileges >> 32, 0, FeatureBits.encode(hypercall_lock=1, translate_flags=1)
    if leaf == cpuid.RECOMMENDATIONS:
        hints = RecommendationBits.encode(hypercall_for_remote_flush=1, relaxed_timing=1, ex_masks=1)
        return hints, NEVER_SPIN, AddressBits.encode(physical_bits=int(hv.state["vp"]["phys_bits"][0, vp])), 0
    if leaf == cpuid.LIMITS:
        return processor.VPS, processor.LPS, 0, 0
    if leaf == cpuid.HARDWARE:
        return HardwareBits.encode(msr_bitmaps=1, second_level=1), 0, 0, 0
    return 0, 0, 0, 0
