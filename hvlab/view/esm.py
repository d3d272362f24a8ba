"""Our ES modules as one text: anywidget and an exported page each take a single module."""

import json
import re
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
LARGE = "hvlab-large"  # the class of what holds a player that is read from the last row
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.mjs)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)
COMMENT = re.compile(r"^\s*//.*\n|^[ \t]*\n|(?<=[;,{}()\[\]])[ \t]+// .*$", re.MULTILINE)
BREAK = re.compile(r"(?<=[;,{(\[])\n")
WIDE = re.compile(r"[^\x00-\xff]")  # one such letter makes a browser keep two bytes for each of the whole text
INDENT = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)


def source(name: str) -> str:
    """One file of `static/` as it stands."""
    return (STATIC / name).read_text(encoding="utf-8")


@cache
def join(name: str, without: tuple[str, ...] = ()) -> str:
    """A module with all it imports before it: no imports, named exports, comments, indentation, few line breaks.

    Letters that need two bytes are written as escapes; they stand in strings only, where both are the same.

    `without` names modules that what is shown never calls: a story without pages of memory needs no ``bytes.mjs``.
    """
    parts: list[str] = []
    _collect(name, parts, [*without])
    text = COMMENT.sub("", "".join(parts))
    text = BREAK.sub("", INDENT.sub("", EXPORT.sub("", text)))
    return WIDE.sub(lambda letter: json.dumps(letter[0])[1:-1], text)


def _collect(name: str, parts: list[str], seen: list[str]) -> None:
    if name in seen:
        return
    seen.append(name)
    text = source(name)
    for imported in IMPORT.findall(text):
        _collect(imported, parts, seen)
    parts.append(IMPORT.sub("", text))


@cache
def css() -> str:
    """The style sheet of the player, without comments and needless spaces."""
    return squeeze(source("picture.css") + source("player.css"))


def squeeze(text: str) -> str:
    """A style sheet without comments and without the spaces that mean nothing."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" ?([{};,>]) ?", r"\1", text).replace(" !", "!").replace(" / ", "/")
    text = re.sub(r"\(([a-z-]+): ", r"(\1:", text)
    text = re.sub(r": (?=[^{}]*\})", ":", text).replace(";}", "}")
    return re.sub(r"(?<![\d\w])0\.(?=\d)", ".", text).strip()
