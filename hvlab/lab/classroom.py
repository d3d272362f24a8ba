"""For a class: a sheet of seeds from a list of aliases, and a report from the progress files that came back.

Reports are feedback: what to teach tomorrow. Marks are made elsewhere, in a fresh process, from answers.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hvlab.errors import BadFile, HvlabError
from hvlab.lab import items
from hvlab.lab.progress import ALIAS, ALIAS_WANTED, Reading, Row, Table, read, safe
from hvlab.lab.seed import seed_of
from hvlab.language import _

COLUMN: Final = "alias"
LARGEST: Final = 1 << 20
MOST_ROWS: Final = 2000


def aliases(path: Path) -> list[str]:
    """Return the aliases of a list: a CSV file with a column `alias`; further columns are not read.

    Raises
    ------
    BadFile
        With the row and the column, counted from 1 as a spreadsheet does.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BadFile(path.name, "the file", f"{path.stat().st_size:,} bytes", f"at most {LARGEST:,}")
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig")), strict=True))
    except OSError as error:
        raise BadFile(path.name, "the file", error.strerror, "a list with a column alias") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(path.name, "the file", error, "UTF-8 text, values set apart by commas") from None
    head = [cell.strip().casefold() for cell in rows[0]] if rows else []
    if COLUMN not in head:
        raise BadFile(path.name, "row 1", ", ".join(head) or "nothing", f"a column {COLUMN}")
    at, found = head.index(COLUMN), dict[str, int]()
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        where = f"row {number}, column {at + 1} ({COLUMN})"
        if len(row) != len(head):
            raise BadFile(
                path.name, f"row {number}, column {min(len(row), len(head)) + 1}", f"{len(row)} cells", len(head)
            )
        alias = row[at].strip()
        if not ALIAS.fullmatch(alias):
            raise BadFile(path.name, where, alias or "nothing", ALIAS_WANTED)
        if alias in found:
            raise BadFile(path.name, where, alias, f"another alias than that of row {found[alias]}")
        found[alias] = number
    if not 0 < len(found) <= MOST_ROWS:
        raise BadFile(path.name, "the list", f"{len(found)} aliases", f"1 to {MOST_ROWS}")
    return list(found)


def seeds(path: Path, lesson: str = "") -> str:
    """Return the sheet: for each alias and exercise the seed of its first world, as CSV.

    Raises
    ------
    BadFile
        For a bad row; nothing is written then.
    """
    who = aliases(path)
    chosen = [item for id, item in items.exercises().items() if id.startswith(lesson)]
    if not chosen:
        raise HvlabError(_("No lesson {lesson} with exercises.").format(lesson=lesson))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([COLUMN, *(f"{item.id} v{item.version}" for item in chosen)])
    for alias in who:
        writer.writerow([safe(alias), *(f"{seed_of(item.id, item.version, alias):016x}" for item in chosen)])
    return out.getvalue()


def report(folder: Path) -> tuple[Table, ...]:
    """Return what a class did: per item attempts, hints and confidence against truth; and who believes what.

    Raises
    ------
    HvlabError
        If the folder holds no progress file.
    """
    paths = sorted(path for path in folder.rglob("*.jsonl") if path.is_file())
    if not paths:
        raise HvlabError(_("{folder}: no progress file (*.jsonl) in it.").format(folder=folder.name or "."))
    reading = read(paths)
    return (items_table(reading), models_table(reading.rows))


def tried(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that are attempts."""
    return [row for row in rows if row.verdict in ("right", "wrong", "kept")]


def items_table(reading: Reading) -> Table:
    """Return one row for each item."""
    head = [_(word) for word in ("item", "learners", "attempts", "right", "right at once", "hints", "sure and wrong")]
    found: dict[str, list[Row]] = {}
    for row in reading.rows:
        if row.item:
            found.setdefault(row.item, []).append(row)
    rows = [_item(item, of) for item, of in sorted(found.items()) if tried(of) or any(row.hint for row in of)]
    return Table(tuple(head), tuple(rows), tuple(reading.complaints()))


def _item(item: str, rows: Sequence[Row]) -> tuple[str, ...]:
    attempts = tried(rows)
    who = {row.learner for row in attempts}
    right = {row.learner for row in attempts if row.verdict != "wrong"}
    first = {row.learner: row for row in reversed(attempts)}
    at_once = sum(row.verdict != "wrong" for row in first.values())
    hints = Counter(row.hint for row in rows if row.hint)
    told = ", ".join(f"{count} x {stage}" for stage, count in sorted(hints.items()))
    sure = sum(row.confidence == "sure" and row.verdict == "wrong" for row in first.values())
    all_sure = sum(row.confidence == "sure" for row in first.values())
    numbers = (len(who), len(attempts), len(right), at_once)
    return (item, *map(str, numbers), told, f"{sure} of {all_sure}" if all_sure else "")


def models_table(rows: Sequence[Row]) -> Table:
    """Return the wrong models by how many learners gave their answers; a learner counts once for each item."""
    held = {(name, row.item, row.learner) for row in tried(rows) for name in row.model.split(" or ") if name}
    count = Counter((name, item) for name, item, _who in held)
    ordered = sorted(count.items(), key=lambda entry: (-entry[1], entry[0]))
    lines = tuple((name, item, str(learners)) for (name, item), learners in ordered)
    return Table((_("wrong model"), _("item"), _("learners")), lines)
