"""The catalogue, sixth part: instructions that leave the guest, what the parent is told, and how it answers.

The actor is the virtual processor that runs: the child's up to the message, then the parent's.
"""

from hvlab.trace import synic_events  # noqa: F401  its numbers come first
from hvlab.trace.event import event
from hvlab.trace.events import GUEST, HYPERVISOR, PROCESSOR
from hvlab.trace.words import ENUMS

ENUMS |= {
    "exit": {
        0: "a memory access",
        1: "a hypercall",
        2: "CPUID",
        3: "an MSR",
        4: "a port",
        5: "HLT",
        6: "an exception",
    },
    "intercept_type": {0: "port", 1: "all MSRs that it does not have", 2: "CPUID leaf", 3: "exception", 12: "MSR"},
    "asked": {0: "no longer", 1: "reads", 2: "writes", 3: "reads and writes", 4: "executions"},
    "device": {0: "nobody", 1: "the UART", 2: "the IDE disk"},
    "direction": {0: "reads", 1: "writes"},
}

TLFS_INSTALL = "TLFS, HvCallInstallIntercept"
TLFS_TOLD = "TLFS, intercepts: messages to the parent"
SDM_EXITS = "Intel SDM vol. 3C, instructions that cause VM exits"
PORTS = "hvlab, a port without a device reads all ones; not a rule of Hyper-V"
WORKER = "hvlab, worker process; Linux drivers/hv/mshv_root_main.c (messages go to user mode)"


@event(
    box=PROCESSOR,
    says="VP {actor} leaves the guest at RIP {rip:hex}: {reason:enum:exit} ({what:hex}).",
    rule=SDM_EXITS,
)
def instruction_exited(reason, what, rip, length):
    """`what` is the CPUID leaf, the MSR, the port or the vector; the instruction has not been done."""


@event(
    box=HYPERVISOR,
    says="The hypervisor tells the parent of VP {vp_index} of {partition:enum:partition}: "
    "{kind:enum:message} {what:hex}.",
    rule=TLFS_TOLD,
)
def parent_told(partition, vp_index, kind, what, spa):
    """The message lies in the VP's intercept message page (at `spa`); the VP waits at its instruction."""


@event(
    box=HYPERVISOR,
    says="Nobody is behind port {port:hex}: VP {actor} {access:enum:direction} {value:hex}.",
    rule=PORTS,
)
def port_answered(port, size, access, value):
    """No parent asked for the port; the hypervisor finishes the instruction by itself."""


@event(
    box=HYPERVISOR,
    says="The hypervisor notes for {partition:enum:partition}: {type:enum:intercept_type} {parameter:hex}, "
    "{access:enum:asked}.",
    rule=TLFS_INSTALL,
)
def intercept_installed(partition, type, parameter, access):
    """From now on such an instruction of the child becomes a message to its parent."""


@event(
    box=GUEST,
    says="The worker process takes the message: {kind:enum:message} of VP {vp_index} of {partition:enum:partition}.",
    rule=WORKER,
)
def message_handled(partition, vp_index, kind):
    """User mode in the root looks at the message and picks who answers."""


@event(
    box=GUEST,
    says="The worker process asks {device:enum:device}: port {port:hex} reads {value:hex}.",
    rule=WORKER,
)
def device_read(device, port, size, value):
    """A virtual device answers the read of a port."""


@event(
    box=GUEST,
    says="The worker process gives {device:enum:device} {value:hex}, written to port {port:hex}.",
    rule=WORKER,
)
def device_written(device, port, size, value):
    """A virtual device gets what was written to a port."""


@event(
    box=GUEST,
    says="The worker process finishes the instruction of VP {vp_index} of {partition:enum:partition}: RIP {rip:hex}.",
    rule=WORKER,
)
def instruction_emulated(partition, vp_index, kind, rip, elements):
    """The registers are as after the instruction; of a repeated one `elements` are done."""
