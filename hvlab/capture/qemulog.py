"""What QEMU's VMBus bridge, a host's end, says of a connection: its trace points, one a line.

``PID@SECONDS:EVENT text``; ``log`` output puts a thread or a date before it. A message that finds the guest's slot full
is posted once more: ``message status -11`` (EAGAIN). Source: QEMU hw/hyperv/trace-events, vmbus.c.
"""

from __future__ import annotations

import re
from typing import Final

from hvlab.capture import busfields as bus
from hvlab.capture.busfields import Value, by_guest, version_value
from hvlab.capture.buslog import HANDLED, SEEN, TAKEN, Beside, BusLog, Collector, Travelled
from hvlab.capture.source import Source, Unknown, lines_of, unknown
from hvlab.errors import BadFile
from hvlab.language import N_

LINE: Final = re.compile(r"(?:\d{1,9}@(\d{1,12}\.\d{1,9}):)?((?:vmbus|hv)_\w{1,60})(?: (.{0,400}))?")
NUMBER: Final = r"#?(-?\d{1,10})"
FIELDS: Final = "type|size|status|version|target vp|int page|channel|gpadl|gfns"
PAIRS: Final = re.compile(rf"\b({FIELDS})\s+(?:0x([0-9a-f]{{1,16}})|{NUMBER}(?:\.(\d{{1,5}}))?)")
NAMES: Final = {
    "channel": "channel_id",
    "gpadl": "gpadl_id",
    "target vp": "target_vp",
    "gfns": "pages",
    "int page": "interrupt_page",
}
DETAILS: Final = {  # trace points that tell more of a message that was taken from the guest, or will be posted to it
    "vmbus_initiate_contact": bus.CONTACT, "vmbus_gpadl_header": bus.GPADL_HEADER, "vmbus_gpadl_body": bus.GPADL_BODY,
    "vmbus_gpadl_teardown": bus.GPADL_TEARDOWN, "vmbus_open_channel": bus.OPEN, "vmbus_close_channel": bus.CLOSE,
    "vmbus_send_offer": bus.OFFER, "vmbus_terminate_offers": bus.ALL_OFFERS, "vmbus_gpadl_created": bus.GPADL_CREATED,
    "vmbus_gpadl_torndown": bus.GPADL_TORNDOWN, "vmbus_channel_open": bus.OPEN_RESULT,
}  # fmt: skip
BESIDE: Final = {"vmbus_channel_notify_guest": N_("guest signalled"), "vmbus_signal_event": N_("host signalled")}
BUSY: Final = -11  # EAGAIN: the guest's message slot is full
MOST_TYPES: Final = 1 << 16


class _Reader:
    """The lines so far, and what they leave open: details of the next post, and the post whose status is to come."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.collected = Collector(file)
        self.ahead: dict[int, dict[str, Value]] = {}
        self.posted: Travelled | None = None
        self.busy: Travelled | None = None
        self.beside: list[Beside] = []

    def take(self, line: int, seconds: float, event: str, words: dict[str, Value]) -> bool:
        """Take one line; False if it is nothing of the bus."""
        number = int(words.pop("type", 0))
        if not 0 <= number < MOST_TYPES:
            raise BadFile(self.file, f"line {line:,}, type", number, f"a number from 0 to {MOST_TYPES - 1:,}")
        if event == "vmbus_recv_message":
            self.collected.came(Travelled(line, seconds, number, "host", words, stage=SEEN))
        elif event == "vmbus_process_incoming_message":
            self.collected.came(Travelled(line, seconds, number, "host", words, stage=TAKEN))
        elif event == "vmbus_post_msg":
            self._post(line, seconds, number, words)
        elif event == "vmbus_msg_cb":
            self._status(int(words.get("status", 0)))
        elif event in DETAILS:
            self._detail(line, seconds, DETAILS[event], words)
        elif event in BESIDE:
            self.beside.append(Beside(line, seconds, BESIDE[event], words))
        else:
            return False
        return True

    def _post(self, line: int, seconds: float, number: int, words: dict[str, Value]) -> None:
        fields = words | self.ahead.pop(number, {})
        if self.busy is not None and self.busy.number == number:
            self.busy.tries += 1
            self.posted, self.busy = self.busy, None
            return
        self.posted = self.collected.add(Travelled(line, seconds, number, "host", fields, stage=HANDLED))

    def _status(self, status: int) -> None:
        if self.posted is not None:
            self.posted.fields["ret"] = 0 if status == BUSY else status
            self.busy = self.posted if status == BUSY else None
            if status == BUSY:
                self.posted.fields["busy"] = int(self.posted.fields.get("busy", 0)) + 1
        self.posted = None

    def _detail(self, line: int, seconds: float, number: int, words: dict[str, Value]) -> None:
        if by_guest(number):
            self.collected.came(Travelled(line, seconds, number, "host", words, stage=HANDLED))
        elif self.busy is None or self.busy.number != number:
            self.ahead[number] = words


def qemu_log(source: Source) -> BusLog:
    """Read a trace of QEMU's VMBus bridge: a file, or the text itself.

    Raises
    ------
    BadFile
        For a text without such a line, or whatever the import gate refuses.
    """
    name, lines = lines_of(source)
    reader, notes, odd = _Reader(name), list[Unknown](), list[Unknown]()
    for number, said in lines:
        parts = LINE.fullmatch(said)
        if parts is None:
            odd.append(unknown(number, said))
        elif not reader.take(number, float(parts[1] or 0), parts[2], _words(parts[3] or "")):
            notes.append(unknown(number, f"{parts[2]} {parts[3] or ''}".strip()))
    messages = reader.collected.done()
    if not messages:
        raise BadFile(name, "the text", "no message", "a trace of QEMU's VMBus: vmbus_recv_message, vmbus_post_msg …")
    return BusLog("host", messages, tuple(reader.beside), tuple(notes), tuple(odd))


def _words(text: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, digits, whole, minor in PAIRS.findall(text):
        value: Value = int(digits, 16) if digits else int(whole)
        if name == "version" and minor:
            value = version_value(f"{whole}.{minor}")
        found.setdefault(NAMES.get(name, name), value)
    return found
