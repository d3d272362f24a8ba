"""What a channel, a GPADL and a connection can be, why a message is refused, and why page lists are.

The numbers are those of the catalogue of events.
"""

from enum import IntEnum


class Connection(IntEnum):
    """The state of a connection, on either side."""

    DISCONNECTED = 0
    CONNECTING = 1  # the guest asked, and waits for the answer
    CONNECTED = 2
    UNLOADING = 3  # the guest said UNLOAD, and waits for the answer


class State(IntEnum):
    """The state of a channel; each side keeps its own."""

    RELEASED = 0  # the other side knows nothing of it
    OFFERED = 1
    OPENING = 2
    OPEN = 3
    CLOSING = 4
    RESCINDED = 5
    CLOSED = 6


class Refusal(IntEnum):
    """Why a channel message changes nothing."""

    BEFORE_CONTACT = 1
    UNKNOWN_MESSAGE = 2
    TOO_SHORT = 3
    UNKNOWN_CHANNEL = 4
    NOT_NOW = 5
    NOT_IN_THIS_VERSION = 6
    UNKNOWN_GPADL = 7
    GPADL_OF_ANOTHER = 8
    GPADL_IN_USE = 9
    HANDLE_IN_USE = 10
    TOO_MANY = 11
    NO_SUCH_VP = 12
    OFFSET_OUTSIDE = 13
    WRONG_SENDER = 14
    RESCINDED = 15


class GpadlRefusal(IntEnum):
    """Why a list of pages is not taken. Source: openvmm vmbus_ring/src/gparange.rs; ownership is our I14."""

    TOO_SMALL = 1
    TOO_LARGE = 2
    OFFSET_TOO_LARGE = 3
    NO_RANGE = 4
    PAGES_MISSING = 5
    NOT_THE_GUESTS = 6
    EMPTY = 7
    TOO_MANY = 8


class Gpadl(IntEnum):
    """The state of a GPADL, on either side."""

    IN_PROGRESS = 0  # not all of its page numbers are there, or no answer yet
    LIVE = 1
    TEARING_DOWN = 2
