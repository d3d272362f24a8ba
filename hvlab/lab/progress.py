"""Progress: what a learner did, as lines of JSON beside the notebooks; nothing of it leaves the machine by itself.

One line for each act: ``{v, at, learner, item, kind, seed, given, verdict, model, hint, confidence}``. Lines are only
ever appended. The learner is an alias; no name, no host, no path is written. A line that is torn or foreign is skipped
and named by its number; where nothing can be written, work goes on in memory. In `test` mode the file is neither read
nor written.
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from hvlab.errors import BadRequest, plain
from hvlab.language import _
from hvlab.story.gate import mode

FILE: Final = "hvlab-progress.jsonl"
LARGEST: Final = 4 << 20
LONGEST_LINE: Final = 1 << 16
LONGEST_GIVEN: Final = 24_000  # the text of a function, as JSON
VERSION: Final = 1
DEMO: Final = "demo"
ALIAS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
ALIAS_WANTED: Final = "1 to 32 letters, digits, dots, hyphens, underscores; the first a letter or a digit"
ACTS: Final = ("learner", "predict", "check", "hint", "again", "exit", "recall", "hunt")


@dataclass(frozen=True)
class Row:
    """One act of a learner."""

    learner: str
    item: str
    kind: str
    seed: str = ""
    given: str = ""
    verdict: str = ""
    model: str = ""
    hint: int = 0
    confidence: str = ""
    at: str = ""
    v: int = VERSION

    def line(self) -> str:
        """Return the row as its line in the file."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=True)


@dataclass(frozen=True)
class Reading:
    """What stands in progress files: the rows, and the lines that were skipped, as (file, number)."""

    rows: tuple[Row, ...]
    skipped: tuple[tuple[str, int], ...] = ()

    def complaints(self) -> Iterator[str]:
        """Say which lines were skipped."""
        for file, number in self.skipped:
            yield _("{file}: line {number} is torn or foreign; it was skipped and left as it is.").format(
                file=file, number=number
            )


def row_of(line: str) -> Row | None:
    """Return the row of a line; None for a line that is none of ours."""
    try:
        found = json.loads(line) if len(line) <= LONGEST_LINE else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("v") != VERSION or found.get("kind") not in ACTS:
        return None
    known = {one.name: one for one in fields(Row)}
    if not {"learner", "item", "at"} <= set(found) <= set(known):
        return None
    if any(type(value) is not (int if known[name].type is int else str) for name, value in found.items()):
        return None
    return Row(**found) if ALIAS.fullmatch(found["learner"]) else None


def read(paths: Iterable[Path]) -> Reading:
    """Read files and join them: a row that stands in several stands once, in the order of time."""
    rows: dict[str, Row] = {}
    skipped: list[tuple[str, int]] = []
    for path in paths:
        try:
            text = path.read_bytes().decode("utf-8", errors="replace")
        except OSError:
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            row = row_of(line)
            if row is None:
                skipped.append((path.name, number))
            else:
                rows.setdefault(row.line(), row)
    return Reading(tuple(sorted(rows.values(), key=lambda row: row.at)), tuple(skipped))


@dataclass
class Book:
    """The progress file of this folder, or what stands for it in memory."""

    memory: list[Row] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def path(self) -> Path:
        """Return the file that the next row goes to: the last one that was begun."""
        return ([Path(os.environ.get("HVLAB_PROGRESS") or FILE), *self.further()])[-1]

    def further(self) -> list[Path]:
        """Return the files that were begun since the first one was full."""
        first = Path(os.environ.get("HVLAB_PROGRESS") or FILE)
        found: list[Path] = []
        while (path := numbered(first, len(found) + 2)).exists():
            found.append(path)
        return found

    def files(self) -> list[Path]:
        """Return every file, the first one first."""
        return [Path(os.environ.get("HVLAB_PROGRESS") or FILE), *self.further()]

    def add(self, row: Row) -> None:
        """Append a row with the time of now; where that fails, keep it in memory and say so once."""
        row = Row(**(asdict(row) | {"at": row.at or now(), "given": plain(row.given, LONGEST_GIVEN)}))
        if mode() != "test":
            try:
                self._append(row)
                return
            except OSError as error:
                self.once(_("Progress cannot be written ({why}); it is kept in memory.").format(why=error.strerror))
        self.memory.append(row)

    def _append(self, row: Row) -> None:
        path = self.path()
        size = path.stat().st_size if path.exists() else 0
        if size > LARGEST:
            path = numbered(self.files()[0], len(self.files()) + 1)
            self.once(_("The progress file is full; {file} was begun.").format(file=path.name))
            size = 0
        with path.open("ab+") as file:
            torn = size > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
            file.write((b"\n" if torn else b"") + row.line().encode() + b"\n")

    def once(self, text: str) -> None:
        """Print a sentence, the first time only."""
        if text not in self.said:
            self.said.add(text)
            print(text)

    def reading(self) -> Reading:
        """Return all rows: those of the files, and those of this session that could not be written."""
        found = Reading(()) if mode() == "test" else read(self.files())
        return Reading((*found.rows, *self.memory), found.skipped)


BOOK: Final = Book()


def numbered(first: Path, number: int) -> Path:
    """Return the name of a further progress file."""
    return first.with_name(f"{first.stem}-{number}{first.suffix}")


_last = [datetime.min.replace(tzinfo=UTC)]


def now() -> str:
    """Return the time as it stands in a row; no two rows of a session have the same."""
    _last[0] = max(datetime.now(UTC), _last[0] + timedelta(microseconds=1))
    return _last[0].isoformat(timespec="microseconds")


def learner() -> str:
    """Return the alias of who learns: ``HVLAB_LEARNER``, else the one in the progress file, else `demo`.

    In `test` mode it is `demo`, whatever is set.
    """
    if mode() == "test":
        return DEMO
    asked = os.environ.get("HVLAB_LEARNER", "")
    if asked:
        return alias(asked)
    chosen = [row.learner for row in BOOK.reading().rows if row.kind == "learner"]
    return chosen[-1] if chosen else DEMO


def alias(text: str) -> str:
    """Return an alias as it is.

    Raises
    ------
    BadRequest
        If it is none.
    """
    if not isinstance(text, str) or not ALIAS.fullmatch(text):
        raise BadRequest(f"the alias {plain(text, 40)!r}", "", ALIAS_WANTED)
    return text


def call_me(text: str) -> None:
    """Choose the alias under which this folder's work is kept; a teacher gives it, or you invent it."""
    BOOK.add(Row(alias(text), "", "learner"))
    print(_("Worlds are now dealt to {alias}.").format(alias=text))


def given_text(answer: Any) -> str:
    """Return a plain answer as it stands in a row: JSON, bytes as hex."""
    return json.dumps(answer, default=lambda one: bytes(one).hex(" "))


def note(item: str, kind: str, **more: Any) -> None:
    """Keep one act of the learner of now."""
    BOOK.add(Row(learner(), item, kind, **more))


@dataclass(frozen=True)
class Table:
    """Rows of text that print as a table."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [self.head, *self.rows]
        wide = [max(len(line[at]) for line in lines) for at in range(len(self.head))]
        told = ("  ".join(cell.ljust(size) for cell, size in zip(line, wide, strict=True)).rstrip() for line in lines)
        return "\n".join([*told, *self.notes])


@dataclass(frozen=True)
class Summary:
    """What a learner did with one item."""

    learner: str
    item: str
    attempts: int
    right: bool
    first: str
    hints: int
    models: tuple[str, ...]
    confidence: str


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Return one summary for each learner and item that was attempted or hinted at."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.item and row.kind != "learner":
            found.setdefault((row.learner, row.item), []).append(row)
    return [_summary(who, item, done) for (who, item), done in sorted(found.items())]


def _summary(who: str, item: str, done: Sequence[Row]) -> Summary:
    tried = [row for row in done if row.verdict in ("right", "wrong", "kept")]
    models = dict.fromkeys(name for row in tried for name in row.model.split(" or ") if name)
    hints = max((row.hint for row in done), default=0)
    confidence = next((row.confidence for row in tried if row.confidence), "")
    first = tried[0].verdict if tried else ""
    return Summary(
        who,
        item,
        len(tried),
        any(r.verdict in ("right", "kept") for r in tried),
        first,
        hints,
        tuple(models),
        confidence,
    )


PARTS: Final = (
    ("warm-up", r"R\d"),
    ("predictions", r"[a-z]\S*"),
    ("E1", r"E1.*"),
    ("E2", "E2.*"),
    ("E3", "E3.*"),
    ("exit", r"X\d"),
)


class Progress:
    """What this folder's learner did: called, a table of lessons and parts; ``progress.csv()`` for any LMS."""

    def __call__(self) -> Table:
        """Return lessons and parts as a table: how many items are right of those attempted."""
        reading = BOOK.reading()
        mine = [one for one in summaries(reading.rows) if one.learner == learner()]
        lessons = sorted({one.item[:2] for one in mine if one.item[:2].isdigit()})
        rows = tuple((lesson, *(_part(mine, lesson, test) for _name, test in PARTS)) for lesson in lessons)
        head = (_("lesson"), *(_(name) for name, _test in PARTS))
        return Table(head, rows, (*reading.complaints(), *on_binder()))

    def csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return (and, with a path, write) one row for each item: learner, item, attempts, right, hints, models."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([one.name for one in fields(Summary)])
        for one in summaries(BOOK.reading().rows):
            values = asdict(one) | {"right": int(one.right), "models": " ".join(one.models)}
            writer.writerow([safe(str(value)) for value in values.values()])
        if path is not None:
            Path(path).write_text(out.getvalue(), encoding="utf-8", newline="")
        return out.getvalue()

    def merge(self, path: str | os.PathLike[str]) -> int:
        """Take over the rows of another progress file that are not here yet, and return how many."""
        known = {row.line() for row in BOOK.reading().rows}
        new = [row for row in read([Path(path)]).rows if row.line() not in known]
        for row in new:
            BOOK.add(row)
        return len(new)

    def __repr__(self) -> str:
        return "progress() is the table; progress.csv() one row for each item; progress.merge(file) joins another file"


def _part(mine: Sequence[Summary], lesson: str, test: str) -> str:
    done = [one for one in mine if one.item[:3] == f"{lesson}." and re.fullmatch(test, one.item[3:])]
    return f"{sum(one.right for one in done)}/{len(done)}" if done else ""


def safe(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def on_binder() -> list[str]:
    """On Binder: how to keep the file; elsewhere nothing."""
    if not any(os.environ.get(name) for name in ("BINDER_LAUNCH_HOST", "BINDER_REPO_URL")):
        return []
    told = _("Binder forgets: download {file} before you go; next time upload it and run progress.merge({file!r}).")
    return [told.replace("{file!r}", repr(FILE)).format(file=FILE)]


progress: Final = Progress()
