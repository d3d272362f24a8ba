"""The catalogue, third part: an interrupt is raised, accepted, handled and ended.

The actor is the virtual processor whose local APIC it is; who sent the interrupt stands in the cause.

A part of the catalogue imports the part before it: compiled code, kept on disk, holds the numbers, and they must not
depend on what a program imports first.
"""

from hvlab.trace import hypervisor_events  # noqa: F401  its numbers come first
from hvlab.trace.event import event
from hvlab.trace.events import HYPERVISOR, MEMORY, PROCESSOR
from hvlab.trace.words import ENUMS
from hvlab.wire.apic import Offset

ENUMS |= {
    "trigger": {0: "edge", 1: "level"},
    "timer_mode": {0: "one-shot", 1: "periodic", 2: "TSC deadline"},
    "masked": {0: "", 1 << 16: ", which is masked"},
    "saver": {1: "by clearing a bit of the assist page", 2: "and the processor itself takes it"},
    "apic_register": {register.value: register.name for register in Offset},
}

SDM_APIC = "Intel SDM vol. 3A, local APIC: interrupt acceptance for fixed interrupts"
SDM_EOI = "Intel SDM vol. 3A, local APIC: signalling interrupt servicing completion"
SDM_IPI = "Intel SDM vol. 3A, local APIC: issuing interprocessor interrupts"
SDM_TIMER = "Intel SDM vol. 3A, local APIC: APIC timer; TSC-deadline mode"
SDM_NMI = "Intel SDM vol. 3A, nonmaskable interrupt (NMI): handling multiple NMIs"
SDM_START = "Intel SDM vol. 3A, multiple-processor initialization: INIT and start-up IPIs"
PIN = "Intel 82093AA, I/O redirection table registers"
ASSIST = "TLFS, virtual interrupts: EOI assist"
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
def vector_ended(vector, level):
    """An EOI cleared the highest bit of ISR; with it the processor priority may fall."""


@event(box=PROCESSOR, says="VP {actor}'s APIC gets an EOI with nothing in service.", rule=SDM_EOI)
def eoi_without_interrupt(priority):
    """Nothing changed."""


@event(
    box=PROCESSOR,
    says="VP {actor} sets its task priority to {value:hex}; its processor priority is {priority:hex}.",
    rule="Intel SDM vol. 3A, local APIC: interrupt, task and processor priority",
)
def tpr_written(value, priority):
    """Vectors of a class at or below the processor priority wait."""


@event(
    box=PROCESSOR,
    says="VP {actor} writes {value:hex} to {register:enum:apic_register} of its local APIC.",
    rule="Intel SDM vol. 3A, local APIC: the local APIC registers",
)
def apic_written(register, value):
    """A register without an event of its own changed."""


@event(
    box=PROCESSOR,
    says="VP {actor} writes EOI and leaves the guest for it.",
    rule="TLFS, virtual interrupts: EOI assist; Intel SDM vol. 3C, APIC virtualization",
)
def eoi_written(ends):
    """The write was intercepted; `ends` interrupts end: one more than one if an EOI was saved just before."""


@event(box=PROCESSOR, says="VP {actor} ends vector {vector:hex} {by:enum:saver}: no exit.", rule=ASSIST)
def eoi_saved(vector, by):
    """An EOI that cost no exit. With the assist page, the hypervisor learns of it the next time it looks."""


@event(
    box=HYPERVISOR,
    says="The hypervisor tells VP {actor} in its assist page: no EOI required ({old:hex} becomes {new:hex}).",
    rule=ASSIST,
)
def assist_offered(spa, old, new):
    """The interrupt is an edge one, and nothing else waits: whether its EOI comes now or later changes nothing."""


@event(
    box=HYPERVISOR,
    says="The hypervisor takes its offer to VP {actor} back: an EOI is required ({old:hex} becomes {new:hex}).",
    rule=ASSIST,
)
def assist_withdrawn(spa, old, new):
    """Something came to wait behind the interrupt in service: the hypervisor must see the EOI."""


@event(
    box=MEMORY,
    says="VP {actor} clears a bit of its assist page at SPA {spa:spa}: {old:hex} becomes {new:hex}.",
    rule=ASSIST,
)
def assist_cleared(spa, old, new):
    """The guest tests and clears the bit in one locked instruction; it was set, so it writes no EOI."""


@event(
    box=PROCESSOR,
    says="VP {actor} sends an IPI, command {command:hex}: it means the processors {targets:hex}.",
    rule=SDM_IPI,
)
def ipi_sent(command, targets):
    """The interrupt command register was written; `targets` are the machine's numbers of VPs, as bits."""


@event(
    box=PROCESSOR,
    says="VP {actor}'s APIC sends no IPI: the vector of command {command:hex} is below 16.",
    rule=SDM_ERRORS,
)
def ipi_refused(command, errors):
    """The error is shown after the next write to ESR."""


@event(box=PROCESSOR, says="VP {actor} gets an NMI; {waiting} wait.", rule=SDM_NMI)
def nmi_raised(waiting):
    """A nonmaskable interrupt arrived: neither TPR nor the interrupt flag holds it back."""


@event(box=PROCESSOR, says="VP {actor} gets an NMI, and {waiting} wait already: it is lost in them.", rule=SDM_NMI)
def nmi_merged(waiting):
    """No more are remembered."""


@event(box=PROCESSOR, says="VP {actor} takes an NMI; the next waits until IRET.", rule=SDM_NMI)
def nmi_taken(waiting):
    """The handler of vector 2 runs."""


@event(box=PROCESSOR, says="VP {actor} executes IRET: the next NMI may come.", rule=SDM_NMI)
def nmi_ended(waiting):
    """The handler of vector 2 is over."""


@event(box=PROCESSOR, says="VP {actor} gets INIT: its APIC is reset, and it waits for a start-up IPI.", rule=SDM_START)
def init_received(lost):
    """The registers are as after reset, but ID and APIC_BASE; `lost`: interrupts that waited, in all so far."""


@event(box=PROCESSOR, says="VP {actor} gets a start-up IPI: it is to begin at page {page:hex}.", rule=SDM_START)
def startup_received(page):
    """The processor waited for it."""


@event(box=PROCESSOR, says="VP {actor} ignores a start-up IPI: it does not wait for one.", rule=SDM_START)
def startup_ignored(page):
    """Systems send two; the second finds the processor running."""


@event(
    box=PROCESSOR,
    says="VP {actor} sets its APIC timer ({mode:enum:timer_mode}): due at {due:time} (0: stopped).",
    rule=SDM_TIMER,
)
def apic_timer_set(due, mode):
    """The initial count or the deadline was written."""


@event(
    box=PROCESSOR,
    says="VP {actor}'s APIC timer ({mode:enum:timer_mode}) reaches zero: vector {vector:hex}{masked:enum:masked}.",
    rule=SDM_TIMER,
)
def apic_timer_expired(vector, mode, masked):
    """The count is zero, or the time stamp counter passed the deadline."""


@event(
    box=PROCESSOR,
    says="The I/O APIC's pin {pin} sends vector {vector:hex} ({level:enum:trigger}) to {targets:hex}.",
    rule=PIN,
)
def pin_sent(pin, vector, level, targets):
    """An edge came, or a level is asserted and may be sent; `targets` are the machine's numbers of VPs, as bits."""


@event(box=PROCESSOR, says="The I/O APIC's pin {pin} is masked: vector {vector:hex} is not sent.", rule=PIN)
def pin_masked(pin, vector):
    """An edge is lost; a level is sent when the mask goes and the pin is still asserted."""


@event(box=PROCESSOR, says="The I/O APIC's pin {pin} holds vector {vector:hex} back: its EOI has not come.", rule=PIN)
def pin_held(pin, vector):
    """Remote IRR is set: a level that was sent and not ended is not sent again."""


@event(
    box=PROCESSOR, says="The I/O APIC's pin {pin} hears that vector {vector:hex} ended; asserted: {asserted}.", rule=PIN
)
def pin_ended(pin, vector, asserted):
    """Remote IRR is clear; a pin that is still asserted sends again."""


@event(box=PROCESSOR, says="The I/O APIC's entry {pin} is now {entry:hex}.", rule=PIN)
def pin_programmed(pin, entry):
    """Software wrote a redirection entry."""
