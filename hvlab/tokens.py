"""A run as a short word: ``hv1-second-level-7Q3M-x2-K`` is version, scenario, seed, changes, check character.

Data only: nothing of it is evaluated. Seeds and check characters are written in Crockford's base 32, which has no I, L,
O and U; the check character is his remainder modulo 37, taken over the whole token, and finds any one wrong character
and any two that changed places. ``@12`` may follow: a frame.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from hvlab.errors import HvlabError, plain
from hvlab.language import _

VERSION: Final = 1
LONGEST: Final = 96
MOST_CHANGES: Final = 16
DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECKS: Final = DIGITS + "*~$=U"
READ_AS: Final = str.maketrans("OIL", "011")
LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz-"


class BadToken(HvlabError):
    """A token that starts nothing.

    Attributes
    ----------
    position : the place in the text, from 1.
    expected : what would have been accepted there.
    """

    def __init__(self, text: object, position: int, expected: str) -> None:
        self.text, self.position, self.expected = plain(text, LONGEST), position, expected
        told = _("{token}: position {position}: expected {expected}. Nothing was started.")
        super().__init__(told.format(token=self.text, position=position, expected=expected))

    def __reduce__(self) -> tuple[type["BadToken"], tuple[str, int, str]]:
        return BadToken, (self.text, self.position, self.expected)


@dataclass(frozen=True)
class Knob:
    """One change that a scenario takes: a letter, and the values that it may have."""

    letter: str
    name: str
    values: tuple[int, ...]
    start: int


@dataclass(frozen=True)
class Token:
    """A run: which scenario, which seed, what was changed, and the frame to begin with."""

    scenario: str
    seed: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    frame: int | None = None


def write(token: Token, knobs: Iterable[Knob]) -> str:
    """Return a token as text; changes that change nothing are left out.

    Raises
    ------
    BadToken
        If it would be longer than 96 characters or hold a change that the scenario does not take.
    """
    parts, known = [f"hv{VERSION}", token.scenario, encode(token.seed)], {knob.name: knob for knob in knobs}
    for name in sorted(token.changes, key=lambda name: known[name].letter if name in known else name):
        if name not in known or token.changes[name] not in known[name].values:
            raise BadToken(name, 1, ", ".join(f"{one.name} {one.values}" for one in known.values()))
        if token.changes[name] != known[name].start:
            parts.append(f"{known[name].letter}{encode(token.changes[name])}")
    text = "-".join(parts)
    text = f"{text}-{check_character(text)}" + ("" if token.frame is None else f"@{token.frame}")
    if len(text) > LONGEST or len(parts) > 3 + MOST_CHANGES:
        raise BadToken(text, LONGEST, _("at most {most} characters").format(most=LONGEST))
    return text


def read(text: object, scenarios: Mapping[str, Iterable[Knob]]) -> Token:
    """Read a token.

    Parameters
    ----------
    scenarios
        The known scenarios, each with the changes that it takes.

    Raises
    ------
    BadToken
        With the position, and what was expected there.
    """
    if not isinstance(text, str) or not text or len(text) > LONGEST:
        raise BadToken(text, 1, _("a token of at most {most} characters, such as hv1-…").format(most=LONGEST))
    body, at, tail = text.strip().partition("@")
    frame = _frame(text, len(body) + 2, tail) if at else None
    body = _version(text, body.lower())
    name = next((one for one in scenarios if body.startswith(f"hv{VERSION}-{one}-")), None)
    if name is None:
        raise BadToken(text, len(f"hv{VERSION}-") + 1, _("a scenario: {names}").format(names=", ".join(scenarios)))
    start = len(f"hv{VERSION}-{name}-")
    pieces = body[start:].split("-")
    if len(pieces) < 2 or not all(pieces):
        raise BadToken(text, len(body), _("a seed, changes and a check character, each after a hyphen"))
    _checked(text, body, pieces[-1])
    seed = _number(text, start + 1, pieces[0], 1 << 64)
    if len(pieces) > 2 + MOST_CHANGES:
        raise BadToken(text, len(body), _("at most {most} changes").format(most=MOST_CHANGES))
    place, changes = start + len(pieces[0]) + 2, {}
    for piece in pieces[1:-1]:
        knob = next((one for one in scenarios[name] if one.letter == piece[0]), None)
        letters = ", ".join(f"{one.letter} ({one.name})" for one in scenarios[name])
        if knob is None or knob.name in changes:
            raise BadToken(text, place, _("one of the changes {letters}, each once").format(letters=letters))
        value = _number(text, place + 1, piece[1:], 1 << 32)
        if value not in knob.values:
            wanted = ", ".join(encode(one) for one in knob.values)
            raise BadToken(text, place + 1, _("a value of {name}: {values}").format(name=knob.name, values=wanted))
        changes[knob.name] = value
        place += len(piece) + 1
    return Token(name, seed, changes, frame)


def _version(text: str, body: str) -> str:
    head, _hyphen, rest = body.partition("-")
    if head[:2] != "hv":
        raise BadToken(text, 1, f"hv{VERSION}")
    if head[2:] != str(VERSION):
        raise BadToken(text, 3, _("{version}, the only version so far").format(version=VERSION))
    return f"{head}-{rest}"


def _frame(text: str, position: int, tail: str) -> int:
    if not tail.isascii() or not tail.isdigit() or len(tail) > 6:
        raise BadToken(text, position, _("the number of a frame after @"))
    return int(tail)


def _checked(text: str, body: str, given: str) -> None:
    rest = body[: -len(given) - 1]
    if len(given) != 1 or given.upper().translate(READ_AS) != check_character(rest):
        raise BadToken(text, len(rest) + 2, _("another check character: some character before it is not as it was"))


def _number(text: str, position: int, digits: str, limit: int) -> int:
    value = 0
    for at, digit in enumerate(digits.upper().translate(READ_AS)):
        if digit not in DIGITS:
            raise BadToken(text, position + at, _("a digit or letter other than U"))
        value = value * 32 + DIGITS.index(digit)
    if not digits or value >= limit:
        raise BadToken(text, position, _("a number below {limit:#x} in base 32").format(limit=limit))
    return value


def encode(number: int) -> str:
    """Return a number in Crockford's base 32."""
    digits = DIGITS[number & 31]
    while number := number >> 5:
        digits = DIGITS[number & 31] + digits
    return digits


def check_character(text: str) -> str:
    """Return the check character of a token without it; O is read as 0, I and L as 1, capitals as small letters."""
    total = 0
    for letter in text.upper().translate(READ_AS).lower():  # 2 generates all remainders of 37, so places count
        total = (2 * total + max(LETTERS.find(letter), 0)) % 37
    return CHECKS[total]
