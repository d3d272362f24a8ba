"""What a recording of VMBus may show of a channel message, and what its version means.

Layouts, names and versions are those of `hvlab.wire.vmbus`; a recorder keeps the first words only, or names fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hvlab.language import N_, _
from hvlab.wire.vmbus import (
    BODY_PFNS,
    BY_VALUE,
    CHILD,
    FORMS,
    HEADER_PFNS,
    NAMES,
    V2_4,
    V5,
    VERSIONS,
    ChannelHeader,
    form_of,
)
from hvlab.wire.vmbus import guid_text as from_wire

OFFER, RESCIND, REQUEST_OFFERS, ALL_OFFERS = 1, 2, 3, 4
OPEN, OPEN_RESULT, CLOSE = 5, 6, 7
GPADL_HEADER, GPADL_BODY, GPADL_CREATED, GPADL_TEARDOWN, GPADL_TORNDOWN = 8, 9, 10, 11, 12
RELID_RELEASED, CONTACT, VERSION_RESPONSE, UNLOAD, UNLOAD_COMPLETE = 13, 14, 15, 16, 17
TL_CONNECT, MODIFY, TL_RESULT, MODIFY_RESPONSE = 21, 22, 23, 24
ANSWERS: Final = {14: 15, 3: 4, 8: 10, 5: 6, 11: 12, 16: 17, 22: 24, 2: 13, 25: 26, 27: 28}
GUIDS: Final = ("interface_type", "interface_instance")

Value = int | str


def version_name(value: int) -> str:
    """Return a version as people write it: 5.3."""
    return f"{value >> 16}.{value & 0xFFFF}"


def version_value(text: str) -> int:
    """Return the number of a version such as ``5.3``."""
    major, _dot, minor = text.partition(".")
    return int(major) << 16 | int(minor)


def version_means(value: int) -> list[str]:
    """Return what a negotiated version means: where it comes from, what it has, what it lacks."""
    name = version_name(value)
    if value not in BY_VALUE:
        return [_("VMBus {version}: no such version is known here.").format(version=name)]
    host = _("VMBus {version}: the first host that speaks it is {host}.")
    lines = [host.format(version=name, host=BY_VALUE[value].host)]
    has = [one for one in VERSIONS if V2_4 <= one.value <= value]
    lines += ["  " + _("has, since {version}: {adds}").format(version=one.name, adds=_(one.adds)) for one in has]
    lacks = [one for one in reversed(VERSIONS) if one.value > value]
    lines += ["  " + _("lacks, as of {version}: {adds}").format(version=one.name, adds=_(one.adds)) for one in lacks]
    return lines


def known(number: int) -> bool:
    """Return whether there is such a message."""
    return number in FORMS


def by_guest(number: int) -> bool:
    """Return whether the guest sends such messages."""
    return known(number) and FORMS[number][0].sender == CHILD


def name_of(number: int) -> str:
    """Return the name of a message, or its number where it has none."""
    return NAMES.get(number) or _("message {number}").format(number=number)


def fields_of(number: int, words: Sequence[int]) -> dict[str, Value]:
    """Return the fields of a message that its leading 64-bit words, header included, hold entirely."""
    data = b"".join(word.to_bytes(8, "little") for word in words)[ChannelHeader.size :]
    found: dict[str, Value] = {}
    form = form_of(number, 0xFFFF, int.from_bytes(data[:4], "little") if number == CONTACT else V5) or ChannelHeader
    for field in form.fields if known(number) else ():
        part = data[field.offset : field.offset + field.bytes]
        if len(part) == field.bytes and (field.name in GUIDS or not field.raw):
            found[field.name] = from_wire(part) if field.raw else int.from_bytes(part, "little")
    return found


def pages_of(fields: Mapping[str, Value]) -> int:
    """Return how many pages a GPADL_HEADER announces; 0 where the recording does not say.

    A range is an offset and a length of four bytes each, then eight bytes for each page.
    """
    if "pages" in fields:
        return int(fields["pages"])
    return max(0, int(fields["length"]) - 8 * int(fields.get("count", 1))) // 8 if "length" in fields else 0


def bodies_for(pages: int) -> int:
    """Return how many GPADL_BODY messages follow a header."""
    return -(-max(0, pages - HEADER_PFNS) // BODY_PFNS)


STEPS: Final = {  # what the protocol wants a message to do
    1: N_("the host names one channel of a device"),
    2: N_("the host takes a channel back"),
    3: N_("the guest asks for all devices"),
    4: N_("the host has named them all"),
    5: N_("the guest opens the channel with its rings"),
    6: N_("the host says whether it is open"),
    7: N_("the guest closes the channel; nobody answers"),
    8: N_("the guest names the pages of its rings, or of a buffer"),
    9: N_("further page numbers"),
    10: N_("the host says whether it has mapped them"),
    11: N_("the guest asks for its pages back"),
    12: N_("the host has let go of them"),
    13: N_("the guest gives the channel's number back"),
    14: N_("the guest names a version; it begins with its newest"),
    15: N_("the host takes this version, or refuses it"),
    16: N_("the guest ends the connection"),
    17: N_("the host has forgotten all channels"),
    21: N_("the guest asks for a socket connection"),
    22: N_("the guest moves a channel to another processor"),
    23: N_("what became of the socket connection"),
    24: N_("the host signals that processor now"),
}
