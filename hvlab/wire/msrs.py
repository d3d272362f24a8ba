"""The synthetic registers as one table: number, who may use it, how, and what its bits are.

Source: TLFS v6.0b appendix C and its web edition; Linux arch/x86/include/asm/hyperv-tlfs.h. A register that is not in
the table does not exist: RDMSR and WRMSR get #GP. So do those of capabilities that this hypervisor does not offer
(RESET, NPIEP, statistics, debugging, the time-unhalted timer, nesting).
"""

from dataclasses import dataclass

from hvlab.wire.struct import Word
from hvlab.wire.synic import (
    SINT_AT_RESET,
    SINTS,
    TIMERS,
    ReferenceTscMsr,
    Scontrol,
    Siefp,
    Simp,
    Sint,
    StimerConfig,
    VpAssistMsr,
)
from hvlab.wire.tlfs import GuestOsId, HypercallMsr, Msr, PrivilegeMask

READ, WRITE, BOTH = "R", "W", "R/W"
CRASH = "guest_crash_msrs"  # not a privilege: a feature bit of CPUID leaf 0x40000003, EDX


@dataclass(frozen=True)
class SyntheticRegister:
    """One register: `access` is R, W or R/W; `privilege` the bit that the partition needs; `word` its layout."""

    msr: Msr
    privilege: str
    access: str
    says: str
    word: type[Word] | None = None
    reset: int = 0
    shared: bool = False  # one for the partition; else one for each virtual processor

    @property
    def bit(self) -> int:
        """The privilege as a mask; 0 where none is asked for."""
        return 0 if self.privilege == CRASH else PrivilegeMask.mask(self.privilege)


_CALL, _TIME, _TSC = "access_hypercall_msrs", "access_partition_reference_counter", "access_partition_reference_tsc"
_APIC, _SYNIC, _TIMER = "access_apic_msrs", "access_synic_msrs", "access_synthetic_timer_msrs"
_FREQUENCY, _AGAIN = "access_frequency_msrs", "access_reenlightenment_ctrls"
_R = SyntheticRegister
_LIST = (
    _R(Msr.GUEST_OS_ID, _CALL, BOTH, "Who the guest says it is.", GuestOsId, shared=True),
    _R(Msr.HYPERCALL, _CALL, BOTH, "Where the hypercall page lies.", HypercallMsr, shared=True),
    _R(Msr.VP_INDEX, "access_vp_index", READ, "The processor's number in its partition."),
    _R(Msr.VP_RUNTIME, "access_vp_runtime_msr", READ, "How long it has run, in units of 100 ns."),
    _R(Msr.TIME_REF_COUNT, _TIME, READ, "The partition's age, in units of 100 ns.", shared=True),
    _R(Msr.REFERENCE_TSC, _TSC, BOTH, "Where the reference TSC page lies.", ReferenceTscMsr, shared=True),
    _R(Msr.TSC_FREQUENCY, _FREQUENCY, READ, "Ticks of the TSC in a second.", shared=True),
    _R(Msr.APIC_FREQUENCY, _FREQUENCY, READ, "Ticks of the APIC timer in a second.", shared=True),
    _R(Msr.EOI, _APIC, WRITE, "End of interrupt."),
    _R(Msr.ICR, _APIC, BOTH, "Interrupt command register, both halves at once."),
    _R(Msr.TPR, _APIC, BOTH, "Task priority."),
    _R(Msr.VP_ASSIST_PAGE, _APIC, BOTH, "Where the VP assist page lies.", VpAssistMsr),
    _R(Msr.SCONTROL, _SYNIC, BOTH, "The SynIC's main switch.", Scontrol),
    _R(Msr.SVERSION, _SYNIC, READ, "The SynIC's version."),
    _R(Msr.SIEFP, _SYNIC, BOTH, "Where the event flags page lies.", Siefp),
    _R(Msr.SIMP, _SYNIC, BOTH, "Where the message page lies.", Simp),
    _R(Msr.EOM, _SYNIC, BOTH, "Written: look for the next message. It reads 0."),
    *(
        _R(Msr(Msr.SINT0 + k), _SYNIC, BOTH, f"Synthetic interrupt source {k}.", Sint, SINT_AT_RESET)
        for k in range(SINTS)
    ),
    *(
        _R(Msr(Msr.STIMER0_CONFIG + 2 * k), _TIMER, BOTH, f"How synthetic timer {k} works.", StimerConfig)
        for k in range(TIMERS)
    ),
    *(
        _R(Msr(Msr.STIMER0_COUNT + 2 * k), _TIMER, BOTH, f"When timer {k} expires, or its period.")
        for k in range(TIMERS)
    ),
    _R(Msr.GUEST_IDLE, "access_guest_idle_msr", READ, "A read lets the processor sleep."),
    *(_R(Msr(Msr.CRASH_P0 + k), CRASH, BOTH, f"Word {k} of a crash report.", shared=True) for k in range(5)),
    _R(Msr.CRASH_CTL, CRASH, BOTH, "Written: the guest reports a crash.", shared=True),
    _R(Msr.REENLIGHTENMENT_CONTROL, _AGAIN, BOTH, "Tell the guest when it was moved.", shared=True),
    _R(Msr.TSC_EMULATION_CONTROL, _AGAIN, BOTH, "Keep the old TSC frequency after a move.", shared=True),
    _R(Msr.TSC_EMULATION_STATUS, _AGAIN, BOTH, "Whether the TSC is emulated now.", shared=True),
    _R(Msr.TSC_INVARIANT_CONTROL, "access_tsc_invariant_controls", BOTH, "Show the invariant TSC.", shared=True),
)
REGISTERS: dict[int, SyntheticRegister] = {int(register.msr): register for register in _LIST}
