"""What a story is built from: declarations of facts, kinds, places and pages, and the frames that refer to them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy.typing as npt

from hvlab.language import _
from hvlab.story.caption import plain_name

SCHEMA = 1
NONE = 0xFFFF
MOST_FRAMES = 100_000
LETTERS = {"H": "call", "X": "call", "I": "signal", "F": "signal", "M": "data", "V": "data", "R": "data",
           "A": "memory", "D": "memory", "W": "manage", "!": "fault"}  # fmt: skip
COLUMNS = (
    ("kind", "<u2"), ("phase", "<u2"), ("actor", "<u2"), ("src", "<u2"), ("dst", "<u2"), ("cause", "<i4"),
    ("time", "<f8"), *((f"w{k}{half}", "<u4") for k in range(6) for half in ("lo", "hi")),
)  # fmt: skip
CHANGES = (("frame", "<u4"), ("row", "<u2"), ("lo", "<u4"), ("hi", "<u4"))
WRITES = (("frame", "<u4"), ("page", "<u2"), ("offset", "<u2"), ("length", "<u2"), ("at", "<u4"))

TEXTS = ("label", "says", "left_out", "where")

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Fact:
    """A named 64-bit number that frames change; `panel` puts it into the state table, `start` is its first value."""

    name: str
    label: str = ""
    kind: str = "dec"
    panel: bool = False
    start: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of frame: its sentence, how its words are written, the rule behind it, the token it shows.

    `fields` names the words (at most six), `kinds` says how each is written. `says` may also use the names of facts,
    and `{actor}`. `letter` is the token of VIEWS: H hypercall, X exit, I interrupt, F event flag, M message, V channel
    message, R ring packet, A memory access, D DMA, W management call, ! fault.
    """

    name: str
    says: str
    fields: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    rule: str = ""
    left_out: str = ""
    letter: str = "A"


@dataclass(frozen=True)
class Place:
    """A box of the Hyper-V diagram that frames happen in; the texts after its label make its glossary card."""

    name: str
    label: str = ""
    says: str = ""
    where: str = ""
    source: str = ""
    lesson: str = ""


@dataclass(frozen=True)
class Page:
    """Memory whose bytes are on show: up to 64 KiB from `address`, with the fields of a declared structure.

    `fields` are `(name, offset, size, doc, kind)`; `kind` is a value kind, `word:NAME`, `bytes` or `text`.
    """

    name: str
    address: int
    length: int
    kind: str = "spa"
    start: bytes = b""
    fields: Sequence[tuple[str, int, int, str, str]] = ()


@dataclass(frozen=True)
class Frame:
    """One step of a story.

    `words` are the numbers of the event (by position, or by the names that the kind declares); `facts` are those that
    change here; `writes` are `(page name, offset, bytes)`; `cause` is an earlier frame or None; `time` is simulated
    nanoseconds; `actor` is the index of a virtual processor or None; `src` and `dst` are names of places, `src` being
    where the frame happens.
    """

    kind: str
    words: Sequence[int] | Mapping[str, int] = ()
    facts: Mapping[str, int] = field(default_factory=dict)
    phase: str = ""
    src: str = ""
    dst: str = ""
    actor: int | None = None
    cause: int | None = None
    time: int = 0
    writes: Sequence[tuple[str, int, bytes]] = ()


Declared = TypeVar("Declared", Fact, Kind, Place)


def spoken(things: Sequence[Declared]) -> list[Declared]:
    """Declarations in the learner's language: their labels and sentences, never their names."""
    found = []
    for thing in things:
        texts = {name: getattr(thing, name, "") for name in TEXTS}
        changes: dict[str, Any] = {name: _(text) for name, text in texts.items() if text and _(text) != text}
        found.append(replace(thing, **changes))
    return found


def declared(things: Sequence[Any]) -> list[dict[str, Any]]:
    """Declarations as plain JSON, with names and labels that are safe to show."""
    rows = [asdict(thing) for thing in things]
    for row in rows:
        row["name"] = plain_name(row["name"])
        if not row.get("lesson", "x"):
            del row["lesson"]
        if "label" in row:
            row["label"] = plain_name(row["label"] or row["name"])
    return rows
