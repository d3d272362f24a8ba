"""The catalogue, second part: what the hypervisor does, and what software in a partition asks of it.

Partitions are named by their ids, pages by their SPA; the actor is the virtual processor on whose behalf it happened.
"""

from hvlab.trace.event import event
from hvlab.trace.events import GUEST, HYPERVISOR, MEMORY, PROCESSOR
from hvlab.trace.words import ENUMS
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.tlfs import MessageType, Msr, Register, Status

ENUMS |= {
    "call": {code: call.name for code, call in CALLS.items()},
    "status": {status.value: status.name for status in Status},
    "register": {register.value: register.name for register in Register},
    "msr": {msr.value: msr.name for msr in Msr},
    "message": {kind.value: kind.name for kind in MessageType},
    "partition": {0: "the hypervisor", 1: "the root partition", **{k: f"partition {k}" for k in range(2, 64)}},
    "intercept": {0: "read", 1: "write", 2: "fetch"},
    "rights": {
        0: "no rights",
        1: "R",
        3: "RW",
        4: "X",
        5: "RX",
        7: "RWX",
    },
    "exception": {6: "#UD", 13: "#GP", 14: "#PF"},
    "relation": {0: "anyone", 1: "its parent", 2: "its parent or the root", 3: "its parent or itself"},
    "suspend": {0: "explicit suspend", 1: "intercept suspend"},
}

TLFS_CALLS = "TLFS, hypercall interface"
TLFS_LIFE = "TLFS, partition management: life cycle"
TLFS_POOL = "TLFS, physical memory: memory pools"
TLFS_GPA = "TLFS, guest physical address spaces"
TLFS_VP = "TLFS, virtual processor management"
TLFS_OVERLAY = "TLFS, overlay pages; establishing the hypercall interface"
TLFS_INTERCEPTS = "TLFS, intercepts: memory access messages"
OWNERS = "hvlab, one owner for each page (SAFETY I1, I5); not a rule of Hyper-V"


@event(box=GUEST, says="VP {actor} calls the hypervisor: {code:enum:call}, RCX {control:hex}.", rule=TLFS_CALLS)
def hypercall_entered(code, control, input, output):
    """Software in a partition executed the instruction of the hypercall page."""


@event(
    box=HYPERVISOR,
    says="The hypervisor answers {code:enum:call}: {status:enum:status}, {reps} elements done.",
    rule=TLFS_CALLS,
)
def hypercall_returned(code, status, reps, result):
    """The call is over; RAX holds the result."""


@event(box=HYPERVISOR, says="The hypervisor has done element {rep} of {code:enum:call}.", rule=TLFS_CALLS)
def rep_done(code, rep):
    """One element of the list of a rep call took effect; it stays done whatever happens to the next one."""


@event(
    box=HYPERVISOR,
    says="The hypervisor's time is up: VP {actor} resumes at the same call, RCX {control:hex}, element {rep} next.",
    rule="TLFS, hypercall continuation",
)
def hypercall_continued(code, rep, control):
    """RIP did not move: the same instruction runs again, with the start element moved on in RCX."""


@event(
    box=HYPERVISOR,
    says="The hypervisor denies {code:enum:call}: it asks for privilege {wanted:hex}, from {relation:enum:relation}.",
    rule=TLFS_CALLS,
)
def call_denied(code, wanted, relation):
    """The caller lacks a privilege (a bit of the mask), or does not stand in the relation that the call asks for."""


@event(
    box=HYPERVISOR,
    says="The hypervisor creates {partition:enum:partition}, child of {parent:enum:partition}.",
    rule=TLFS_LIFE,
)
def partition_created(partition, parent):
    """A new partition, without memory and processors, and not yet active."""


@event(box=HYPERVISOR, says="The hypervisor initializes {partition:enum:partition}: it is active.", rule=TLFS_LIFE)
def partition_initialized(partition, root):
    """The top second-level table stands; early properties can no longer be changed."""


@event(
    box=HYPERVISOR,
    says="The hypervisor finalizes {partition:enum:partition}: its memory goes back.",
    rule=TLFS_LIFE,
)
def partition_finalized(partition):
    """Processors and guest memory are gone; what is left is the pool, to be withdrawn."""


@event(box=HYPERVISOR, says="The hypervisor deletes {partition:enum:partition}.", rule=TLFS_LIFE)
def partition_deleted(partition):
    """Nothing names the partition any more."""


@event(
    box=HYPERVISOR,
    says="The hypervisor sets property {property:hex} of {partition:enum:partition} to {value:hex}.",
    rule="TLFS, partition properties",
)
def property_set(partition, property, value):
    """A property changed."""


@event(
    box=MEMORY,
    says="The page at SPA {spa:spa} passes from {old:enum:partition} to {new:enum:partition}.",
    rule=OWNERS,
)
def page_given(spa, old, new):
    """A page changed its owner."""


@event(box=MEMORY, says="The hypervisor fills the page at SPA {spa:spa} with zeros.", rule=OWNERS)
def page_scrubbed(spa):
    """No byte of the former owner is left."""


@event(
    box=HYPERVISOR,
    says="The page at SPA {spa:spa} enters the pool of {partition:enum:partition}.",
    rule=TLFS_POOL,
)
def memory_deposited(partition, spa, gpa):
    """The hypervisor may now use the page on the partition's behalf; the depositor can no longer reach it."""


@event(
    box=HYPERVISOR,
    says="The page at SPA {spa:spa} leaves the pool of {partition:enum:partition}.",
    rule=TLFS_POOL,
)
def memory_withdrawn(partition, spa, gpa):
    """The page is ordinary memory of the one who withdrew it."""


@event(
    box=HYPERVISOR,
    says="GPA {gpa:gpa} of {partition:enum:partition} is now SPA {spa:spa} ({rights:enum:rights}).",
    rule=TLFS_GPA,
)
def page_mapped(partition, gpa, spa, rights, shift):
    """A guest physical page (4 KiB or 2 MiB, see `shift`) got a place in memory."""


@event(
    box=HYPERVISOR,
    says="GPA {gpa:gpa} of {partition:enum:partition} is no longer SPA {spa:spa}.",
    rule=TLFS_GPA,
)
def page_unmapped(partition, gpa, spa):
    """A guest physical page lost its place; cached translations of it are owed a flush."""


@event(
    box=MEMORY,
    says="The hypervisor writes a level-{level} second-level entry at SPA {spa:spa}: {old:hex} becomes {new:hex}.",
    rule="Intel SDM vol. 3C, EPT entries; AMD APM vol. 2, 15.25",
)
def second_level_entry_written(spa, old, new, level, gpa):
    """One entry of a second-level table changed in memory."""


@event(
    box=HYPERVISOR,
    says="The hypervisor holds back a flush for {partition:enum:partition}: {stale} cached entries are stale.",
    rule="Intel SDM vol. 3C, guidelines for use of INVEPT",
)
def flush_withheld(partition, stale):
    """A second-level entry changed and nobody told the caches: the scenario's own mistake."""


@event(
    box=HYPERVISOR,
    says="The hypervisor creates VP {vp_index} of {partition:enum:partition}.",
    rule=TLFS_VP,
)
def vp_created(partition, vp_index, slot):
    """A virtual processor exists and is suspended."""


@event(box=HYPERVISOR, says="The hypervisor deletes VP {vp_index} of {partition:enum:partition}.", rule=TLFS_VP)
def vp_deleted(partition, vp_index, slot):
    """A virtual processor is gone, with what caches knew of it."""


@event(
    box=HYPERVISOR,
    says="{name:enum:register} of VP {vp_index} of {partition:enum:partition} is set to {value:hex}.",
    rule="TLFS, HvCallSetVpRegisters",
)
def register_set(partition, vp_index, name, value):
    """A register changed from outside the guest."""


@event(box=PROCESSOR, says="VP {actor} sets {name:enum:register} to {value:hex}.", rule="Intel SDM vol. 3A, 2.5")
def control_register_written(name, value):
    """Software in a partition changed one of its own control registers."""


@event(box=GUEST, says="VP {actor} writes {value:hex} to MSR {msr:enum:msr}: it now holds {held:hex}.", rule=TLFS_VP)
def msr_written(msr, value, held):
    """A synthetic register was written; what sticks may be less than what was asked."""


@event(box=GUEST, says="VP {actor} reads MSR {msr:enum:msr}: {value:hex}.", rule=TLFS_VP)
def msr_read(msr, value):
    """A synthetic register was read."""


@event(
    box=HYPERVISOR,
    says="CPUID {leaf:hex} answers EAX {eax:hex}, EBX {ebx:hex}, ECX {ecx:hex}, EDX {edx:hex}.",
    rule="TLFS, feature and interface discovery",
)
def cpuid_answered(leaf, eax, ebx, ecx, edx):
    """CPUID always leaves the guest on Intel; the answer is the hypervisor's."""


@event(
    box=HYPERVISOR,
    says="The hypercall page (SPA {spa:spa}) covers GPA {gpa:gpa} of {partition:enum:partition}.",
    rule=TLFS_OVERLAY,
)
def overlay_placed(partition, gpa, spa):
    """A page of the hypervisor lies over a page of the guest, which keeps its content underneath."""


@event(
    box=HYPERVISOR,
    says="The hypercall page leaves GPA {gpa:gpa} of {partition:enum:partition}; the guest's page shows again.",
    rule=TLFS_OVERLAY,
)
def overlay_removed(partition, gpa, spa):
    """What was underneath is back."""


@event(
    box=MEMORY,
    says="VP {actor} writes SPA {spa:spa}: {old:hex} becomes {new:hex}.",
    rule="Intel SDM vol. 3A, 4.6 (the write was allowed by both levels)",
)
def memory_written(spa, old, new, gva):
    """One word of memory changed by software in a partition."""


@event(box=MEMORY, says="The hypervisor writes SPA {spa:spa} for a call: {old:hex} becomes {new:hex}.", rule=TLFS_CALLS)
def output_written(spa, old, new):
    """One word of the caller's output block changed."""


@event(
    box=PROCESSOR,
    says="VP {actor} gets {vector:enum:exception}, error code {error_code:hex}.",
    rule="Intel SDM vol. 3A, 6.15 (exceptions)",
)
def exception_raised(vector, error_code):
    """The hypervisor, or the processor, raises an exception inside the guest."""


@event(
    box=PROCESSOR,
    says="VP {actor} leaves the guest: {access:enum:intercept} of GPA {gpa:gpa}.",
    rule="Intel SDM vol. 3C, VM exits; AMD APM vol. 2, #VMEXIT",
)
def vp_exited(gpa, gva, access, why):
    """Control passed from the guest to the hypervisor; `why` is the exit qualification or the NPF error code."""


@event(
    box=HYPERVISOR,
    says="The hypervisor posts {kind:enum:message} for VP {vp_index} of {partition:enum:partition} to its parent.",
    rule=TLFS_INTERCEPTS,
)
def intercept_posted(partition, vp_index, kind, gpa, spa):
    """The message lies in the VP's intercept message page (at `spa`); the VP waits."""


@event(
    box=HYPERVISOR,
    says="VP {vp_index} of {partition:enum:partition} may run again ({suspend:enum:suspend} cleared).",
    rule="TLFS, HvRegisterInterceptSuspend",
)
def vp_resumed(partition, vp_index, suspend):
    """Its parent cleared a suspend register."""
