"""The synthetic interrupt controller: messages wait in queues for their slot, signals set flags, both raise a SINT.

The pages are real memory: a slot is 256 bytes of the message page. Source: TLFS, inter-partition communication.

SIMPLER THAN REAL: a message is written to the slot whether or not its virtual processor runs just now.
SIMPLER THAN REAL: for a port that may choose its virtual processor, the lowest that can receive is chosen.
"""

from hvlab.hardware.apic import EDGE
from hvlab.hardware.memory import PLACE, word_at
from hvlab.hardware.processor import VPS
from hvlab.hypervisor import virtual_apic
from hvlab.hypervisor.interrupt import request
from hvlab.hypervisor.queues import (
    CONNECTIONS,
    NOWHERE,
    ONE,
    OWN_BUFFERS,
    OWN_TICKET,
    SLOT_WORDS,
    TIMER_TICKET,
    ZERO,
    enqueue,
    free_buffer,
    place_of,
    release,
    unlink,
)
from hvlab.hypervisor.scheduler import kick
from hvlab.kernel import I, kernel, routine
from hvlab.trace import synic_events as events
from hvlab.wire.synic import ANY_VP, GUEST_BUFFERS, HYPERVISOR_TYPES, PAYLOAD, SINTS, PortType, Scontrol, Simp, Sint
from hvlab.wire.tlfs import MessageType, Status

WORST_ROWS = SINTS * (SLOT_WORDS + 4) + 8  # the most rows that one operation can append: EOM that fills every slot

TYPE, FLAGS_AT, SIZE_AT = I(0xFFFFFFFF), I(40), I(32)
PENDING = ONE << FLAGS_AT
SYNIC_ON, PAGE_ON = I(Scontrol.mask("enable")), I(Simp.mask("enable"))
VECTOR, MASKED, AUTO_EOI, POLLING = (I(Sint.mask(name)) for name in ("vector", "masked", "auto_eoi", "polling"))
MASKED_WHY, POLLING_WHY = I(1), I(2)
ANY, MOST, TYPES = I(ANY_VP), I(PAYLOAD), I(HYPERVISOR_TYPES)
MESSAGE_PORT, EVENT_PORT, TIMER_MESSAGE = I(PortType.MESSAGE), I(PortType.EVENT), I(MessageType.TIMER_EXPIRED)
OK, ALIGNMENT, PARAMETER = I(Status.SUCCESS), I(Status.INVALID_ALIGNMENT), I(Status.INVALID_PARAMETER)
NO_PORT, NO_CONNECTION = I(Status.INVALID_PORT_ID), I(Status.INVALID_CONNECTION_ID)
NO_BUFFER, NO_VP, SYNIC_OFF = I(Status.INSUFFICIENT_BUFFERS), I(Status.INVALID_VP_INDEX), I(Status.INVALID_SYNIC_STATE)


# slots ---------------------------------------------------------------------------------------------------------------


@routine
def write_word(m, mem, trace, vp, cause, at, spa, new):
    """Change a word of a message page or buffer."""
    old = mem[at]
    if old != new:
        mem[at] = new
        events.message_word_written(m, trace, vp, cause, spa, old, new)


@routine
def copy_message(m, mem, trace, vp, cause, at, spa, kind, size, flags, sender, source):
    """Write header and payload of a message at `at`; bytes behind the payload stay as they were."""
    for k in range(size >> 3):
        write_word(m, mem, trace, vp, cause, at + 2 + k, spa + 16 + 8 * k, mem[source + k])
    rest = (ONE << ((size & 7) << 3)) - 1
    if rest != 0:
        last = size >> 3
        word = mem[at + 2 + last] & ~rest | mem[source + last] & rest
        write_word(m, mem, trace, vp, cause, at + 2 + last, spa + 16 + 8 * last, word)
    write_word(m, mem, trace, vp, cause, at + 1, spa + 8, sender)
    write_word(m, mem, trace, vp, cause, at, spa, kind | size << SIZE_AT | flags)


@routine
def raise_sint(m, mem, trace, vp, cause, sint):
    """Raise the interrupt of a SINT, if the guest wants one."""
    word = m["synic"][vp]["sint"][sint]
    vector = word & VECTOR
    if word & POLLING != 0:
        return events.interrupt_withheld(m, trace, vp, cause, sint, vector, POLLING_WHY)
    if word & MASKED != 0:
        return events.interrupt_withheld(m, trace, vp, cause, sint, vector, MASKED_WHY)
    _, cause = request(m, mem, trace, vp, cause, vector, EDGE, ONE if word & AUTO_EOI != 0 else ZERO)
    return cause


@routine
def fill(m, mem, trace, vp, cause, sint, kind, size, sender, source):
    """Write a message into its slot, which is free, and tell the guest."""
    s = m["synic"][vp]
    spa = s["message_spn"] << 12 | sint << 8
    at = (mem[s["message_spn"]] >> PLACE) + sint * SLOT_WORDS
    waiting = s["depth"][sint]
    cause = events.slot_filled(m, trace, vp, cause, sint, kind, size, spa, waiting, sender)
    copy_message(m, mem, trace, vp, cause, at, spa, kind, size, PENDING if waiting > 0 else ZERO, sender, source)
    m["messages"]["delivered"] += 1
    return raise_sint(m, mem, trace, vp, cause, sint)


@routine
def slot_is_free(m, mem, vp, sint):
    """Whether the message page is on, and the type in the slot is 0."""
    s = m["synic"][vp]
    if s["simp"] & PAGE_ON == 0:
        return False
    return mem[(mem[s["message_spn"]] >> PLACE) + sint * SLOT_WORDS] & TYPE == 0


@routine
def try_slot(m, mem, trace, vp, cause, sint):
    """Deliver the first message of a queue, if there is one and the slot is free; else say that one waits."""
    s = m["synic"][vp]
    ticket = s["head"][sint]
    if ticket == 0 or s["simp"] & PAGE_ON == 0:
        return cause
    if not slot_is_free(m, mem, vp, sint):
        at = (mem[s["message_spn"]] >> PLACE) + sint * SLOT_WORDS
        write_word(m, mem, trace, vp, cause, at, s["message_spn"] << 12 | sint << 8, mem[at] | PENDING)
        return cause
    at = place_of(m, mem, vp, ticket)
    unlink(m, vp, sint, ticket)
    release(m, vp, ticket)
    if ticket >= TIMER_TICKET and ticket < OWN_TICKET:
        spa = at - (mem[0] >> PLACE) << 3
        age = (m["now"] - m["partition"][m["guest"][vp]["partition"]]["born"]) // 100
        write_word(m, mem, trace, vp, cause, at + 4, spa + 32, age)
        return fill(m, mem, trace, vp, cause, sint, TIMER_MESSAGE, I(24), ZERO, at + 2)
    header = mem[at]
    return fill(m, mem, trace, vp, cause, sint, header & TYPE, header >> SIZE_AT & 255, mem[at + 1], at + 2)


@routine
def queue(m, mem, trace, vp, cause, sint, kind, ticket):
    """Let a message wait behind those that wait already, and try the slot: a new message is a trigger."""
    enqueue(m, vp, sint, ticket)
    cause = events.message_queued(m, trace, vp, cause, sint, kind, m["synic"][vp]["depth"][sint])
    return try_slot(m, mem, trace, vp, cause, sint)


@routine
def send(m, mem, trace, vp, cause, sint, kind, size, sender, source, ticket):
    """Deliver at once where nothing is in the way; else keep the message in the buffer behind `ticket`."""
    m["messages"]["accepted"] += 1
    if m["synic"][vp]["head"][sint] == 0 and slot_is_free(m, mem, vp, sint):
        release(m, vp, ticket)
        return fill(m, mem, trace, vp, cause, sint, kind, size, sender, source)
    at = place_of(m, mem, vp, ticket)
    spn = m["port"][ticket - 1 >> 4]["spn"] if ticket < TIMER_TICKET else ZERO
    spa = spn << 12 | at - (mem[spn] >> PLACE) << 3
    copy_message(m, mem, trace, vp, cause, at, spa, kind, size, ZERO, sender, source)
    return queue(m, mem, trace, vp, cause, sint, kind, ticket)


# calls ---------------------------------------------------------------------------------------------------------------


@routine
def find_connection(m, slot, connection):
    """Return the place of a partition's connection, or -1."""
    for k in range(CONNECTIONS):
        c = m["connection"][k]
        if c["owner"] == slot and c["id"] == connection and slot != 0:
            return I(k)
    return NOWHERE


@routine
def port_behind(m, k, kind):
    """Return the port at the other end, if it is still there and of this kind; else -1."""
    c = m["connection"][k]
    port = m["port"][c["port"]]
    if port["owner"] == 0 or port["serial"] != c["serial"] or port["kind"] != kind:
        return NOWHERE
    return c["port"]


@routine
def receiver(m, port, messages):
    """Return (virtual processor, status): the target of a port, with SynIC and the page that it takes switched on."""
    found, status = NOWHERE, NO_VP
    for vp in range(VPS):
        guest, s = m["guest"][vp], m["synic"][vp]
        if guest["partition"] == port["owner"] and (port["target"] == ANY or port["target"] == guest["index"]):
            page = s["simp"] if messages else s["siefp"]
            if s["scontrol"] & SYNIC_ON != 0 and page & PAGE_ON != 0:
                return I(vp), OK
            if port["target"] != ANY:
                found, status = I(vp), SYNIC_OFF
    return found, status


@routine
def refuse(m, trace, vp, cause, connection, status):
    """Tell why a post fails."""
    return status, events.message_refused(m, trace, vp, cause, connection, status)


@routine
def post(m, mem, trace, vp, cause, connection, kind, size, spa):
    """HvCallPostMessage: (status, cause). The payload lies at `spa`; the order of checks is the TLFS's list."""
    k = find_connection(m, m["guest"][vp]["partition"], connection)
    if k < 0:
        return refuse(m, trace, vp, cause, connection, NO_CONNECTION)
    number = port_behind(m, k, MESSAGE_PORT)
    if number < 0:
        return refuse(m, trace, vp, cause, connection, NO_PORT)
    if kind <= 0 or kind >= TYPES or size < 0 or size > MOST:
        return refuse(m, trace, vp, cause, connection, PARAMETER)
    source = word_at(m, mem, spa)
    if source < 0 or spa & 7 != 0 or (spa & 4095) + (size + 7 & -8) > 4096:
        return refuse(m, trace, vp, cause, connection, ALIGNMENT)
    port = m["port"][number]
    target, status = receiver(m, port, True)
    if status != OK:
        return refuse(m, trace, vp, cause, connection, status)
    buffer = free_buffer(port["used"], port["room"])
    if buffer < 0:
        return refuse(m, trace, vp, cause, connection, NO_BUFFER)
    port["used"] |= ONE << buffer
    port["posted"] += 1
    sint, ticket = port["sint"], number * GUEST_BUFFERS + buffer + 1
    cause = events.message_posted(m, trace, vp, cause, connection, port["id"], kind, size, target, sint)
    return OK, send(m, mem, trace, target, cause, sint, kind, size, port["id"], source, ticket)


@routine
def announce(m, mem, trace, vp, cause, sint, kind, size, sender, spa):
    """Send a message of the hypervisor's own to a virtual processor: (status, cause). The payload lies at `spa`."""
    s, source = m["synic"][vp], word_at(m, mem, spa)
    if sint < 0 or sint >= SINTS or kind < TYPES or size < 0 or size > MOST or source < 0:
        return PARAMETER, cause
    if s["scontrol"] & SYNIC_ON == 0 or s["simp"] & PAGE_ON == 0:
        return SYNIC_OFF, cause
    buffer = free_buffer(m["messages"]["used"], OWN_BUFFERS)
    if buffer < 0:
        return NO_BUFFER, cause
    m["messages"]["used"] |= ONE << buffer
    cause = events.message_announced(m, trace, vp, cause, kind, size, sint, sender)
    return OK, send(m, mem, trace, vp, cause, sint, kind, size, sender, source, buffer + OWN_TICKET)


@routine
def signal(m, mem, trace, vp, cause, connection, flag):
    """HvCallSignalEvent: (status, cause). A flag that is set already raises nothing, and the call succeeds."""
    k = find_connection(m, m["guest"][vp]["partition"], connection)
    number = port_behind(m, k, EVENT_PORT) if k >= 0 else NOWHERE
    port = m["port"][max(number, ZERO)]
    target, status = receiver(m, port, False)
    if k < 0:
        status = NO_CONNECTION
    elif number < 0:
        status = NO_PORT
    elif flag < 0 or flag >= port["count"]:
        status = PARAMETER
    if status != OK:
        return status, events.signal_refused(m, trace, vp, cause, connection, flag, status)
    s, sint, flag = m["synic"][target], port["sint"], flag + port["base"]
    if s["sint"][sint] & (MASKED | POLLING) == MASKED:
        if m["messages"]["openvmm_signal"] != 0:
            return OK, events.signal_dropped(m, trace, target, cause, sint, flag, port["id"])
        return SYNIC_OFF, events.signal_refused(m, trace, vp, cause, connection, flag - port["base"], SYNIC_OFF)
    at = (mem[s["flags_spn"]] >> PLACE) + sint * SLOT_WORDS + (flag >> 6)
    old, bit = mem[at], ONE << (flag & 63)
    if old & bit != 0:
        return OK, events.event_flag_already_set(m, trace, target, cause, sint, flag, port["id"])
    mem[at] = old | bit
    spa = s["flags_spn"] << 12 | sint << 8 | flag >> 6 << 3
    cause = events.event_flag_set(m, trace, target, cause, sint, flag, port["id"], spa, old, old | bit)
    return OK, raise_sint(m, mem, trace, target, cause, sint)


@routine
def end_of_message(m, mem, trace, vp, cause):
    """A write to EOM: each queue of the virtual processor is tried."""
    waiting = m["synic"][vp]["waiting"]
    cause = events.eom_written(m, trace, vp, cause, waiting)
    if waiting > 0:
        for sint in range(SINTS):
            try_slot(m, mem, trace, vp, cause, I(sint))
    return cause


@routine
def after_end(m, mem, trace, vp, cause, vector):
    """An EOI that the hypervisor saw ended this vector: the queues of the SINTs that raise it are tried."""
    s = m["synic"][vp]
    if s["waiting"] > 0:
        for sint in range(SINTS):
            if s["head"][sint] != 0 and s["sint"][sint] & (VECTOR | MASKED) == vector:
                try_slot(m, mem, trace, vp, cause, I(sint))
    return cause


@kernel
def end(m, mem, trace, vp, cause):
    """EOI: (vector or -1, cause). One that leaves the guest is a trigger for messages too; one that is saved is not."""
    vector, left, cause = virtual_apic.eoi(m, mem, trace, vp, cause)
    kick(m, vp, cause)
    if left != 0 and vector >= 0:
        cause = after_end(m, mem, trace, vp, cause, vector)
    return vector, cause


# what a guest's handler does -----------------------------------------------------------------------------------------


@routine
def take(m, mem, trace, vp, cause, sint):
    """Take the message of a slot as a guest should: (MessagePending or -1 for no message, cause).

    Copy, set the type to 0, and only then look at MessagePending: who looks first can lose a wake-up.
    """
    s = m["synic"][vp]
    if s["simp"] & PAGE_ON == 0:
        return NOWHERE, cause
    at = (mem[s["message_spn"]] >> PLACE) + sint * SLOT_WORDS
    old = mem[at]
    if old & TYPE == 0:
        return NOWHERE, cause
    mem[at] = old & ~TYPE
    pending = mem[at] >> FLAGS_AT & 1
    spa = s["message_spn"] << 12 | sint << 8
    return pending, events.message_taken(m, trace, vp, cause, sint, old & TYPE, pending, spa, old, mem[at])


@routine
def clear_flags(m, mem, trace, vp, cause, sint):
    """Clear every flag of a SINT, one locked operation each: (how many, cause)."""
    s, count = m["synic"][vp], ZERO
    if s["siefp"] & PAGE_ON == 0:
        return count, cause
    begin = (mem[s["flags_spn"]] >> PLACE) + sint * SLOT_WORDS
    for word in range(SLOT_WORDS):
        while mem[begin + word] != 0 and count < WORST_ROWS - 8:
            old, bit = mem[begin + word], ZERO
            while old >> bit & 1 == 0:
                bit += 1
            new = old & ~(ONE << bit)
            mem[begin + word] = new
            spa = s["flags_spn"] << 12 | sint << 8 | word << 3
            cause = events.event_flag_cleared(m, trace, vp, cause, sint, word * 64 + bit, spa, old, new)
            count += 1
    return count, cause
