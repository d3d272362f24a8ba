"""The lab's texts that ship as TOML: read, checked field by field, and asked for by name."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from importlib.resources import files
from textwrap import fill
from typing import Any, Final, TypeVar

from hvlab.errors import BadFile, BadRequest, plain
from hvlab.language import _

LESSONS: Final = tuple(f"{number:02}" for number in range(14))
STANDING: Final = ("checked", "recalled")  # read in the named source for this lab, or known from memory
WIDTH: Final = 100

T = TypeVar("T")


def rows(file: str, key: str, kind: type[T]) -> tuple[T, ...]:
    """Return the rows of a TOML file beside this module, each as a dataclass.

    Parameters
    ----------
    file : str
        The file's name, such as ``"errata.toml"``.
    key : str
        The name of its array of tables.
    kind : type
        A dataclass whose fields are text or tuples of text; its first field names the row.

    Raises
    ------
    BadFile
        If a field is missing, unknown, empty or of another type, or if a name stands twice.
    """
    found = tomllib.loads(files(__package__).joinpath(file).read_text("utf-8"))
    if set(found) != {key}:
        raise BadFile(file, "top level", ", ".join(sorted(found)) or "nothing", f"only [[{key}]]")
    made = tuple(_row(file, f"{key} {number}", row, kind) for number, row in enumerate(found[key], 1))
    unique(file, [str(getattr(row, fields(kind)[0].name)) for row in made])  # type: ignore[arg-type]
    return made


def _row(file: str, where: str, row: Mapping[str, Any], kind: type[T]) -> T:
    known: dict[str, Field[Any]] = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    where = f"{where} ({plain(next(iter(row.values()), ''), 40)})"
    needed = {name for name, field in known.items() if field.default is MISSING}
    if not needed <= set(row) <= set(known):
        odd = set(row) - set(known) | needed - set(row)
        raise BadFile(file, where, f"missing or unknown: {', '.join(sorted(odd))}", f"fields {', '.join(known)}")
    return kind(**{name: _value(file, f"{where}, {name}", value, known[name]) for name, value in row.items()})


def _value(file: str, where: str, value: object, field: Field[Any]) -> str | tuple[str, ...]:
    if field.type is str:
        if isinstance(value, str) and value.strip():
            return value
        raise BadFile(file, where, repr(value), "text")
    if isinstance(value, list) and value and all(isinstance(one, str) and one.strip() for one in value):
        return tuple(value)
    raise BadFile(file, where, repr(value), "a list of texts")


def unique(file: str, names: Iterable[str]) -> None:
    """Refuse a file in which a name stands twice, whatever its capitals."""
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise BadFile(file, name, "the same name twice", "each name once")
        seen.add(name.casefold())


def one_of(file: str, where: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a value that is not among the allowed ones."""
    if value not in (known := tuple(allowed)):
        raise BadFile(file, where, value, f"one of {', '.join(known)}")


def nearest(what: str, asked: object, known: Iterable[str]) -> BadRequest:
    """Return the error for a name that is not there, with the three nearest ones."""
    names = {name.casefold(): name for name in known}
    near = get_close_matches(str(asked).casefold(), names, 3, 0)
    return BadRequest(f"the {what} {plain(asked, 40)!r}", "", ", ".join(names[name] for name in near))


def wrapped(text: str) -> str:
    """Return a text whose lines have at most 100 characters; lines that are indented are tables and stay whole."""
    lines = text.split("\n")
    return "\n".join(
        line if line.startswith(" ") else fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in lines
    )


def paragraph(text: str, label: str = "") -> str:
    """Return a text in lines of at most 100 characters; lines after the first are indented below the label."""
    return fill(
        f"{_(label)}{_(text)}",
        WIDTH,
        subsequent_indent="  " if label else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
