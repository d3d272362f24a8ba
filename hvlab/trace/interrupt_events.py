"""The catalogue, third part: an interrupt is raised, accepted, handled and ended.

The actor is the virtual processor whose local APIC it is; who sent the interrupt stands in the cause.

A part of the catalogue imports the part before it: compiled code, kept on disk, holds the numbers, and they must not
depend on what a program imports first.
"""

from hvlab.trace import hypervisor_events  # noqa: F401  its numbers come first
from hvlab.trace.event import event
from hvlab.trace.events import PROCESSOR
from hvlab.trace.words import ENUMS

ENUMS |= {
    "trigger": {0: "edge", 1: "level"},
}

SDM_APIC = "Intel SDM vol. 3A, local APIC: interrupt acceptance for fixed interrupts"
SDM_EOI = "Intel SDM vol. 3A, local APIC: signalling interrupt servicing completion"
SDM_ERRORS = "Intel SDM vol. 3A, local APIC: error handling"


@event(
    box=PROCESSOR,
    says="VP {actor}'s APIC notes vector {vector:hex} ({level:enum:trigger}): it waits in IRR.",
    rule=SDM_APIC,
)
def vector_raised(vector, level):
    """An interrupt reached the local APIC; its bit in IRR went from 0 to 1."""


@event(
    box=PROCESSOR,
    says="VP {actor}'s APIC has vector {vector:hex} waiting already: the two become one.",
    rule=SDM_APIC,
)
def vector_coalesced(vector, level):
    """The bit in IRR was set already; one bit can tell of one interrupt only."""


@event(
    box=PROCESSOR,
    says="VP {actor}'s APIC refuses vector {vector:hex}: vectors below 16 are illegal.",
    rule=SDM_ERRORS,
)
def vector_refused(vector, errors):
    """Nothing waits; the error is shown after the next write to ESR. `errors`: what was collected so far."""


@event(
    box=PROCESSOR,
    says="VP {actor}'s APIC is switched off and drops vector {vector:hex}.",
    rule="Intel SDM vol. 3A, local APIC state after it has been software disabled",
)
def vector_dropped(vector, level):
    """Fixed interrupts are not taken without the enable bits of APIC_BASE and SVR."""


@event(
    box=PROCESSOR,
    says="VP {actor} takes vector {vector:hex}: it moves from IRR to ISR.",
    rule="Intel SDM vol. 3A, local APIC: interrupt, task and processor priority",
)
def vector_delivered(vector, priority):
    """The processor accepted its highest interrupt; `priority` is PPR from now on."""


@event(
    box=PROCESSOR,
    says="VP {actor} takes vector {vector:hex}, and needs no EOI for it (auto-EOI).",
    rule="TLFS, SINT: AutoEOI",
)
def vector_delivered_and_ended(vector, priority):
    """The bit left IRR and no bit was set in ISR; `priority` is PPR, unchanged."""


@event(
    box=PROCESSOR,
    says="VP {actor}'s APIC ends vector {vector:hex} ({level:enum:trigger}), its highest in service.",
    rule=SDM_EOI,
)
def vector_ended(vector, level, priority):
    """An EOI cleared the highest bit of ISR; `priority` is PPR from now on."""


@event(box=PROCESSOR, says="VP {actor}'s APIC gets an EOI with nothing in service.", rule=SDM_EOI)
def eoi_without_interrupt(priority):
    """Nothing changed."""
