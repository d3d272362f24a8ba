"""Templates and values as text: the only way a number becomes words in a story.

A template is plain text with `{name}` or `{name:kind}`. The browser fills the same templates by the same rules
(`view/static/core.mjs`); the golden file holds the two together.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from hvlab.trace.words import ENUMS, say

PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)(?::([a-z]+(?::[A-Za-z0-9_]+)?))?\}")
KINDS = ("dec", "hex", "gva", "gpa", "spa", "iova", "time")
MASK = (1 << 64) - 1
NAME_LIMIT = 64

Enums = Mapping[str, Mapping[str, str]]
Lookup = Callable[[str], tuple[int, str]]


def signed(value: int) -> int:
    """Any 64-bit pattern as the signed number that a trace row holds."""
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


def show_value(kind: str, value: int, enums: Enums | None = None) -> str:
    """One value as text: the words of the story's own enumerations first, then those of the trace."""
    family, _, name = kind.partition(":")
    if family == "enum" and enums is not None and name in enums:
        return enums[name].get(str(value), f"{value:#x}")
    if family == "word":
        return say("hex", value)
    return say(kind, value)


def fill(template: str, lookup: Lookup, enums: Enums | None = None) -> str:
    """Fill a template; `lookup(name)` gives a value and the kind it is written in when the template names none."""

    def one(match: re.Match[str]) -> str:
        value, kind = lookup(match[1])
        return show_value(match[2] or kind, value, enums)

    return PLACEHOLDER.sub(one, template)


def choose(text: Any, value_of: Callable[[str], int]) -> str:
    """The template that holds now: a plain string, or `{"fact", "cases", "else"}` chosen by the value of a fact."""
    if isinstance(text, str):
        return text
    cases: Mapping[str, str] = text["cases"]
    return str(cases.get(str(value_of(text["fact"])), text.get("else", "")))


def templates_of(text: Any) -> list[str]:
    """All templates that `choose` may give."""
    if isinstance(text, str):
        return [text]
    return [*text["cases"].values(), text.get("else", "")]


def names_in(template: str) -> list[tuple[str, str]]:
    """Each placeholder of a template as (name, kind), kind empty where the template leaves it open."""
    return [(match[1], match[2] or "") for match in PLACEHOLDER.finditer(template)]


def known_kind(kind: str, enums: Enums) -> bool:
    """Whether values can be written in this kind."""
    family, _, name = kind.partition(":")
    if family == "enum":
        return name in enums or name in ENUMS
    return family == "word" and bool(name) or kind in KINDS


def plain_name(text: str) -> str:
    """A name as it may be shown: at most 64 characters, controls and direction marks escaped.

    >>> plain_name("a\\u202eb")
    'a\\\\u202eb'
    """
    shown = "".join(f"\\u{ord(c):04x}" if _hidden(c) else c for c in text)
    return shown if len(shown) <= NAME_LIMIT else shown[: NAME_LIMIT - 1] + "…"


def _hidden(character: str) -> bool:
    code = ord(character)
    return (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0x200B <= code <= 0x200F
        or 0x2028 <= code <= 0x202E
        or 0x2060 <= code <= 0x206F
        or code == 0xFEFF
        or 0xD800 <= code <= 0xDFFF
    )
