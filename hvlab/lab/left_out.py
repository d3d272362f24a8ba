"""What a lesson leaves out: the simplifications confessed in the sources that it meets."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from textwrap import fill

from hvlab.errors import BadRequest, plain
from hvlab.lab import items

MARK = "SIMPLER THAN REAL:"
HERE = Path(items.__file__).parents[2]
WIDTH = 100


@dataclass(frozen=True)
class Notes:
    """Simplifications, each with the source that makes it."""

    rows: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        files = list(dict.fromkeys(file for file, _ in self.rows))
        parts = [
            "\n".join([f"hvlab/{file}", *(_bullet(text) for at, text in self.rows if at == file)]) for file in files
        ]
        return "\n\n".join(parts)


def _bullet(text: str) -> str:
    return fill(text, WIDTH, initial_indent="  - ", subsequent_indent="    ")


def left_out(lesson: str) -> Notes:
    """Return what a lesson simplifies, as its sources say it.

    Parameters
    ----------
    lesson : str
        Its number, such as ``"05"``.
    """
    known = sorted({id[:2] for id in items.every()})
    if lesson not in known:
        raise BadRequest(f"the lesson {plain(lesson, 20)!r}", "", ", ".join(known))
    return _notes(met(lesson))


def met(lesson: str) -> tuple[str, ...]:
    """Return the sources whose simplifications a lesson meets."""
    found: tuple[str, ...] = import_module(f"{items.__name__}.l{lesson}").MET
    return found


def everywhere() -> Notes:
    """Return every simplification that this machine makes, as its sources say it."""
    return _notes(sorted(file.relative_to(HERE).as_posix() for file in HERE.rglob("*.py") if file != Path(__file__)))


def _notes(files: Iterable[str]) -> Notes:
    return Notes(tuple((file, text) for file in files for text in confessions((HERE / file).read_text("utf-8"))))


def confessions(source: str) -> list[str]:
    """Return the simplifications in a source: from the mark to the end of its paragraph, comment or text."""
    found: list[str] = []
    lines = [re.sub(r"^\s*#\s?", "", line).strip() for line in source.splitlines()]
    for number, line in enumerate(lines):
        if not line.startswith(MARK):
            continue
        words = [line.removeprefix(MARK).strip()]
        for more in lines[number + 1 :]:
            if not more or more.startswith((MARK, '"""')) or words[-1].endswith((".", '"""')):
                break
            words.append(more)
        text = " ".join(words).removesuffix('"""').strip()
        found.append(text[:1].upper() + text[1:])
    return found
