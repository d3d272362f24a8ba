"""The catalogue, fifth part: letters and doorbells between partitions, and the timers that send letters too.

The actor is the virtual processor that receives; of a post, a signal or a register access it is the one that acts.
"""

from hvlab.trace import scheduler_events  # noqa: F401  its numbers come first
from hvlab.trace.event import event
from hvlab.trace.events import GUEST, HYPERVISOR, MEMORY
from hvlab.trace.words import ENUMS

ENUMS |= {
    "withheld": {1: "masked", 2: "polling"},
    "port_type": {1: "messages", 2: "signals", 3: "monitored signals", 4: "doorbells"},
    "timer_way": {0: "a message", 1: "a vector of its own"},
    "repeat": {0: "once", 1: "again and again"},
    "page": {1: "message page", 2: "event flags page", 3: "reference TSC page", 4: "VP assist page"},
}

TLFS_MESSAGES = "TLFS, inter-partition communication: SynIC messages"
TLFS_BUFFERS = "TLFS, inter-partition communication: message buffers"
TLFS_FLAGS = "TLFS, inter-partition communication: event flag delivery"
TLFS_PORTS = "TLFS, inter-partition communication: ports and connections"
TLFS_SINT = "TLFS, inter-partition communication: SINTx registers"
TLFS_EOM = "TLFS, inter-partition communication: EOM register"
TLFS_TIMERS = "TLFS, timers: synthetic timers"
TLFS_PERIODS = "TLFS, timers: periodic timers"
TLFS_PAGES = "TLFS, overlay pages; SIM page, SIEF page, reference TSC page"


@event(
    box=HYPERVISOR,
    says="VP {actor} posts a message to port {port:hex}: {size} bytes, for SINT {sint} of VP {vp}.",
    rule=TLFS_MESSAGES,
)
def message_posted(connection, port, kind, size, vp, sint):
    """HvCallPostMessage found connection, port, receiver and a buffer."""


@event(
    box=HYPERVISOR,
    says="The hypervisor sends VP {actor} a message of its own ({kind:enum:message}) on SINT {sint}.",
    rule=TLFS_MESSAGES,
)
def message_announced(kind, size, sint, sender):
    """An intercept, say: the hypervisor itself is the sender, on behalf of partition `sender`."""


@event(
    box=HYPERVISOR,
    says="The hypervisor refuses VP {actor}'s message on connection {connection:hex}: {status:enum:status}.",
    rule="TLFS, HvCallPostMessage: return values",
)
def message_refused(connection, status):
    """Nothing was queued."""


@event(
    box=HYPERVISOR,
    says="The message for SINT {sint} of VP {actor} has to wait: {waiting} in the queue.",
    rule=TLFS_BUFFERS,
)
def message_queued(sint, kind, waiting):
    """The message stands in the queue of its SINT; no interrupt is raised."""


@event(
    box=HYPERVISOR,
    says="The hypervisor fills the slot of SINT {sint} of VP {actor} at SPA {spa:spa}; {waiting} more wait.",
    rule=TLFS_MESSAGES,
)
def slot_filled(sint, kind, size, spa, waiting, sender):
    """The message lies in the message page; its buffer is free again."""


@event(
    box=MEMORY,
    says="The hypervisor writes SPA {spa:spa} for a message: {old:hex} becomes {new:hex}.",
    rule=TLFS_MESSAGES,
)
def message_word_written(spa, old, new):
    """One word of a slot or of a message buffer changed."""


@event(
    box=HYPERVISOR,
    says="SINT {sint} of VP {actor} is {why:enum:withheld}: vector {vector:hex} is not raised.",
    rule=TLFS_SINT,
)
def interrupt_withheld(sint, vector, why):
    """The message or flag is there all the same; this interrupt is lost."""


@event(
    box=HYPERVISOR,
    says="The hypervisor sets flag {flag} of SINT {sint} of VP {actor}, at SPA {spa:spa}.",
    rule=TLFS_FLAGS,
)
def event_flag_set(sint, flag, port, spa, old, new):
    """The flag was clear: the receiver is told by an interrupt."""


@event(
    box=HYPERVISOR,
    says="Flag {flag} of SINT {sint} of VP {actor} is set already: nothing is raised.",
    rule=TLFS_FLAGS,
)
def event_flag_already_set(sint, flag, port):
    """The signal succeeds, and changes nothing."""


@event(
    box=HYPERVISOR,
    says="The hypervisor refuses VP {actor}'s signal on connection {connection:hex}: {status:enum:status}.",
    rule="TLFS, HvCallSignalEvent: return values",
)
def signal_refused(connection, flag, status):
    """No flag changed."""


@event(
    box=HYPERVISOR,
    says="SINT {sint} of VP {actor} is masked: the signal for flag {flag} is dropped without an error.",
    rule="openvmm hv1_emulator, synic: signal_event",
)
def signal_dropped(sint, flag, port):
    """What OpenVMM does with a masked source; the TLFS answers INVALID_SYNIC_STATE."""


@event(box=GUEST, says="VP {actor} writes EOM; {waiting} messages wait for it.", rule=TLFS_EOM)
def eom_written(waiting):
    """The guest asks the hypervisor to look for the next message of each source."""


@event(
    box=GUEST,
    says="VP {actor} takes the message of SINT {sint} and frees the slot; MessagePending is {pending}.",
    rule="TLFS, inter-partition communication: recommended message handling",
)
def message_taken(sint, kind, pending, spa, old, new):
    """The handler set the type to 0 and then looked at MessagePending."""


@event(
    box=GUEST,
    says="VP {actor} clears flag {flag} of SINT {sint} by a locked operation.",
    rule="TLFS, inter-partition communication: recommended event flag handling",
)
def event_flag_cleared(sint, flag, spa, old, new):
    """The next signal of this flag raises an interrupt again."""


@event(
    box=HYPERVISOR,
    says="VP {actor}'s timer {timer} is set: {periodic:enum:repeat}, for {due} (100 ns of reference time).",
    rule=TLFS_TIMERS,
)
def timer_started(timer, due, periodic, count):
    """The synthetic timer runs."""


@event(box=HYPERVISOR, says="VP {actor}'s timer {timer} is stopped.", rule=TLFS_TIMERS)
def timer_stopped(timer):
    """The guest wrote its registers; an expiry that still waits for a slot is forgotten."""


@event(
    box=HYPERVISOR,
    says="VP {actor}'s timer {timer} expires: it was due at {due}, it is {now}; it sends {direct:enum:timer_way}.",
    rule=TLFS_TIMERS,
)
def timer_expired(timer, due, now, direct):
    """Both times in units of 100 ns of reference time."""


@event(
    box=HYPERVISOR,
    says="VP {actor}'s timer {timer} skips an expiry: its last message still waits for the slot.",
    rule=TLFS_PERIODS,
)
def timer_skipped(timer, sint, missed):
    """A timer has one message buffer. `missed`: half periods by which a timer that is not lazy will hurry."""


@event(
    box=HYPERVISOR,
    says="VP {actor}'s timer {timer} expires in vain: SynIC or message page are off.",
    rule=TLFS_MESSAGES,
)
def timer_lost(timer, sint):
    """No message can be queued for this virtual processor."""


@event(
    box=HYPERVISOR,
    says="The hypervisor makes port {port:hex} of {partition:enum:partition}: {kind:enum:port_type} for SINT {sint}.",
    rule=TLFS_PORTS,
)
def port_created(partition, port, kind, vp_index, sint, spa):
    """`spa`: the page of sixteen message buffers, from the owner's pool; 0 for signals."""


@event(
    box=HYPERVISOR,
    says="The hypervisor deletes port {port:hex} of {partition:enum:partition}; {dropped} queued messages are lost.",
    rule=TLFS_PORTS,
)
def port_deleted(partition, port, dropped):
    """Connections to it stay, and are useless."""


@event(
    box=HYPERVISOR,
    says="Connection {connection:hex} of {partition:enum:partition} leads to {owner:enum:partition}'s port {port:hex}.",
    rule=TLFS_PORTS,
)
def connection_made(partition, connection, owner, port):
    """A one-way way from sender to receiver."""


@event(
    box=HYPERVISOR,
    says="Connection {connection:hex} of {partition:enum:partition} is cut; queued messages still arrive.",
    rule=TLFS_PORTS,
)
def connection_removed(partition, connection):
    """The sender's end is gone."""


@event(
    box=HYPERVISOR,
    says="The hypervisor drops {dropped} messages that waited for VP {actor}, which goes.",
    rule=TLFS_BUFFERS,
)
def messages_dropped(dropped):
    """Its queues are gone; the buffers are free."""


@event(
    box=HYPERVISOR,
    says="The {page:enum:page} (SPA {spa:spa}) covers GPA {gpa:gpa} of {partition:enum:partition}.",
    rule=TLFS_PAGES,
)
def page_overlaid(partition, vp_index, page, gpa, spa):
    """A page of the hypervisor lies over a page of the guest, which keeps its content underneath."""


@event(
    box=HYPERVISOR,
    says="The {page:enum:page} leaves GPA {gpa:gpa} of {partition:enum:partition}; the guest's page shows again.",
    rule=TLFS_PAGES,
)
def page_uncovered(partition, vp_index, page, gpa, spa):
    """What was underneath is back."""


@event(
    box=GUEST,
    says="VP {actor} reports a crash: {p0:hex}, {p1:hex}, {p2:hex}, {p3:hex}, {p4:hex}.",
    rule="TLFS, partition properties: guest crash enlightenment",
)
def crash_reported(p0, p1, p2, p3, p4, control):
    """The guest wrote CRASH_CTL after the five words of its report."""


# what a receiver's own routine says of itself, beside the words that it writes ---------------------------------------

TLFS_READING = "TLFS, inter-partition communication: recommended message handling"
TLFS_CLEARING = "TLFS, inter-partition communication: recommended event flag handling"


@event(
    box=GUEST,
    says="VP {actor}'s routine for SINT {sint} begins, because of vector {vector:hex}.",
    rule=TLFS_READING,
)
def routine_begun(sint, vector):
    """The interrupt was taken; the routine looks at slot and flags."""


@event(
    box=GUEST,
    says="VP {actor} copies the message of SINT {sint}: type {kind:hex}, {size} bytes, first word {word:hex}.",
    rule=TLFS_READING,
)
def message_copied(sint, kind, size, word, spa):
    """The slot is still full: nothing else can come into it."""


@event(box=GUEST, says="VP {actor} sets the type in the slot of SINT {sint} to 0: the slot is free.", rule=TLFS_READING)
def slot_freed(sint, kind, spa):
    """From here on the hypervisor may fill the slot again."""


@event(
    box=GUEST,
    says="VP {actor} passes a full barrier: what it reads from here on is read after the type was set to 0.",
    rule=TLFS_READING,
)
def barrier_passed(sint):
    """Without it a processor may read MessagePending before its own write to the type is seen."""


@event(box=GUEST, says="VP {actor} looks at MessagePending of SINT {sint}: {pending}.", rule=TLFS_READING)
def pending_tested(sint, pending):
    """1: another message waits, and EOM will bring it."""


@event(
    box=GUEST,
    says="VP {actor} reads word {word} of the flags of SINT {sint}: {value:hex}.",
    rule=TLFS_CLEARING,
)
def flags_read(sint, word, value):
    """An ordinary read: the hypervisor may set another flag of the word at once."""


@event(
    box=GUEST,
    says="VP {actor} writes 0 over word {word} of the flags of SINT {sint} without a lock: it held {old:hex}.",
    rule=TLFS_CLEARING,
)
def flags_overwritten(sint, word, old, spa):
    """A flag that was set since the word was read is gone, and nobody saw it."""


@event(box=GUEST, says="VP {actor}'s routine for SINT {sint} ends.", rule=TLFS_READING)
def routine_ended(sint):
    """The virtual processor goes on with what it did before."""
