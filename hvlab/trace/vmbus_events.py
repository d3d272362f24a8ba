"""The catalogue, last part: VMBus. Channel messages, pages that a GPADL names, packets in rings, and who rings a bell.

The actor is the virtual processor whose software acts. `ring` is 1 from guest to host, 2 from host to guest.
"""

from hvlab.trace import intercept_events  # noqa: F401  its numbers come first
from hvlab.trace.event import event
from hvlab.trace.events import MEMORY
from hvlab.trace.words import ENUMS, NAMES
from hvlab.wire import vmbus

BUS = "vmbus"
ENUMS |= {
    "channel_message": vmbus.NAMES,
    "vmbus_version": {version.value: version.name for version in vmbus.VERSIONS},
    "channel_status": {int(status): status.name for status in vmbus.ChannelStatus},
    "ring": {1: "guest to host", 2: "host to guest"},
    "side": {1: "the root's", 2: "the child's"},
    "packet": {6: "in-band", 7: "transfer-page", 9: "GPA-direct", 10: "cancel", 11: "completion"},
    "policy": {0: "hvlab", 1: "openvmm", 2: "linux"},
    "channel_state": {
        0: "released",
        1: "offered",
        2: "opening",
        3: "open",
        4: "closing",
        5: "rescinded",
        6: "closed",
    },
    "channel_refusal": {
        1: "before contact",
        2: "unknown message",
        3: "too short",
        4: "unknown channel",
        5: "not in this state",
        6: "not in this version",
        7: "unknown GPADL",
        8: "GPADL of another channel",
        9: "GPADL in use",
        10: "handle in use",
        11: "too many",
        12: "no such VP",
        13: "offset outside the pages",
        14: "wrong sender",
        15: "rescinded",
    },
    "gpadl_refusal": {
        1: "range too small",
        2: "range too large",
        3: "offset too large",
        4: "no range",
        5: "pages missing",
        6: "not the guest's page",
        7: "length of 0",
        8: "too many pages",
    },
    "verdict": {
        0: "sound",
        1: "empty",
        2: "index outside the ring or not a multiple of 8",
        3: "less than a descriptor",
        4: "lengths that contradict each other",
        5: "longer than what is there",
        6: "trailer outside",
        7: "unknown flags",
        8: "unknown type",
        9: "no ranges",
        10: "more packets than a ring can hold",
    },
    "bell": {
        1: "the reader was awake already: its index was not the old write index",
        2: "the reader's mask is set",
        3: "the ring was empty",
        4: "the writer does not wait",
        5: "not enough room yet",
        6: "there was room before",
        7: "now there is room",
        8: "always",
        9: "the writer cannot wait: its feature bit is 0",
    },
}  # fmt: skip
NAMES |= {"channel_message", "vmbus_version", "channel_status", "packet", "policy"}

CHANNELS = "Linux drivers/hv/channel_mgmt.c, connection.c; openvmm vmbus_server channels.rs"
GPADLS = "Linux drivers/hv/channel.c, vmbus_establish_gpadl; openvmm vmbus_ring gparange.rs"
RINGS = "Linux drivers/hv/ring_buffer.c; openvmm vmbus_ring"
SIGNALS = "Linux drivers/hv/ring_buffer.c, hv_signal_on_write; Documentation/virt/hyperv/vmbus.rst"
WAKES = "Linux drivers/hv/ring_buffer.c, hv_pkt_iter_close"
MONITORS = "Linux drivers/hv/channel.c, vmbus_setevent; hyperv_vmbus.h, hv_monitor_page"


# channels -------------------------------------------------------------------------------------------------------------


@event(
    box=BUS,
    says="VP {actor} sends {number:enum:channel_message} (channel {channel}) on connection {connection:hex}.",
    rule=CHANNELS,
)
def channel_message_sent(number, channel, gpadl, value, status, connection):
    """`value`: version, target VP, page offset or message number; 0 where a message has no such field."""


@event(
    box=BUS,
    says="VP {actor} takes {number:enum:channel_message} (channel {channel}) out of its slot.",
    rule=CHANNELS,
)
def channel_message_taken(number, channel, gpadl, value, status, spa):
    """The receiver's driver copied it, and freed the slot. `spa`: the slot."""


@event(
    box=BUS,
    says="VP {actor} refuses {number:enum:channel_message} (channel {channel}): {why:enum:channel_refusal}.",
    rule=CHANNELS,
)
def channel_message_refused(number, channel, gpadl, why):
    """Nothing changed on the receiver's side."""


@event(box=BUS, says="VP {actor} accepts version {version:enum:vmbus_version}.", rule=CHANNELS)
def version_accepted(version, connection):
    """`connection`: where the guest posts from now on."""


@event(box=BUS, says="VP {actor} does not speak version {version:enum:vmbus_version}.", rule=CHANNELS)
def version_refused(version):
    """The guest tries the next lower one."""


@event(
    box=BUS,
    says="Channel {channel} on {side:enum:side} side: {old:enum:channel_state} becomes {new:enum:channel_state}.",
    rule=CHANNELS,
)
def channel_state_changed(side, channel, old, new):
    """Each side keeps its own state of a channel."""


# pages ----------------------------------------------------------------------------------------------------------------


@event(
    box=BUS,
    says="GPADL {gpadl:hex}, page {index}: GPA {gpa:gpa} of the child is GPA {root_gpa:gpa} of the root.",
    rule=GPADLS,
)
def gpadl_page_mapped(gpadl, index, gpa, root_gpa, spa):
    """The root found the child's page among those that it gave; both names are one page of memory, `spa`."""


@event(box=BUS, says="VP {actor} has all {pages} pages of GPADL {gpadl:hex} for channel {channel}.", rule=GPADLS)
def gpadl_mapped(gpadl, channel, pages, length, offset):
    """Each page is the guest's own; from now on none of them may be taken from it."""


@event(
    box=BUS,
    says="VP {actor} refuses GPADL {gpadl:hex} (channel {channel}): {why:enum:gpadl_refusal}.",
    rule=GPADLS,
)
def gpadl_refused(gpadl, channel, why, word):
    """No page was mapped. `word`: the range's word that was wrong."""


@event(box=BUS, says="VP {actor} lets go of the {pages} pages of GPADL {gpadl:hex}.", rule=GPADLS)
def gpadl_unmapped(gpadl, channel, pages):
    """The pages are the guest's alone again."""


# rings ----------------------------------------------------------------------------------------------------------------


@event(
    box=BUS,
    says="The ring {ring:enum:ring} of channel {channel} has {size} bytes, from GPA {gpa:gpa} on.",
    rule=RINGS,
)
def ring_begun(channel, ring, size, gpa, side):
    """One end is ready; `size` is without the control page, `gpa` that of the control page."""


@event(
    box=BUS,
    says="VP {actor} writes a packet ({kind:enum:packet}, {length} bytes) at {at:hex} of the ring {ring:enum:ring}.",
    rule=RINGS,
)
def packet_written(channel, ring, at, length, kind, transaction):
    """Descriptor, data, padding and trailer are in the ring; nobody can see them before the index moves."""


@event(
    box=BUS,
    says="No room for {needed} bytes in the ring {ring:enum:ring}: {available} are free, 8 stay empty.",
    rule=RINGS,
)
def packet_refused(channel, ring, needed, available):
    """A write that would fill the ring is refused too: equal indices mean empty."""


@event(
    box=BUS,
    says="VP {actor} publishes the write index of the ring {ring:enum:ring}: {old:hex} becomes {new:hex}.",
    rule=RINGS,
)
def write_index_published(channel, ring, old, new):
    """All packets up to here are the reader's."""


@event(
    box=BUS,
    says="VP {actor} signals channel {channel}, ring {ring:enum:ring}: {why:enum:bell}.",
    rule=SIGNALS,
)
def doorbell_rung(channel, ring, mask, read_index, old_index, why):
    """Mask 0, and the reader had taken all that was there before this write."""


@event(
    box=BUS,
    says="No signal for the ring {ring:enum:ring}: {why:enum:bell}.",
    rule=SIGNALS,
)
def doorbell_saved(channel, ring, mask, read_index, old_index, why):
    """A signal that was not needed: about one entry into the hypervisor less."""


@event(
    box=BUS,
    says="VP {actor} reads a packet ({kind:enum:packet}, {length} bytes) at {at:hex} of the ring {ring:enum:ring}.",
    rule=RINGS,
)
def packet_read(channel, ring, at, length, kind, transaction):
    """Copied out of the shared pages first, looked at afterwards."""


@event(
    box=BUS,
    says="VP {actor} refuses what lies at {at:hex} of the ring {ring:enum:ring}: {verdict:enum:verdict}.",
    rule=RINGS,
)
def packet_rejected(channel, ring, at, verdict, policy):
    """The read index stays."""


@event(
    box=BUS,
    says="VP {actor} cuts a packet to what is there: {field:hex} becomes {value:hex} (ring {ring:enum:ring}).",
    rule="Linux drivers/hv/ring_buffer.c, hv_pkt_iter_first",
)
def packet_clamped(channel, ring, at, field, value):
    """What Linux does with lengths that lie."""


@event(
    box=BUS,
    says="VP {actor} publishes the read index of the ring {ring:enum:ring}: {old:hex} becomes {new:hex}.",
    rule=RINGS,
)
def read_index_published(channel, ring, old, new):
    """The room up to here is the writer's again."""


@event(
    box=BUS,
    says="VP {actor} signals that there is room in the ring {ring:enum:ring}: {free} bytes, {pending} were waited for.",
    rule=WAKES,
)
def room_signalled(channel, ring, before, free, pending):
    """Only at the read that crosses the pending size."""


@event(
    box=BUS,
    says="No signal about room in the ring {ring:enum:ring}: {why:enum:bell}.",
    rule=WAKES,
)
def room_not_signalled(channel, ring, before, free, pending, why):
    """The writer does not wait, or not for this."""


@event(box=BUS, says="VP {actor} sets the mask of the ring {ring:enum:ring} to {value}.", rule=RINGS)
def interrupt_mask_set(channel, ring, value):
    """1: the reader is awake, and looks again after it has set 0."""


@event(
    box=BUS,
    says="VP {actor} waits for {size} free bytes in the ring {ring:enum:ring}.",
    rule=WAKES,
)
def pending_size_set(channel, ring, size):
    """0: it waits no more."""


@event(
    box=MEMORY,
    says="VP {actor} writes SPA {spa:spa} of the ring {ring:enum:ring}: {old:hex} becomes {new:hex}.",
    rule=RINGS,
)
def ring_word_written(spa, old, new, channel, ring):
    """One word of a ring changed, in the control page or in the data."""


@event(
    box=BUS,
    says="VP {actor} sets trigger {trigger} of the monitor page for channel {channel}; it may wait {latency:time}.",
    rule=MONITORS,
)
def trigger_set(channel, trigger, latency):
    """No entry into the hypervisor: it looks at the page by itself."""


@event(
    box=BUS,
    says="The hypervisor finds trigger {trigger} of channel {channel} set, after {waited:time}, and signals.",
    rule=MONITORS,
)
def trigger_found(channel, trigger, waited):
    """All triggers of the page that were set by then become signals at once."""


@event(
    box=BUS,
    says="The host does not listen to channel {channel} for {nanoseconds:time}: {signals} signals were not needed.",
    rule="Linux Documentation/virt/hyperv/vmbus.rst (a guest that signals too often is suspended)",
)
def guest_throttled(channel, signals, nanoseconds):
    """A guest that rings although nobody has to be woken."""
