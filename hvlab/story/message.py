"""A channel message as it lies in its slot: each field of the SynIC's header, of the message, and what follows it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from hvlab.language import N_, _
from hvlab.story.channel_state import SLOT, Letter, changes, replayed
from hvlab.story.frame import Fact, Page
from hvlab.story.hostmap import Drawn
from hvlab.story.picture import Element, Picture, faint, group, words
from hvlab.story.steps import Step
from hvlab.trace.journal import Trace
from hvlab.trace.words import ENUMS, say
from hvlab.wire import vmbus
from hvlab.wire.guids import CLASSES
from hvlab.wire.ring import GpaRange
from hvlab.wire.struct import Field, Struct, Word
from hvlab.wire.tlfs import MessageHeader

WIDTH: Final = 836
LINES, LINE, TOP = 26, 16, 66
AT, RAW, NAME, VALUE = 8, 70, 276, 476  # columns
MOST_RAW: Final = 8  # bytes that a line shows
MOST_PAGES: Final = 40
PAGE: Final = 4096
NOTHING, WAITS, LIES, COPIED, FAILED = range(5)
FLAG_WORDS: Final[dict[tuple[str, str], type[Word]]] = {
    ("Offer", "flags"): vmbus.OfferFlags,
    **{(kind.__name__, "feature_flags"): vmbus.FeatureFlags for kind in vmbus.FORMS[14] + vmbus.FORMS[15]},
}
GUIDS: Final = frozenset({"interface_type", "interface_instance", "endpoint_id", "service_id", "silo_id", "client_id"})
STATES: Final = {
    NOTHING: N_("No channel message yet."),
    WAITS: N_("It is on its way: no slot holds it yet."),
    LIES: N_("It lies in the slot of SINT {msg_sint} of VP {msg_vp}, at SPA {msg_spa:spa}."),
    COPIED: N_("Taken from the slot of SINT {msg_sint} of VP {msg_vp}: the receiver has a copy."),
    FAILED: N_("It could not be posted."),
}


@dataclass(frozen=True)
class Line:
    """One field: where it is, its bytes, its name, what it says."""

    at: int
    size: int
    raw: bytes
    name: str
    says: str
    doc: str
    kind: str


@dataclass
class Shown:
    """The picture, the slots as bytes, what each frame writes to them, and the words that both use."""

    drawn: Drawn
    pages: list[Page]
    writes: list[list[tuple[str, int, bytes]]]
    words: dict[str, dict[int, str]] = field(default_factory=dict)


class Texts:
    """Texts as numbers that a fact can have; 0 is none."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, ...], int] = {("",) * 4: 0}

    def number(self, *texts: str) -> int:
        """Return the number of a row of texts."""
        return self.numbers.setdefault(texts, len(self.numbers))

    def column(self, at: int) -> dict[int, str]:
        """Return one column, by number."""
        return {number: texts[at] for texts, number in self.numbers.items()}


def messages(trace: Trace, steps: Sequence[Step], before: Trace | None, root: int = 0) -> Shown:
    """Return the messages of a story, field by field as the words of the slots say them."""
    bus = replayed(before, root)
    first, lines, heads = len(bus.letters), Texts(), Texts()
    values, writes = list[dict[str, int]](), list[list[tuple[str, int, bytes]]]()
    names = dict[int, str]()
    held = dict[int, bytes]()  # by message: what its page shows
    whole = dict[int, bytes]()
    for step in steps:
        written = list[tuple[str, int, bytes]]()
        for row in step.rows:
            bus.read(trace, row)
            now = bus.now
            if now is None or now not in bus.letters[first:]:
                continue
            at = bus.letters.index(now, first) - first
            if now.slot and at < MOST_PAGES and held.get(at) != now.slot:
                names.setdefault(at, named(at, now))
                written += [(names[at], offset, data) for offset, data in changes(held.get(at, b""), now.slot)]
                held[at], whole[at] = now.slot, now.data
        writes.append(written)
        values.append(_moment(bus.now, lines, heads))
    facts = [Fact("msg_state"), Fact("msg_head", kind="enum:msg_head"), Fact("msg_said", kind="enum:msg_said")]
    facts += [Fact("msg_sint"), Fact("msg_vp"), Fact("msg_spa", kind="spa")]
    facts += [Fact(f"ml{at}", kind="enum:msg_at") for at in range(LINES)]
    found = bus.letters[first:]
    pages = [
        Page(names[at], found[at].spa, SLOT, "spa", b"", [_declared(line) for line in lines_of(whole[at])])
        for at in sorted(names)
    ]
    texts = {name: lines.column(k) for k, name in enumerate(("msg_at", "msg_raw", "msg_name", "msg_value"))}
    texts |= {"msg_head": heads.column(0), "msg_said": heads.column(1)}
    return Shown(Drawn(_picture(), facts, values), pages, writes, texts)


def named(at: int, letter: Letter) -> str:
    """Return what a message's bytes are called."""
    name = ENUMS["channel_message"].get(letter.number) or _("message {number}").format(number=letter.number)
    return _("{at}. {name} in the slot of SINT {sint}, VP {vp}").format(
        at=at + 1, name=name, sint=letter.sint, vp=letter.vp
    )


def _moment(letter: Letter | None, lines: Texts, heads: Texts) -> dict[str, int]:
    """The facts of one moment."""
    found = {f"ml{at}": 0 for at in range(LINES)} | {"msg_state": NOTHING, "msg_head": 0, "msg_said": 0}
    found |= {"msg_sint": 0, "msg_vp": 0, "msg_spa": 0}
    if letter is None:
        return found
    name = ENUMS["channel_message"].get(letter.number) or _("message {number}").format(number=letter.number)
    size = letter.data[4] if letter.data else 0
    title = _("{name}: {size} bytes").format(name=name, size=size) if size else name
    told = lines_of(letter.data) if letter.data else []
    said = "; ".join(f"{line.name} {line.says}" for line in told[len(MessageHeader.fields) :])
    found |= {"msg_state": letter.where, "msg_head": heads.number(title, said, "", "")}
    found |= {"msg_said": found["msg_head"], "msg_sint": max(letter.sint, 0), "msg_vp": max(letter.vp, 0)}
    found["msg_spa"] = letter.spa
    for at, line in enumerate(told[:LINES]):
        raw = line.raw[:MOST_RAW].hex(" ") + (" …" if len(line.raw) > MOST_RAW else "")
        found[f"ml{at}"] = lines.number(f"{line.at}+{line.size}", raw, line.name, line.says)
    return found


# fields ---------------------------------------------------------------------------------------------------------------


def lines_of(data: bytes) -> list[Line]:
    """Return the fields of a slot: the SynIC's header, and, where it holds a channel message, all of that."""
    found = list(_struct(MessageHeader, data, 0))
    payload = data[MessageHeader.size : MessageHeader.size + min(data[4], SLOT - MessageHeader.size)]
    if data[0] != vmbus.MESSAGE_TYPE or len(payload) < vmbus.ChannelHeader.size:
        return found
    found += _struct(vmbus.ChannelHeader, data, MessageHeader.size)
    number = vmbus.ChannelHeader.decode(payload).message_type
    body = payload[vmbus.ChannelHeader.size :]
    version = int.from_bytes(body[:4], "little") if number == vmbus.InitiateContact.number else vmbus.V5_3
    form = vmbus.form_of(number, len(body), version)
    at = MessageHeader.size + vmbus.ChannelHeader.size
    if form is not None:
        found += _struct(form, data, at)
        at += form.size
    end = MessageHeader.size + len(payload)
    if number in (vmbus.GpadlHeader.number, vmbus.GpadlBody.number) and form is not None:
        found += _pages(data, at, end, number == vmbus.GpadlHeader.number)
    elif at < end:
        found.append(Line(at, end - at, data[at:end], _("rest"), _("not declared"), "", "bytes"))
    return found


def _struct(kind: type[Struct], data: bytes, base: int) -> Iterator[Line]:
    """Yield the fields of a declared structure."""
    for one in kind.fields:
        at = base + one.offset
        raw = data[at : at + one.bytes]
        yield Line(
            at, one.bytes, raw, one.name, meaning(one, raw, kind.__name__), _(one.doc), "bytes" if one.raw else one.kind
        )


def _pages(data: bytes, at: int, end: int, header: bool) -> Iterator[Line]:
    """Yield what follows a GPADL's header or body: the range, then page numbers, two a line."""
    if header and at + GpaRange.size <= end:
        yield from _struct(GpaRange, data, at)
        at += GpaRange.size
    number = 0
    while at + 8 <= end:
        size = 16 if at + 16 <= end else 8
        pfns = [int.from_bytes(data[k : k + 8], "little") for k in range(at, at + size, 8)]
        name = _("page {first}") if size == 8 else _("pages {first} and {last}")
        says = ", ".join(f"{pfn:#x}" for pfn in pfns)
        doc = _("Page numbers of the guest: a GPA without its last 12 bits.")
        yield Line(at, size, data[at : at + size], name.format(first=number, last=number + 1), says, doc, "bytes")
        at, number = at + size, number + size // 8


def meaning(one: Field, raw: bytes, owner: str = "") -> str:
    """Return what a field says, in words where it has some."""
    if one.raw:
        if one.name in GUIDS and len(raw) == 16:
            text = vmbus.guid_text(raw)
            return CLASSES[text].name if text in CLASSES else text
        return _("zeros") if not any(raw) else _("bytes of the device's own")
    value = int.from_bytes(raw, "little")
    if (owner, one.name) in FLAG_WORDS:
        names = [flag.name for flag in FLAG_WORDS[owner, one.name].fields if value >> flag.lo & 1]
        return ", ".join([say("hex", value), *names])
    if one.kind.startswith("enum:"):
        return f"{value} = {say(one.kind, value)}" if value in ENUMS[one.kind[5:]] else str(value)
    return say(one.kind if one.kind in ("hex", "gpa", "spa") else "dec", value)


def _declared(line: Line) -> tuple[str, int, int, str, str]:
    """A field as the byte view wants it."""
    kind = line.kind if line.kind in ("dec", "hex", "gpa") or line.kind.startswith("enum:") else "bytes"
    return line.name, line.at, line.size, line.doc, kind if line.size <= 8 else "bytes"


# the picture ----------------------------------------------------------------------------------------------------------


def _picture() -> Picture:
    layer: list[Element] = [
        words("head", AT, 18, "", "label title", WIDTH - 16),
        words("state", AT, 38, "", "label", WIDTH - 16),
    ]
    bind: list[Element] = [
        ["text", "head", "msg_head", "enum:msg_head"],
        ["say", "state", {"fact": "msg_state", "cases": {str(k): _(text) for k, text in STATES.items()}, "else": ""}],
    ]
    heads = ((AT, _("offset"), 56), (RAW, _("bytes as they lie there"), 198), (NAME, _("field"), 192),
             (VALUE, _("what it says"), 350))  # fmt: skip
    layer += [words("", x, TOP - 8, text, "small soft", room) for x, text, room in heads]
    layer.append(faint(AT, TOP - 4, WIDTH - 8, TOP - 4))
    for at in range(LINES):
        y, id = TOP + LINE * at, f"ml{at}"
        content = [
            words(f"{id}a", AT, y + 12, "", "small code soft"),
            words(f"{id}r", RAW, y + 12, "", "small code"),
            words(f"{id}n", NAME, y + 12, "", "small"),
            words(f"{id}v", VALUE, y + 12, "", "small"),
        ]
        layer.append(group(id, content))
        bind += [["text", f"{id}{mark}", id, f"enum:{name}"] for mark, name in zip("arnv", COLUMNS, strict=True)]
        bind.append(["show", id, id])
    alt = {"fact": "msg_state", "cases": {str(k): _(text) for k, text in STATES.items() if k in (NOTHING, FAILED)},
           "else": _("{msg_head:enum:msg_head}. {msg_said:enum:msg_said}.")}  # fmt: skip
    return Picture(_("Message"), _("A channel message as it lies in its slot"), WIDTH, TOP + LINE * LINES + 6, layer,
                   bind, alt)  # fmt: skip


COLUMNS: Final = ("msg_at", "msg_raw", "msg_name", "msg_value")
__all__ = ["Shown", "lines_of", "messages"]
