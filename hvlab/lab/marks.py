"""Marks: answers are judged once more, in a process in which no learner's code ever ran.

What a learner's own kernel says about an answer can be bent by whoever sits before it; so nothing of it counts here. Of
a progress file only the answers are taken, as JSON. The seed comes from the list of aliases, the truth from the engine
of this process. A function is taken as text and run in another process (`referee`), on worlds drawn for these marks.
"""

import json
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hvlab.lab import items
from hvlab.lab.answer import Plain, Sentence, Unread
from hvlab.lab.classroom import aliases
from hvlab.lab.deal import Dealt
from hvlab.lab.exercise import Construct, Exercise, Item
from hvlab.lab.progress import Reading, Row, Table, read
from hvlab.lab.referee import passes
from hvlab.language import _

RIGHT, WRONG, OPEN, FOREIGN, NO_TEXT = "right", "wrong", "", "not this world", "no text"
MOST_DEALS: Final = 100


def marks(folder: Path, names: Path, secret: int | None = None) -> Table:
    """Return the marks of a class: one row for each alias of the list, one column for each exercise with an answer.

    Parameters
    ----------
    folder
        Holds ``ALIAS.jsonl``, or ``ALIAS/*.jsonl``, for each alias; rows of another alias in such a file do not count.
    names
        The list of aliases, a CSV file.
    secret
        The seed of the worlds for functions; without one it is drawn, and stands below the table.

    Raises
    ------
    BadFile
        For a bad row of the list.
    """
    who = aliases(names)
    readings = {alias: work_of(folder, alias) for alias in who}
    drawn = secrets.randbits(64) if secret is None else secret
    chosen = [item for item in items.exercises().values() if marked(item)]
    rows = [(alias, *(mark(item, alias, readings[alias].rows, drawn) for item in chosen)) for alias in who]
    notes = [line for reading in readings.values() for line in reading.complaints()]
    notes.append(_("Functions were run on worlds of seed {seed}.").format(seed=f"{drawn:016x}"))
    head = (_("alias"), *(item.id for item in chosen), _("points"))
    return Table(head, tuple((*row, str(row.count(RIGHT))) for row in rows), tuple(notes))


def marked(item: Item) -> bool:
    """Whether an exercise has an answer that can be judged again from a file."""
    return isinstance(item, Construct) or item.kind != "recall" and not isinstance(item.shape, Sentence)


def work_of(folder: Path, alias: str) -> Reading:
    """Return the rows of a learner's own files."""
    paths = [folder / f"{alias}.jsonl", *sorted((folder / alias).glob("*.jsonl"))]
    reading = read(path for path in paths if path.is_file() and not path.is_symlink())
    return Reading(tuple(row for row in reading.rows if row.learner == alias), reading.skipped)


def mark(item: Item, alias: str, rows: Iterable[Row], secret: int = 0) -> str:
    """Judge the last answer of a learner to an exercise."""
    mine = [row for row in rows if row.item == item.id]
    given = [row for row in mine if row.kind in ("check", "exit")]
    if not given:
        return OPEN
    deals = min(sum(row.kind == "again" for row in mine), MOST_DEALS)
    held = (Dealt(item.id, item, alias, number) for number in range(deals + 1))
    dealt = next((one for one in held if one.seed_text == given[-1].seed), None)
    if dealt is None:
        return FOREIGN
    if isinstance(item, Construct):
        return mark_of_text(item, given[-1].given, secret)
    answer = answer_of(item, given[-1].given)
    if answer is None:
        return WRONG
    world = dealt.world
    return RIGHT if item.right(world, answer, item.truth(world)) else WRONG


def answer_of(item: Exercise, text: str) -> Plain | None:
    """Return the plain answer that stands in a row; None if none of this shape does."""
    try:
        return item.shape.read(json.loads(text))
    except (Unread, ValueError, RecursionError):
        return None


def mark_of_text(item: Construct, given: str, secret: int) -> str:
    """Judge a function by its text, where none of its learner's other code ever ran."""
    try:
        found = json.loads(given)
        text, name = found["text"], found["name"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return NO_TEXT
    if type(text) is not str or type(name) is not str or not name.isidentifier():
        return NO_TEXT
    return RIGHT if passes(item, text, name, secret) else WRONG
