"""What a Linux guest's tracer says of VMBus, as ``trace``, ``trace_pipe`` or ``trace-cmd report`` print it.

Three forms of one line, all after ``TASK-PID [CPU] FLAGS TIME:``, where trace-cmd may leave out the flags:
``EVENT: text`` of the trace points ``vmbus_*`` (Linux drivers/hv/hv_trace.h), ``PROBE: (FUNCTION+0x0/0xf0 [hv_vmbus])
name=value …`` of probes that show leading words, and ``FUNCTION <-CALLER`` of the function tracer. Of a probe the
function counts, whatever its owner called it; ``w0``, ``w1`` … are the message's words of 64 bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hvlab.capture import busfields as bus
from hvlab.capture.busfields import Value, fields_of
from hvlab.capture.buslog import HANDLED, SEEN, TAKEN, Beside, BusLog, Collector, Travelled
from hvlab.capture.devices import GUID
from hvlab.capture.source import Source, Unknown, lines_of, unknown
from hvlab.errors import BadFile
from hvlab.language import N_

LINE: Final = re.compile(
    r"(\S.{0,80}?-\d{1,8}) +(?:\( *[\d-]{1,8}\) +)?\[(\d{1,4})\] +(?:[\w.#]{2,10} +)?(\d{1,9}\.\d{1,9}): +(.{1,1500})"
)
EVENT: Final = re.compile(r"(\w{1,60}): +(.{0,1400})")
PROBE: Final = re.compile(
    r"\((\w{1,80})\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}(?: \[hv_vmbus\])?(?: <- \w{1,80})?\)(?: (.{0,1200}))?"
)
FUNCTION: Final = re.compile(r"([\w.]{1,100}) <-[\w.]{1,100}")
PAIR: Final = re.compile(rf"(?:^|[ ,])(\w{{1,40}})[ =](-?0x[0-9a-f]{{1,16}}|{GUID}|-?\d{{1,19}})(?=$|[ ,])")
WORD: Final = re.compile(r"w(\d)")
SENT: Final = {  # trace point of the guest's sending functions
    "vmbus_negotiate_version": bus.CONTACT, "vmbus_request_offers": bus.REQUEST_OFFERS, "vmbus_open": bus.OPEN,
    "vmbus_close_internal": bus.CLOSE, "vmbus_establish_gpadl_header": bus.GPADL_HEADER,
    "vmbus_establish_gpadl_body": bus.GPADL_BODY, "vmbus_teardown_gpadl": bus.GPADL_TEARDOWN,
    "vmbus_release_relid": bus.RELID_RELEASED, "vmbus_send_tl_connect_request": bus.TL_CONNECT,
    "vmbus_send_modifychannel": bus.MODIFY,
}  # fmt: skip
GOT: Final = {  # handler of each message that the host sends; trace points carry the same names
    "vmbus_onoffer": bus.OFFER, "vmbus_onoffer_rescind": bus.RESCIND, "vmbus_onoffers_delivered": bus.ALL_OFFERS,
    "vmbus_onopen_result": bus.OPEN_RESULT, "vmbus_ongpadl_created": bus.GPADL_CREATED,
    "vmbus_ongpadl_torndown": bus.GPADL_TORNDOWN, "vmbus_onversion_response": bus.VERSION_RESPONSE,
    "vmbus_unload_response": bus.UNLOAD_COMPLETE, "vmbus_onmodifychannel_response": bus.MODIFY_RESPONSE,
    "vmbus_onunload_response": bus.UNLOAD_COMPLETE,
    "vmbus_ontl_connect_result": bus.TL_RESULT,
}  # fmt: skip
NAMES: Final = {  # how the trace points call a field, and how it is called here
    "child_relid": "channel_id", "openid": "open_id", "gpadl": "gpadl_id", "gpadlhandle": "gpadl_id",
    "target_vcpu": "target_vp", "offset": "downstream_offset", "creation_status": "status",
    "vmbus_version_requested": "version", "version_supported": "supported", "range_buflen": "length",
    "rangecount": "count", "msgnumber": "message_number", "if_type": "interface_type",
    "if_instance": "interface_instance", "sub_channel_index": "sub_channel_index", "conn": "connection",
}  # fmt: skip
BESIDE: Final = {
    "vmbus_sendpacket": N_("packet written"),
    "hv_ringbuffer_write": N_("packet written"),
    "hv_ringbuffer_read": N_("packet read"),
    "vmbus_setevent": N_("host signalled"),
    "vmbus_set_event": N_("host signalled"),
    "vmbus_isr": N_("interrupt taken"),
    "vmbus_chan_sched": N_("channel interrupt"),
    "vmbus_on_event": N_("channel callback"),
}
OURS: Final = re.compile(r"(?:__)?(?:vmbus|hv)_\w+")


@dataclass(frozen=True)
class _Line:
    """One line of the tracer: the first three columns, then the name and what follows."""

    number: int
    where: str
    seconds: float
    name: str
    text: str
    probe: bool


def ftrace(source: Source) -> BusLog:
    """Read a guest's recording of VMBus: a file, or the text itself.

    Raises
    ------
    BadFile
        For a text without one line of VMBus, or whatever the import gate refuses.
    """
    name, lines = lines_of(source)
    calls, events, notes, odd = list[_Line](), list[_Line](), list[Unknown](), list[Unknown]()
    for number, said in lines:
        parts = LINE.fullmatch(said)
        if parts is None:
            comment = said.startswith("#") or re.match(r"(?:cpus|version) ?=|CPU \d+ is empty", said)
            (notes if comment else odd).append(unknown(number, said))
            continue
        line = _line(number, parts)
        if line is None or not OURS.fullmatch(line.name):
            (odd if line is None else notes).append(unknown(number, said))
        else:
            (events if line.text or line.probe else calls).append(line)
    if not events and not calls:
        raise BadFile(name, "the text", "no line of vmbus_* or hv_*", "a recording of VMBus by the kernel's tracer")
    return _put_together(name, events, calls, notes, odd)


def _line(number: int, parts: re.Match[str]) -> _Line | None:
    where, seconds = f"{parts[1]} [{int(parts[2])}]", float(parts[3])
    if call := FUNCTION.fullmatch(parts[4]):
        return _Line(number, where, seconds, call[1], "", False)
    if event := EVENT.fullmatch(parts[4]):
        if probe := PROBE.fullmatch(event[2]):
            return _Line(number, where, seconds, probe[1], probe[2] or "", True)
        return _Line(number, where, seconds, event[1], event[2].strip(), False)
    return None


def _put_together(
    file: str, events: list[_Line], calls: list[_Line], notes: list[Unknown], odd: list[Unknown]
) -> BusLog:
    """One recording of both kinds of lines; a function's line counts where no trace point or probe tells the same."""
    collected, beside = Collector(file), list[Beside]()
    told = {_number(line) for line in events} - {None}
    quiet = bool(told)
    for line in sorted([*events, *calls], key=lambda one: one.number):
        called = not line.text and not line.probe
        number = _number(line)
        if called and number is not None and number in told:
            notes.append(unknown(line.number, line.name))
        elif number is not None:
            _message(collected, line, number)
        elif line.name in BESIDE:
            words = _words(line)
            kind = N_("ring found empty") if words.get("desc") == 0 else BESIDE[line.name]
            beside.append(Beside(line.number, line.seconds, kind, words))
        elif called or quiet or line.text:
            notes.append(unknown(line.number, f"{line.name}: {line.text}" if line.text else line.name))
    return BusLog("guest", collected.done(), tuple(beside), tuple(notes), tuple(odd))


def _words(line: _Line) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in PAIR.findall(line.text):
        whole = value.count("-") < 4
        found.setdefault(NAMES.get(name, name), int(value, 0 if "x" in value else 10) if whole else value.lower())
    return found


def _number(line: _Line) -> int | None:
    """The type of the message that a line speaks of, None if it is no message."""
    if line.name in GOT:
        return GOT[line.name]
    words = _words(line)
    if line.probe:
        first = words.get("w0") if line.name in ("hv_post_message", "vmbus_post_msg", "vmbus_onmessage") else None
        return int(first) & 0xFFFF_FFFF if isinstance(first, int) else None
    if line.name in SENT:
        return SENT[line.name]
    seen = words.get("msgtype", words.get("message_type"))
    return int(seen) if line.name in ("vmbus_on_msg_dpc", "vmbus_on_message") and isinstance(seen, int) else None


def _message(collected: Collector, line: _Line, number: int) -> None:
    words = _words(line)
    stage = {"vmbus_on_msg_dpc": SEEN, "vmbus_on_message": TAKEN, "vmbus_onmessage": TAKEN}.get(line.name, HANDLED)
    if line.probe:
        fields = fields_of(number, _leading(words))
        fields |= {"connection": words["connection"]} if "connection" in words else {}
    else:
        fields = {name: value for name, value in words.items() if name not in ("msgtype", "message_type")}
    one = Travelled(line.number, line.seconds, number, line.where, fields, stage=stage)
    if line.name in SENT or line.name in ("hv_post_message", "vmbus_post_msg"):
        one.stage = HANDLED
        collected.add(one)
    else:
        collected.came(one)


def _leading(words: dict[str, Value]) -> list[int]:
    """The message's first words, as many as follow each other."""
    found = list[int]()
    while isinstance(word := words.get(f"w{len(found)}"), int) and word >= 0:
        found.append(word)
    return found
