"""A recorded connection beside what the protocol expects: which message answers which, what is missing or refused.

The order is that of Linux drivers/hv/connection.c, channel_mgmt.c and channel.c: contact, one version after the other,
until the host takes one; all offers; then for each channel pages, opening, traffic. A message that asks is set beside
its answer: the first of the right type after it that speaks of the same channel and pages, as far as both are recorded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.capture import busfields as bus
from hvlab.capture.busfields import ANSWERS, STEPS, bodies_for, name_of, pages_of, version_means, version_name
from hvlab.capture.buslog import BusLog, BusMessage
from hvlab.capture.source import left_over
from hvlab.language import N_, _
from hvlab.wire.guids import CLASSES
from hvlab.wire.vmbus import V5_3, ConnectionId

SEEN, MISSING, REFUSED, RETRIED, UNASKED = (
    N_("seen"), N_("missing"), N_("refused"), N_("retried"), N_("unasked"),
)  # fmt: skip
MARKS: Final = {SEEN: "✓", MISSING: "?", REFUSED: "✕", RETRIED: "↻", UNASKED: "!"}
MOST_ROWS: Final = 400
KEYS: Final = ("channel_id", "gpadl_id")
PHASES: Final = {
    **dict.fromkeys((14, 15, 25, 26), N_("contact")),
    **dict.fromkeys((1, 3, 4, 21, 23), N_("offer")),
    **dict.fromkeys((8, 9, 10), N_("share pages")),
    **dict.fromkeys((5, 6, 18, 22, 24), N_("open")),
    **dict.fromkeys((27, 28, 29), N_("talk")),
    **dict.fromkeys((2, 7, 11, 12, 13, 16, 17, 19, 20), N_("close")),
}


@dataclass(frozen=True)
class Row:
    """One step: the message that the protocol expects there, the one that is recorded, and how they agree.

    Attributes
    ----------
    number : int
        The type of the message.
    mark : str
        ``seen``, ``missing``, ``refused``, ``retried``, or ``unasked`` (nothing called for it).
    message : BusMessage or None
        What is recorded; None if it is missing.
    says : str
        What this message said, in words.
    answers : BusMessage or None
        The request that it answers, or that waits for it.
    """

    number: int
    mark: str
    message: BusMessage | None
    says: str
    answers: BusMessage | None = None

    @property
    def phase(self) -> str:
        """Return the sub-goal that it belongs to."""
        return _(PHASES.get(self.number, N_("other")))


@dataclass(frozen=True)
class Handshake:
    """The rows of a recording, and the version on which both ends agreed (None: not recorded)."""

    rows: tuple[Row, ...]
    version: int | None
    agreed: bool

    def marked(self, mark: str) -> list[Row]:
        """Return the rows with a mark."""
        return [row for row in self.rows if row.mark == mark]


def handshake(log: BusLog) -> Handshake:
    """Set a recording beside what the protocol expects."""
    return _Judge(log.messages).judged()


class _Answers:
    """The answers of one type that nothing claims yet, found by channel, by pages, or by both.

    Requests come in order, so what stands before one of them is never looked at again: the whole takes linear time.
    """

    def __init__(self) -> None:
        self.lists: dict[tuple[object, ...], deque[int]] = defaultdict(deque)
        self.taken: set[int] = set()

    def add(self, at: int, fields: Mapping[str, object]) -> None:
        channel, pages = (fields.get(key) for key in KEYS)
        for key in ((channel, pages), (channel, "any"), ("any", pages), ("any", "any")):
            self.lists[key].append(at)

    def first(self, after: int, before: int, fields: Mapping[str, object]) -> int | None:
        """Return the first one between two places that contradicts nothing in the fields, and claim it."""
        channel, pages = (fields.get(key) for key in KEYS)
        keys = [
            (one, other)
            for one in (("any",) if channel is None else (channel, None))
            for other in (("any",) if pages is None else (pages, None))
        ]
        found = min((place for key in keys if (place := self._front(key, after)) is not None), default=before)
        if found >= before:
            return None
        self.taken.add(found)
        return found

    def _front(self, key: tuple[object, ...], after: int) -> int | None:
        queue = self.lists.get(key)
        while queue and (queue[0] <= after or queue[0] in self.taken):
            queue.popleft()
        return queue[0] if queue else None


class _Judge:
    """The messages of a recording, and which of them answer which."""

    def __init__(self, messages: Sequence[BusMessage]) -> None:
        self.messages = messages
        self.places: dict[int, list[int]] = defaultdict(list)  # by type
        self.bodies: dict[object, list[int]] = defaultdict(list)
        answers: dict[int, _Answers] = defaultdict(_Answers)
        for at, message in enumerate(messages):
            self.places[message.number].append(at)
            answers[message.number].add(at, message.fields)
            if message.number == bus.GPADL_BODY:
                self.bodies[message.fields.get("gpadl_id")].append(at)
        self.answer: dict[int, int] = {}  # request to answer, both by place
        for at, message in enumerate(messages):
            if message.number in ANSWERS:
                last = self._next(bus.CONTACT, at) if message.number == bus.CONTACT else len(messages)
                its = answers[ANSWERS[message.number]].first(at, last, message.fields)
                if its is not None:
                    self.answer[at] = its
        self.asked = {its: at for at, its in self.answer.items()}
        self.then = self._requests_after()
        self.again = self._repeated()
        self.version: int | None = None
        self.agreed = False

    def judged(self) -> Handshake:
        rows = [*self._before(), *(row for at in range(len(self.messages)) for row in self._rows(at))]
        return Handshake(tuple(rows), self.version, self.agreed)

    def _requests_after(self) -> list[int]:
        """The type of the guest's next message after each, 0 where there is none."""
        found, later = list[int](), 0
        for message in reversed(self.messages):
            found.append(later)
            later = message.number if message.by_guest else later
        return found[::-1]

    def _repeated(self) -> set[int]:
        """The requests that say what an earlier one said, which was not answered."""
        found, open_ = set[int](), set[tuple[object, ...]]()
        for at, message in enumerate(self.messages):
            if message.number in ANSWERS and message.fields:
                key = message.number, *sorted(message.fields.items())
                if key in open_:
                    found.add(at)
                if at not in self.answer:
                    open_.add(key)
        return found

    def _next(self, number: int, at: int) -> int:
        """The place of the next message of a type; the end where there is none."""
        places = self.places.get(number, [])
        k = bisect_right(places, at)
        return places[k] if k < len(places) else len(self.messages)

    def _before(self) -> Iterator[Row]:
        """What a connection begins with, if something later is recorded without it."""
        there = set(self.places)
        if not there - {bus.CONTACT, bus.VERSION_RESPONSE}:
            return
        says = _("no such message is recorded") if bus.CONTACT in there else _("the recording begins later")
        for number in (bus.CONTACT, bus.REQUEST_OFFERS, bus.ALL_OFFERS):
            if number not in there and not (number == bus.ALL_OFFERS and bus.REQUEST_OFFERS in there):
                yield Row(number, MISSING, None, says)

    def _rows(self, at: int) -> Iterator[Row]:
        message = self.messages[at]
        number = message.number
        request = self.messages[self.asked[at]] if at in self.asked else None
        yield Row(number, self._mark(at), message, self._says(at), request)
        if number == bus.GPADL_HEADER:
            yield from self._bodies(at)
        if number in ANSWERS and at not in self.answer and self._wants_answer(at):
            yield Row(ANSWERS[number], MISSING, None, self._silence(at), message)

    def _wants_answer(self, at: int) -> bool:
        return self.messages[at].number != bus.MODIFY or (self.version or 0) >= V5_3

    def _mark(self, at: int) -> str:
        message = self.messages[at]
        if self._refused(at):
            return REFUSED
        if message.tries > 1 or at in self.again:
            return RETRIED
        if message.number in ANSWERS.values() and at not in self.asked:
            return UNASKED
        return SEEN

    def _refused(self, at: int) -> bool:
        """Whether this message says no, or could not even be sent."""
        message = self.messages[at]
        if message.says("ret") or message.says("status"):
            return True
        if message.number != bus.VERSION_RESPONSE:
            return False
        said = message.says("supported")
        return said == 0 if said is not None else self.then[at] == bus.CONTACT  # then it asks for another version

    def _bodies(self, at: int) -> Iterator[Row]:
        header = self.messages[at]
        pages = pages_of(header.fields)
        end = self.answer.get(at, len(self.messages))
        places = [self.bodies[header.fields.get("gpadl_id")], self.bodies[None] if "gpadl_id" in header.fields else []]
        there = sum(bisect_right(of, end) - bisect_right(of, at) for of in places)
        if bodies_for(pages) > there:
            text = _("{pages} pages need {bodies} of these, {there} are recorded")
            yield Row(bus.GPADL_BODY, MISSING, None, text.format(pages=pages, bodies=bodies_for(pages), there=there))

    def _silence(self, at: int) -> str:
        message = self.messages[at]
        if at == len(self.messages) - 1:
            return _("the recording ends here")
        if message.says("ret"):
            return _("the request could not be sent")
        if message.number == bus.CONTACT and self.then[at] == bus.CONTACT:
            if message.says("connection") == ConnectionId.MESSAGES_5:
                return _("nobody listens on connection 4: a host older than 5.0")
            return _("no answer is recorded; the guest asks again")
        return _("no answer is recorded")

    def _says(self, at: int) -> str:
        message = self.messages[at]
        parts = [text for text in (self._own(at), _post(message)) if text]
        if message.tries > 1:
            busy = _("posted {count} times: the receiver's slot was full")
            parts.append(busy.format(count=message.tries))
        return "; ".join(parts)

    def _own(self, at: int) -> str:
        message, says = self.messages[at], self.messages[at].says
        if message.number == bus.CONTACT:
            return self._contact(message)
        if message.number == bus.VERSION_RESPONSE:
            return self._response(at)
        if message.number == bus.OFFER:
            return _offer(message.fields)
        parts = [_("{name} {value}").format(name=_(name), value=text) for name, text in _numbers(message.fields)]
        if message.number == bus.GPADL_HEADER and (pages := pages_of(message.fields)):
            parts.append(_("{count} pages").format(count=pages))
        status = says("status")
        if status is not None:
            parts.append(_("status 0: done") if status == 0 else _("status {status:#x}: no").format(status=status))
        return ", ".join(parts)

    def _contact(self, message: BusMessage) -> str:
        version, connection = message.says("version"), message.says("connection")
        text = _("version {version}").format(
            version=version_name(version) if version is not None else _("not recorded")
        )
        return text if connection is None else f"{text}, {_('connection {number}').format(number=connection)}"

    def _response(self, at: int) -> str:
        asked = self.asked.get(at)
        version = None if asked is None else self.messages[asked].says("version")
        if self._refused(at):
            said = self.messages[at].says("supported") is not None
            return (
                _("the guest has to try another version")
                if said
                else _("so it seems: the guest asks for another version")
            )
        follows = self._next(bus.REQUEST_OFFERS, at) < len(self.messages)
        if self.messages[at].says("supported") is None and not follows:
            return _("the recording does not say whether it is accepted")
        self.version, self.agreed = version, True
        name = version_name(version) if version is not None else _("a version that is not recorded")
        return _("accepted: both ends speak {version}").format(version=name)


def _numbers(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The numbers that tell one channel, its pages and its processor from another."""
    for name, called, shown in (
        ("channel_id", N_("channel"), "d"),
        ("gpadl_id", N_("GPADL"), "#x"),
        ("target_vp", N_("for VP"), "d"),
        ("downstream_offset", N_("second ring from page"), "d"),
    ):
        value = fields.get(name)
        if isinstance(value, int):
            yield called, format(value, shown)


def _offer(fields: Mapping[str, object]) -> str:
    guid, channel, sub = (fields.get(name) for name in ("interface_type", "channel_id", "sub_channel_index"))
    name = CLASSES[str(guid)].name if guid in CLASSES else str(guid or _("a device that the recording does not name"))
    parts = [name]
    if isinstance(channel, int):
        parts.append(_("channel {relid}").format(relid=channel))
    if isinstance(sub, int) and sub:
        parts.append(_("sub-channel {index}").format(index=sub))
    return ", ".join(parts)


def _post(message: BusMessage) -> str:
    ret = message.says("ret")
    return _("its post failed with {ret}").format(ret=ret) if ret else ""


# --- in words ---------------------------------------------------------------------------------------------------------


def told(log: BusLog) -> Iterator[str]:
    """Tell a recording: the rows, what the version means, what happened beside, and the lines that are not known."""
    found = handshake(log)
    end = _("the guest's end") if log.end == "guest" else _("the host's end")
    yield _("{count} channel messages, recorded at {end}").format(count=f"{len(log):,}", end=end)
    begin = log.messages[0].seconds if log.messages else 0.0
    cells = [_cells(row, begin) for row in found.rows[:MOST_ROWS]]
    head = (_("after"), "", _("message"), _("mark"), _("what it says"))
    wide = [max(len(row[k]) for row in [head, *cells]) for k in range(4)]
    for row in (head, *cells):
        yield "  ".join([*(cell.ljust(w) for cell, w in zip(row, wide, strict=False)), row[4]]).rstrip()
    if len(found.rows) > MOST_ROWS:
        yield _("{count} more rows are left out.").format(count=f"{len(found.rows) - MOST_ROWS:,}")
    yield from summed_up(found)
    if found.version is not None:
        yield from version_means(found.version)
    for kind, count in log.counts().items():
        yield f"{_(kind)}: {count:,}"
    if log.notes:
        yield _("{count} further lines are the recorder's own.").format(count=f"{len(log.notes):,}")
    yield from left_over(log.unknown)


def summed_up(found: Handshake) -> Iterator[str]:
    """Tell how many steps are missing, refused or retried, or that all is as expected."""
    counts = {mark: len(found.marked(mark)) for mark in (MISSING, REFUSED, RETRIED, UNASKED)}
    counts[RETRIED] = sum(
        row.mark == RETRIED or (row.message is not None and row.message.tries > 1) for row in found.rows
    )
    said = ", ".join(f"{count} {_(mark)}" for mark, count in counts.items() if count)
    if said:
        yield _("Beside what the protocol expects: {said}.").format(said=said)
    else:
        yield _("Each message is where the protocol expects it.")
    if not found.agreed:
        yield _("No version was agreed on in this recording.")


def _cells(row: Row, begin: float) -> tuple[str, str, str, str, str]:
    time = f"{(row.message.seconds - begin) * 1000:.3f} ms" if row.message else ""
    way = "→" if bus.by_guest(row.number) else "←"
    return time, way, name_of(row.number), f"{MARKS[row.mark]} {_(row.mark)}", row.says


def expected(number: int) -> str:
    """Return what the protocol wants this message to do."""
    return _(STEPS[number]) if number in STEPS else name_of(number)
