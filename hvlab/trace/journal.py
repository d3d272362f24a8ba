"""What was recorded, for reading: rows with names, sentences, facts, a digest and a portable text form."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.errors import BadFile
from hvlab.language import _
from hvlab.trace import vmbus_events  # noqa: F401  it imports all others, and they fill the catalogue
from hvlab.trace.event import CATALOGUE, COLUMNS, Event, by_name
from hvlab.trace.words import say

Rows = npt.NDArray[np.int64]
MAX_ROWS = 1_000_000


class Trace:
    """The rows of one action, or of many: immutable, in order, each with the number of its cause.

    Parameters
    ----------
    rows : array of int64, shape (n, 10)
        kind, time (ns), actor (VP slot or -1), cause (row or -1), six words.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = np.array(rows, np.int64).reshape(-1, COLUMNS)
        self.rows.flags.writeable = False

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: "Trace") -> "Trace":
        """Join two traces; causes of the second keep pointing at its own rows."""
        later = other.rows.copy()
        later[later[:, 3] >= 0, 3] += len(self)
        return Trace(np.concatenate([self.rows, later]))

    def event(self, k: int) -> Event:
        """Return the declaration of row k."""
        return CATALOGUE[int(self.rows[k, 0])]

    def facts(self, k: int) -> dict[str, int]:
        """Return the named words of row k."""
        return {name: int(self.rows[k, 4 + n]) for n, name in enumerate(self.event(k).fields)}

    def fact(self, k: int, field: str) -> int:
        """Return one named word of row k; an unknown name raises KeyError."""
        return self.facts(k)[field]

    def sentence(self, k: int) -> str:
        """Tell row k."""
        values, out = self.facts(k) | {"actor": int(self.rows[k, 2])}, []
        for part in _(self.event(k).says).split("{"):
            inside, brace, rest = part.partition("}")
            name, _colon, kind = inside.partition(":")
            out.append(say(kind or "dec", values[name]) + rest if brace else part)
        return "".join(out)

    def kinds(self) -> list[str]:
        """Return the names of the events, in order."""
        return [CATALOGUE[number].name for number in self.rows[:, 0].tolist()]

    def sentences(self) -> list[str]:
        """Tell every row."""
        return [self.sentence(k) for k in range(len(self))]

    def of(self, *names: str) -> Iterator[int]:
        """Yield the row numbers of the named events."""
        numbers = [by_name(name).number for name in names]
        yield from np.flatnonzero(np.isin(self.rows[:, 0], numbers)).tolist()

    def digest(self) -> str:
        """Return a SHA-256 over names and words: equal traces, equal digest, whatever the numbering of events."""
        key = hashlib.sha256(json.dumps(self.kinds()).encode())
        key.update(self.rows[:, 1:].astype("<i8").tobytes())
        return key.hexdigest()

    def to_json(self) -> str:
        """Write the trace with event names, never bare numbers.

        Schema 1 is one object: ``schema``, the number 1; ``events``, a list with a list of ten for each row, in order:
        the event's name, simulated time in nanoseconds, the virtual processor (-1: none), the row of the cause (-1:
        none recorded), and six words, whose names the event's declaration gives; words that it does not use are 0.
        All are whole numbers of 64 bits with a sign. Another number after ``schema`` is another form.
        """
        rows = [[name, *row[1:]] for name, row in zip(self.kinds(), self.rows.tolist(), strict=True)]
        return json.dumps({"schema": 1, "events": rows})

    @classmethod
    def from_json(cls, text: str, file: str = "trace") -> "Trace":
        """Read what `to_json` wrote.

        Raises
        ------
        BadFile
            Where the text is not such a trace: row, what was found, what was expected.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadFile(file, "text", str(error)[:80], "a trace as JSON") from None
        if not isinstance(data, dict) or data.get("schema") != 1 or not isinstance(data.get("events"), list):
            raise BadFile(file, "schema", str(data)[:40], "schema 1 with a list of events")
        if len(data["events"]) > MAX_ROWS:
            raise BadFile(file, "events", f"{len(data['events'])} rows", f"at most {MAX_ROWS}")
        return cls(np.array([_row(file, k, row) for k, row in enumerate(data["events"])], np.int64))

    def __repr__(self) -> str:
        return f"Trace({len(self)} events, {self.digest()[:12]})"


def _row(file: str, k: int, row: Any) -> list[int]:
    if not isinstance(row, list) or len(row) != COLUMNS or not isinstance(row[0], str):
        raise BadFile(file, f"row {k}", repr(row)[:60], f"a name and {COLUMNS - 1} numbers")
    try:
        number = by_name(row[0]).number
    except KeyError:
        raise BadFile(file, f"row {k}", row[0][:60], "the name of a known event") from None
    if any(isinstance(v, bool) or not isinstance(v, int) or not -(2**63) <= v < 2**63 for v in row[1:]):
        raise BadFile(file, f"row {k}", repr(row[1:])[:60], "64-bit numbers")
    if not -1 <= row[3] < k:
        raise BadFile(file, f"row {k}", f"cause {row[3]}", "an earlier row, or -1")
    return [number, *row[1:]]
