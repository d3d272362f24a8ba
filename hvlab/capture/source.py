"""Where a text comes from: a file, or what somebody pasted. Both pass the same gate.

A pasted text lost its tabs, kept its prompt, or was quoted from a mail: each line is taken without the white space and
the quotation marks around it. Lines that a reader does not know are kept with their numbers, so that they can be shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.capture.gate import FILE_CAP, content, text_lines
from hvlab.errors import LONGEST, BadFile, plain
from hvlab.language import _

PASTED: Final = "the pasted text"
Source = str | os.PathLike[str]
BEGINS: Final = re.compile(
    r"\s*(?:\[ *\d|Hyper|hv_|VMBUS ID|\d+@\d|/sys/(?:bus/vmbus|devices)/\S+[ :=]|# tracer|\S+-\d+ +\[)"
)
QUOTED: Final = re.compile(r"^(?:[>|] ?)+")
MOST_SHOWN: Final = 20


@dataclass(frozen=True)
class Unknown:
    """A line that no reader knows: its number and its text, safe to show."""

    line: int
    text: str


def is_text(source: Source) -> bool:
    """Whether this is a text itself and not the name of a file: it has a line break, or begins as such texts begin."""
    return isinstance(source, str) and ("\n" in source or BEGINS.match(source) is not None)


def bytes_of(source: Source) -> tuple[str, bytes]:
    """Return how messages name it, and its bytes, at most as many as a file may have."""
    if not is_text(source):
        return str(source), content(source)
    data = str(source).encode("utf-8", "surrogatepass")
    if len(data) > FILE_CAP:
        raise BadFile(PASTED, "the text", f"{len(data):,} bytes", f"at most {FILE_CAP:,} bytes")
    return PASTED, data


def lines_of(source: Source) -> tuple[str, Iterator[tuple[int, str]]]:
    """Return how messages name it, and its lines that are not empty, numbered, without what pasting adds."""
    name, data = bytes_of(source)
    lines = text_lines(name, data)
    return name, ((number, said) for number, line in enumerate(lines, 1) if (said := QUOTED.sub("", line).strip()))


def safe(text: str) -> str:
    """Return a text as `plain` does; one that is plain already costs nothing."""
    return text if len(text) <= LONGEST and text.isascii() and text.isprintable() else plain(text)


def unknown(line: int, text: str) -> Unknown:
    """Return a line that is not known."""
    return Unknown(line, safe(text))


def left_over(lines: Sequence[Unknown], most: int = MOST_SHOWN) -> Iterator[str]:
    """Tell the lines that are not known: the first of them in full, and how many there are."""
    if not lines:
        return
    one = _("1 line has no meaning here:")
    yield one if len(lines) == 1 else _("{count} lines have no meaning here:").format(count=f"{len(lines):,}")
    for each in lines[:most]:
        yield f"  {_('line {number}').format(number=f'{each.line:,}')}: {each.text}"
    if len(lines) > most:
        yield f"  {_('and {count} more').format(count=f'{len(lines) - most:,}')}"
