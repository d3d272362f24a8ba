"""What can go wrong for a caller, as exceptions that carry facts.

What a guest does wrong is data (a status, a fault, an event) and never an exception. What the caller
does wrong is one of these: the attributes say what was asked, what was found and what to try.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hvlab.language import _

LONGEST: Final = 240
ODD: Final = frozenset(
    chr(code)
    for span in ((0x00, 0x20), (0x7F, 0xA0), (0x200B, 0x2010), (0x2028, 0x202F), (0x2066, 0x206A), (0xD800, 0xE000))
    for code in range(*span)
) | {"\u061c", "\ufeff"}


def plain(text: object, longest: int = LONGEST) -> str:
    """Text that came from outside, made safe to show: one line, no control or direction marks, cut when long."""
    if isinstance(text, int) and text.bit_length() > 256:
        return f"a whole number of {text.bit_length()} bits"
    words = str(text)
    cut = words[:longest] + ("…" if len(words) > longest else "")
    return "".join(c if c not in ODD else c.encode("unicode_escape").decode("ascii") for c in cut)


class HvlabError(Exception):
    """Root of everything that hvlab raises on purpose."""


class BadFile(HvlabError):
    """A file that hvlab will not load. Nothing of it was taken over.

    Attributes
    ----------
    file : the file as the caller named it.
    where : the place in it: an offset, a member, a line or a field.
    found : what stands there.
    expected : what would have been accepted there.
    """

    def __init__(self, file: object, where: object, found: object, expected: object) -> None:
        self.file, self.where = plain(file), plain(where)
        self.found, self.expected = plain(found), plain(expected)
        super().__init__(f"{self.file}: {self.where}: found {self.found}; expected {self.expected}")

    def __reduce__(self) -> tuple[type[BadFile], tuple[str, str, str, str]]:
        return BadFile, (self.file, self.where, self.found, self.expected)


class BadRequest(HvlabError):
    """The caller asked for something that is not there.

    Attributes
    ----------
    asked : what was asked for.
    found : what there is instead.
    attempt : what to try.
    """

    def __init__(self, asked: object, found: object = "", attempt: object = "") -> None:
        self.asked, self.found, self.attempt = plain(asked), plain(found), plain(attempt)
        parts = (self.asked, self.found and f"found {self.found}", self.attempt and f"try {self.attempt}")
        super().__init__("; ".join(part for part in parts if part))

    def __reduce__(self) -> tuple[type[BadRequest], tuple[str, str, str]]:
        return BadRequest, (self.asked, self.found, self.attempt)


MODES: Final = ("learn", "teach", "test")  # what HVLAB_MODE may say


class UnknownMode(HvlabError, ValueError):
    """``HVLAB_MODE`` is none of the three; in a notebook one line is shown, no traceback.

    Attributes
    ----------
    asked : what the variable says.
    modes : what it may say.
    """

    def __init__(self, asked: object, modes: Sequence[str]) -> None:
        self.asked, self.modes = plain(asked, 40), tuple(modes)
        *first, last = self.modes
        super().__init__(
            _("HVLAB_MODE is {asked}; it may be {first} or {last}").format(
                asked=repr(self.asked), first=", ".join(first), last=last
            )
        )

    def __reduce__(self) -> tuple[type[UnknownMode], tuple[str, tuple[str, ...]]]:
        return UnknownMode, (self.asked, self.modes)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in the place of a traceback."""
        return [str(self)]
