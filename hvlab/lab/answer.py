"""How an answer is read: by its type and never by its own methods, into plain numbers, bytes, words and tuples.

A shape says what is wanted, reads what was given, and takes an answer apart into *atoms*: labelled numbers or words.
Two answers are compared atom by atom, so the lab can name the first place where they differ, and never what is right.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, Protocol

import numpy as np

from hvlab.errors import plain
from hvlab.language import _

Plain = Any  # int, str, bytes or a tuple of these
Atoms = list[tuple[str, Any]]

GAPS: Final = re.compile(r"[\s_\u202f]+")
LONGEST_TEXT: Final = 400
MEMBER: Final = "the element "
MISSING: Final = "an element that is missing"
MOST: Final = 1 << 20  # elements or bytes that an answer may have


class Unread(ValueError):
    """An answer that cannot be read; the message is the sentence that the learner sees. Not an attempt."""


class Shape(Protocol):
    """What an answer looks like."""

    def wants(self) -> str:
        """Say what is wanted, to follow the word *wanted*."""

    def read(self, given: Any) -> Plain:
        """Return the answer in plain types.

        Raises
        ------
        Unread
            If it has another form.
        """

    def atoms(self, answer: Plain) -> Atoms:
        """Take a plain answer apart."""


@dataclass(frozen=True)
class Number:
    """A whole number: `dec`, `hex`, or an address (`gva`, `gpa`, `spa`), from low to high."""

    kind: str = "dec"
    low: int = 0
    high: int = (1 << 64) - 1

    def wants(self) -> str:
        if self.kind in ("gva", "gpa", "spa"):
            return _("an address ({kind}) such as 0x1dc4_f000").format(kind=self.kind.upper())
        return _("a whole number such as 24 or 0x18")

    def read(self, given: Any) -> int:
        value = whole(given)
        if value is None:
            raise Unread(_("{given}: wanted {wanted}.").format(given=shown(given), wanted=self.wants()))
        if not self.low <= value <= self.high:
            low, high = (f"{end:#x}" if self.kind != "dec" else str(end) for end in (self.low, self.high))
            told = _("{given}: wanted a number from {low} to {high}.")
            raise Unread(told.format(given=shown(given), low=low, high=high))
        return value

    def atoms(self, answer: Plain) -> Atoms:
        return [("", answer)]


@dataclass(frozen=True)
class Word:
    """One of some words."""

    choices: tuple[str, ...]

    def wants(self) -> str:
        return _("one of {choices}").format(choices=", ".join(self.choices))

    def read(self, given: Any) -> str:
        known = {choice.casefold(): choice for choice in self.choices}
        if isinstance(given, str) and (word := str.strip(given).casefold()) in known:
            return known[word]
        raise Unread(_("{given}: wanted {wanted}.").format(given=shown(given), wanted=self.wants()))

    def atoms(self, answer: Plain) -> Atoms:
        return [("", answer)]


@dataclass(frozen=True)
class Sentence:
    """A text in the learner's own words; it is kept, not judged."""

    longest: int = LONGEST_TEXT

    def wants(self) -> str:
        return _("a sentence, in quotes")

    def read(self, given: Any) -> str:
        if not isinstance(given, str) or not str.strip(given):
            raise Unread(_("{given}: wanted {wanted}.").format(given=shown(given), wanted=self.wants()))
        if len(given) > self.longest:
            told = _("{count} characters: wanted at most {most}.")
            raise Unread(told.format(count=len(given), most=self.longest))
        return plain(given, self.longest)

    def atoms(self, answer: Plain) -> Atoms:
        return [("", answer)]


@dataclass(frozen=True)
class Bytes:
    """A string of bytes, of a given length or of any."""

    length: int | None = None

    def wants(self) -> str:
        if self.length is None:
            return _("bytes, or hex such as '5d 00 01'")
        return _("{count} bytes, also as hex such as '5d 00 01'").format(count=self.length)

    def read(self, given: Any) -> bytes:
        data = raw(given)
        if data is None:
            raise Unread(_("{given}: wanted {wanted}.").format(given=shown(given), wanted=self.wants()))
        if self.length is not None and len(data) != self.length:
            told = _("{given} bytes: wanted {wanted}; look at byte {at} first.")
            raise Unread(told.format(given=len(data), wanted=self.length, at=min(len(data), self.length)))
        return data

    def atoms(self, answer: Plain) -> Atoms:
        return [(f"byte {at:#x}", value) for at, value in enumerate(answer)]


@dataclass(frozen=True)
class Listed:
    """A list of answers of one shape: a given number of them, or (None) as many as the learner finds.

    `one` is what an element is called; where the number of elements is part of the answer, a list that is too short or
    too long is an attempt.
    """

    of: Shape = field(default_factory=Number)
    length: int | None = None
    one: str = "element"

    def wants(self) -> str:
        if self.length is None:
            return _("a list, each element {wanted}").format(wanted=self.of.wants())
        return _("a list of {count}, each element {wanted}").format(count=self.length, wanted=self.of.wants())

    def read(self, given: Any) -> tuple[Plain, ...]:
        parts = elements(given)
        if parts is None:
            raise Unread(_("{given}: wanted {wanted}.").format(given=shown(given), wanted=self.wants()))
        if self.length is not None and len(parts) != self.length:
            told = _("{given} elements: wanted {wanted}; look at {one} {at} first.")
            at = min(len(parts), self.length)
            raise Unread(told.format(given=len(parts), wanted=self.length, one=_(self.one), at=at))
        return tuple(self._element(at, part) for at, part in enumerate(parts))

    def _element(self, at: int, part: Any) -> Plain:
        try:
            return self.of.read(part)
        except Unread as refused:
            raise Unread(_("{one} {at}: {why}").format(one=_(self.one), at=at, why=refused)) from None

    def atoms(self, answer: Plain) -> Atoms:
        inside = ((at, *atom) for at, part in enumerate(answer) for atom in self.of.atoms(part))
        found: Atoms = [(label(f"{self.one} {at}", name), value) for at, name, value in inside]
        return found if self.length is not None else [*found, ("the number of elements", len(answer))]


@dataclass(frozen=True)
class Collection:
    """Answers of one shape in any order, each at most once: a set."""

    of: Shape = field(default_factory=Number)

    def wants(self) -> str:
        return _("a list in any order, each element {wanted}").format(wanted=self.of.wants())

    def read(self, given: Any) -> tuple[Plain, ...]:
        parts = elements(given)
        if parts is None:
            raise Unread(_("{given}: wanted {wanted}.").format(given=shown(given), wanted=self.wants()))
        return tuple(sorted({self.of.read(part) for part in parts}))

    def atoms(self, answer: Plain) -> Atoms:
        return [(f"{MEMBER}{part:#x}" if isinstance(part, int) else f"{MEMBER}{part}", True) for part in answer]


@dataclass(frozen=True)
class Record:
    """Named fields, given as a dictionary, or as a list in the order of their declaration."""

    fields: tuple[tuple[str, Shape], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _shape in self.fields)

    def wants(self) -> str:
        inside = ", ".join(f"{name!r}: …" for name in self.names)
        return _("the fields {fields}").format(fields="{" + inside + "}")

    def read(self, given: Any) -> tuple[Plain, ...]:
        parts = list(dict.values(given)) if (named := isinstance(given, dict)) else elements(given)
        if parts is None or not named and len(parts) != len(self.fields):
            raise Unread(_("{given}: wanted {wanted}.").format(given=shown(given), wanted=self.wants()))
        values = self._by_name(given) if named else parts
        return tuple(self._field(name, shape, value) for (name, shape), value in zip(self.fields, values, strict=True))

    def _by_name(self, given: dict[Any, Any]) -> list[Any]:
        for name in dict.keys(given):
            if name not in self.names:
                near = ", ".join(get_close_matches(str(name), self.names, 3, 0))
                raise Unread(_("the field {name}: wanted {near}.").format(name=shown(name), near=near))
        for name in self.names:
            if name not in given:
                raise Unread(_("the field {name} is not there yet.").format(name=repr(name)))
        return [dict.__getitem__(given, name) for name in self.names]

    @staticmethod
    def _field(name: str, shape: Shape, value: Any) -> Plain:
        try:
            return shape.read(value)
        except Unread as refused:
            raise Unread(f"{name}: {refused}") from None

    def atoms(self, answer: Plain) -> Atoms:
        parts = zip(self.fields, answer, strict=True)
        return [(label(name, below), value) for (name, shape), part in parts for below, value in shape.atoms(part)]


def label(name: str, below: str) -> str:
    """Join the name of a part and that of a part of it."""
    return f"{name}, {below}" if below else name


def record(**fields: Shape) -> Record:
    """Declare named fields: ``record(gpa=Number("gpa"), reads=Number())``."""
    return Record(tuple(fields.items()))


def whole(given: Any) -> int | None:
    """Return a whole number by its type: plain, numpy's, or text, decimal or hex with groups; else None."""
    kind = type(given)
    if kind is bool or kind is np.bool_:
        return None
    if issubclass(kind, int):
        return int.__index__(given)
    if issubclass(kind, np.integer):
        return int(np.asarray(given).item())
    if not issubclass(kind, str):
        return None
    word = GAPS.sub("", str.lower(given))
    digits, base = (word[2:], 16) if word.startswith("0x") else (word, 10)
    if not digits or len(digits) > 80 or any(c not in "0123456789abcdef"[:base] for c in digits):
        return None
    return int(digits, base)


def raw(given: Any) -> bytes | None:
    """Return bytes by their type: bytes, arrays of bytes, hex with or without gaps, a list of numbers; else None."""
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(memoryview(given).cast("B"))
    if isinstance(given, str):
        word = GAPS.sub("", str.lower(given).replace("0x", ""))
        return bytes.fromhex(word) if re.fullmatch("([0-9a-f]{2})*", word) and len(word) <= MOST else None
    numbers = [whole(part) for part in elements(given) or [None]]
    return bytes(n for n in numbers if n is not None) if all(n is not None and 0 <= n < 256 for n in numbers) else None


def elements(given: Any) -> Sequence[Any] | None:
    """Return the elements of a list, a tuple, a set or an array; None for anything else or for too many."""
    found: Sequence[Any] | None = None
    if isinstance(given, list):
        found = list(list.__iter__(given))
    elif isinstance(given, tuple):
        found = list(tuple.__iter__(given))
    elif isinstance(given, set | frozenset):
        found = sorted(given, key=str)
    elif isinstance(given, np.ndarray) and given.ndim > 0:
        found = np.ndarray.tolist(given)
    return found if found is None or len(found) <= MOST else None


def shown(given: Any, longest: int = 40) -> str:
    """Return what was given as text; of an object of an unknown type only the type."""
    if type(given) in (int, str, bool, float, bytes, list, tuple, dict):
        try:
            return plain(given if type(given) in (int, str) else repr(given), longest)
        except Exception:  # the repr of an element is the learner's own code
            return plain(type(given).__name__, longest)
    if isinstance(given, np.generic):
        return plain(given.item(), longest)
    return plain(f"a {type(given).__name__}", longest)


def swapped(shape: Shape, answer: Plain, truth: Plain) -> tuple[str, str] | None:
    """Return the first field of an address that holds the right address of another kind, and that kind; else None."""
    if not isinstance(shape, Record):
        return None
    kinds = [(name, one.kind) for name, one in shape.fields if isinstance(one, Number)]
    place = {name: at for at, name in enumerate(shape.names)}
    for name, kind in kinds:
        for other, its in kinds:
            addresses = {kind, its} <= {"gva", "gpa", "spa"} and kind != its
            if addresses and answer[place[name]] == truth[place[other]] != truth[place[name]]:
                return name, its.upper()
    return None


def differences(shape: Shape, answer: Plain, truth: Plain) -> list[str]:
    """Return the labels of the atoms in which two plain answers differ, the first one first.

    What the answer lacks of a set is not named: that would be the answer.
    """
    mine, right = dict(shape.atoms(answer)), dict(shape.atoms(truth))
    names = [*mine, *(name for name in right if name not in mine)]
    found = [name for name in names if mine.get(name) != right.get(name)]
    return [MISSING if MEMBER in name and name not in mine else name for name in found]
