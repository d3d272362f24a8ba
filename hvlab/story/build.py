"""Frames into columns: the working part of `Storyboard.from_frames`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hvlab.errors import BadRequest
from hvlab.language import _, lang
from hvlab.story.caption import MASK, plain_name
from hvlab.story.frame import (
    CHANGES,
    COLUMNS,
    LETTERS,
    MOST_FRAMES,
    NONE,
    SCHEMA,
    WRITES,
    Arrays,
    Fact,
    Frame,
    Kind,
    Page,
    Place,
    declared,
)

Built = tuple[dict[str, Any], Arrays, Arrays, Arrays, bytes]


def build(
    title: str,
    frames: Iterable[Frame],
    kinds: Sequence[Kind],
    facts: Sequence[Fact],
    phases: list[str],
    places: Sequence[Place],
    pages: Sequence[Page],
) -> Built:
    """The scene's declarations and the three groups of columns."""
    table = _Columns(kinds, facts, phases, places, pages)
    for frame in frames:
        table.add(frame)
    if not table.count:
        raise ValueError(f"the story {title!r} has no frames")
    scene = {
        "schema": SCHEMA,
        "title": plain_name(title),
        "lang": lang(),
        "frames": table.count,
        "kinds": _kinds(kinds),
        "phases": [plain_name(_(phase)) for phase in table.phases],
        "places": declared(places),
        "facts": _facts(facts),
        "pages": [_page(page) for page in pages],
    }
    return scene, *table.arrays()


class _Columns:
    """The columns while they grow."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        facts: Sequence[Fact],
        phases: list[str],
        places: Sequence[Place],
        pages: Sequence[Page],
    ) -> None:
        self.kinds = _numbered("kind", kinds)
        self.fields = {kind.name: kind.fields for kind in kinds}
        self.facts = _numbered("fact", facts)
        self.now = {fact.name: fact.start & MASK for fact in facts}
        self.phases = {phase: at for at, phase in enumerate(phases)}
        self.places = _numbered("place", places)
        self.pages = {page.name: (at, page.length) for at, page in enumerate(pages)}
        self.count = 0
        self.rows: list[tuple[Any, ...]] = []
        self.changes: list[tuple[int, int, int, int]] = []
        self.writes: list[tuple[int, int, int, int, int]] = []
        self.arena = bytearray()

    def add(self, frame: Frame) -> None:
        """Append one frame, or say which of its names nobody declared."""
        if self.count >= MOST_FRAMES:
            raise BadRequest("a longer story", f"the limit of {MOST_FRAMES:,} frames", "a coarser lens or a part of it")
        words = self._words(frame)
        cause = -1 if frame.cause is None else frame.cause
        if not -1 <= cause < self.count:
            raise ValueError(f"frame {self.count}: cause {cause} is not an earlier frame")
        phase = self.phases.setdefault(frame.phase, len(self.phases)) if frame.phase else NONE
        actor = NONE if frame.actor is None or frame.actor < 0 else frame.actor
        halves = [half for word in words for half in (word & 0xFFFF_FFFF, word >> 32)]
        place = self._place(frame.src), self._place(frame.dst)
        self.rows.append((self._at("kind", self.kinds, frame.kind), phase, actor, *place, cause, frame.time, *halves))
        for name, value in frame.facts.items():
            self._change(name, int(value) & MASK)
        for page, offset, data in frame.writes:
            self._write(page, offset, bytes(data))
        self.count += 1

    def _change(self, name: str, value: int) -> None:
        row = self._at("fact", self.facts, name)
        if self.now[name] != value:
            self.now[name] = value
            self.changes.append((self.count, row, value & 0xFFFF_FFFF, value >> 32))

    def _write(self, page: str, offset: int, data: bytes) -> None:
        if page not in self.pages:
            raise ValueError(f"frame {self.count}: page {page!r} is not declared; there are {sorted(self.pages)}")
        at, length = self.pages[page]
        if offset < 0 or offset + len(data) > length:
            raise ValueError(f"frame {self.count}: {len(data)} bytes at {offset} leave the {length} bytes of {page!r}")
        self.writes.append((self.count, at, offset, len(data), len(self.arena)))
        self.arena += data

    def _words(self, frame: Frame) -> list[int]:
        fields = self.fields.get(frame.kind, ())
        given = frame.words
        if isinstance(given, Mapping):
            wrong = set(given) - set(fields)
            if wrong:
                raise ValueError(f"frame {self.count}: {frame.kind!r} has the words {fields}, not {sorted(wrong)}")
            given = [given.get(name, 0) for name in fields]
        if len(given) > 6:
            raise ValueError(f"frame {self.count}: {len(given)} words; a frame has up to six")
        return [int(word) & MASK for word in given] + [0] * (6 - len(given))

    def _place(self, name: str) -> int:
        return self._at("place", self.places, name) if name else NONE

    def _at(self, what: str, known: Mapping[str, int], name: str) -> int:
        if name not in known:
            raise ValueError(f"frame {self.count}: {what} {name!r} is not declared; there are {sorted(known)}")
        return known[name]

    def arrays(self) -> tuple[Arrays, Arrays, Arrays, bytes]:
        """Columns, changes, writes and the byte arena."""
        return (
            _arrays(COLUMNS, self.rows),
            _arrays(CHANGES, self.changes),
            _arrays(WRITES, self.writes),
            bytes(self.arena),
        )


def _arrays(names: Sequence[tuple[str, str]], rows: Sequence[tuple[Any, ...]]) -> Arrays:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {name: np.array(column, dtype=dtype) for (name, dtype), column in zip(names, columns, strict=True)}


def _numbered(what: str, things: Sequence[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for at, thing in enumerate(things):
        if thing.name in found:
            raise ValueError(f"two declarations of the {what} {thing.name!r}")
        found[thing.name] = at
    if len(found) >= NONE:
        raise ValueError(f"{len(found)} {what}s; a story has fewer than {NONE}")
    return found


def _kinds(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    rows = declared(kinds)
    for row in rows:
        if len(row["fields"]) > 6 or len(row["kinds"]) not in (0, len(row["fields"])):
            raise ValueError(f"kind {row['name']!r}: up to six fields, and a value kind for each")
        if row["letter"] not in LETTERS:
            raise ValueError(f"kind {row['name']!r}: letter {row['letter']!r} is none of {sorted(LETTERS)}")
        row["fields"] = list(row["fields"])
        row["kinds"] = list(row["kinds"]) or ["dec"] * len(row["fields"])
        row["tone"] = LETTERS[row["letter"]]
    return rows


def _facts(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    rows = declared(facts)
    for row in rows:
        row["start"] = f"{int(row['start']) & MASK:x}"
    return rows


def _page(page: Page) -> dict[str, Any]:
    if not 0 < page.length <= 0x10000 or len(page.start) > page.length:
        raise ValueError(f"page {page.name!r}: 1 to 65,536 bytes, and no more at the start than that")
    rows: list[dict[str, Any]] = [
        {"name": plain_name(name), "offset": offset, "size": size, "doc": doc, "kind": kind}
        for name, offset, size, doc, kind in page.fields
    ]
    for row in rows:
        if row["offset"] < 0 or row["size"] < 1 or row["offset"] + row["size"] > page.length:
            raise ValueError(f"page {page.name!r}: field {row['name']!r} leaves its {page.length} bytes")
    return {
        "name": plain_name(page.name), "address": f"{page.address & MASK:x}", "kind": page.kind,
        "length": page.length, "start": page.start.hex(), "fields": rows,
    }  # fmt: skip
