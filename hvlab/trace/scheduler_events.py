"""The catalogue, fourth part: which virtual processor runs where, and why another one does not.

The actor is the virtual processor that it is about.
"""

from hvlab.trace import interrupt_events  # noqa: F401  its numbers come first
from hvlab.trace.event import event
from hvlab.trace.events import GUEST, HYPERVISOR, PROCESSOR
from hvlab.trace.words import ENUMS

ENUMS |= {
    "ready": {
        1: "it was started",
        2: "an interrupt waits for it",
        3: "its pause is over",
        4: "its cap allows it again",
    },
    "stop": {
        1: "it halts",
        2: "its time slice is over",
        3: "its cap is used up",
        4: "another one goes before it",
        5: "it is suspended",
    },
}

TYPES = "Microsoft, Managing Hyper-V hypervisor scheduler types"
TLFS_SCHEDULER = "TLFS, virtual processor management: virtual processor dispatch"
TLFS_IDLE = "TLFS, virtual processor idle sleep state; Intel SDM vol. 2, HLT"
TLFS_CAP = "Microsoft, hypervisor: CPU cap, CPU reserve, CPU weight (partition properties)"
SDM_EXIT = "Intel SDM vol. 3C, VM exits: external interrupts"


@event(box=HYPERVISOR, says="VP {actor} is ready to run: {why:enum:ready}.", rule=TLFS_SCHEDULER)
def vp_ready(why):
    """The virtual processor waits for a logical processor from now on; that wait is its steal time."""


@event(
    box=HYPERVISOR,
    says="The hypervisor lets VP {actor} run on processor {lp}; it had waited {waited:time}.",
    rule=TLFS_SCHEDULER,
)
def vp_scheduled(lp, waited, partition, before):
    """A logical processor runs this virtual processor from now on; `before`: the one that it ran last, -1 for none."""


@event(
    box=HYPERVISOR,
    says="The hypervisor takes VP {actor} off processor {lp} after {ran:time}: {why:enum:stop}.",
    rule=TLFS_SCHEDULER,
)
def vp_descheduled(lp, ran, why):
    """The logical processor is free for another virtual processor."""


@event(box=GUEST, says="VP {actor} has nothing to do and halts.", rule=TLFS_IDLE)
def vp_halted(lp):
    """The guest executed HLT, which leaves the guest: the hypervisor may run another virtual processor."""


@event(
    box=PROCESSOR,
    says="Device interrupt {vector:hex} arrives at processor {lp}; the hypervisor routes it to VP {owner}.",
    rule=SDM_EXIT,
)
def device_interrupt(lp, vector, owner):
    """Whoever ran on the logical processor left the guest for it; the owner is another one, or the same."""


@event(
    box=PROCESSOR, says="VP {actor} leaves the guest on processor {lp}, for {cost:time}, and goes on.", rule=SDM_EXIT
)
def vp_interrupted(lp, cost):
    """An interrupt that the hypervisor handles took time from whoever ran."""


@event(box=GUEST, says="VP {actor} handles vector {vector:hex}, for {duration:time}.", rule="hvlab, workload model")
def handler_entered(vector, duration, depth):
    """The guest's interrupt handler runs; `depth` counts handlers that it interrupted, itself included."""


@event(box=GUEST, says="VP {actor} begins a burst of work of {duration:time}.", rule="hvlab, workload model")
def burst_begun(duration):
    """The guest has something to compute."""


@event(
    box=HYPERVISOR,
    says="The hypervisor tells the root's scheduler that VP {actor} wants to run.",
    rule="TLFS, message types: HvMessageTypeSchedulerVpSignalBitset",
)
def root_signalled(lp):
    """Under the root scheduler the hypervisor picks nobody: the root must ask for this virtual processor."""


@event(
    box=HYPERVISOR,
    says="The root tells the hypervisor to run VP {actor} on processor {lp}, for {slice:time}.",
    rule=TYPES,
)
def vp_dispatched(lp, slice):
    """The root's own thread scheduler chose."""
