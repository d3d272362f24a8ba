"""Predictions: the question that a story asks before it goes on, and how an answer is read and judged.

A gate is data of the storyboard. The true answer is not written down: it is the value of a fact at a frame, found by
replay, in Python and in the browser alike.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hvlab.errors import MODES, UnknownMode
from hvlab.language import N_, _
from hvlab.story.caption import show_value, signed

GATE_KINDS = ("int", "gva", "gpa", "spa", "yes", "pick", "subset", "order")
CONFIDENCE = (N_("guess"), N_("think"), N_("sure"))
WANTED_NUMBER = N_("wanted a whole number such as 24 or 0x18")
WANTED_CHOICE = N_("wanted one of the choices")
WANTED_ORDER = N_("wanted every name once, in order, such as 2, 1, 3")
WANTED_YES = N_("wanted yes or no")
WANTED_REASON = N_("wanted yes or no, and the number of a reason, such as no, 1")
MOST_ORDERED = 15  # an order is one hexadecimal digit for each name
SEPARATOR = re.compile(r"\s*(?:[,;>\u2192]|->)\s*")


@dataclass(frozen=True)
class Gate:
    """A question that closes the story until a prediction is in.

    Parameters
    ----------
    id
        One id everywhere, such as ``"05.reads"``.
    frame
        The last frame on show before the answer; every later frame is closed.
    question
        The question as a sentence.
    kind
        One of `GATE_KINDS`: a number (`int`), an address, `yes`, one choice (`pick`) or several (`subset`: each
        choice's value is a bit, the answer is their sum), or all of them in `order` (each choice's value is a digit
        from 1 to 15; the answer is their digits in hexadecimal, the first one highest: 0x312).
    fact, at
        Where the truth is: the value of this fact after frame `at` (None: after the last frame).
    wrong
        Known wrong models: mappings with `value`, `name`, `says` and optionally `frame`, where model and run part,
        and `reason`, where the gate asks for one.
    choices
        For `pick`, `subset` and `order`: mappings with `value` and `label`.
    tells
        The sentence that states the truth, with `{value}`; "" for a plain one.
    reasons, because
        For `yes`: at least three mappings with `value` (from 1 on) and `label` (a clause that follows *because*), and
        the fact whose value is the right one. The answer is the yes or no, plus twice the reason.
    """

    id: str
    frame: int
    question: str
    kind: str
    fact: str
    at: int | None = None
    wrong: list[dict[str, Any]] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)
    tells: str = ""
    reasons: list[dict[str, Any]] = field(default_factory=list)
    because: str = ""

    def as_json(self, last: int) -> dict[str, Any]:
        """The gate as it stands in the scene of a story whose last frame is `last`."""
        written = {
            "id": self.id, "frame": self.frame, "question": self.question, "kind": self.kind, "fact": self.fact,
            "at": last if self.at is None else self.at, "tells": self.tells or _("The machine gives {value}."),
            "wrong": [_written(model) for model in self.wrong],
            "choices": [_written(choice) for choice in self.choices],
        }  # fmt: skip
        if self.reasons:
            written |= {"reasons": [_written(reason) for reason in self.reasons], "because": self.because}
        return written


@dataclass(frozen=True)
class Outcome:
    """An answer beside the truth."""

    right: bool
    said: str
    truth: str
    model: str
    explains: str
    frame: int

    def __str__(self) -> str:
        return " ".join(part for part in (self.said, self.truth, self.explains) if part)


def _written(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry whose 64-bit value survives JSON in a browser: as decimal text."""
    return {**entry, "value": str(int(entry["value"]))} if "value" in entry else dict(entry)


def mode() -> str:
    """How the lab runs: ``HVLAB_MODE``, or `test` under pytest, or `learn`.

    Raises
    ------
    UnknownMode
        If ``HVLAB_MODE`` is none of `MODES`; its message is one line, also in a notebook.
    """
    asked = os.environ.get("HVLAB_MODE", "")
    if not asked:
        return "test" if os.environ.get("PYTEST_VERSION") else "learn"
    if asked not in MODES:
        raise UnknownMode(asked, MODES)
    return asked


def check_gate(gate: Mapping[str, Any], frames: int, facts: Mapping[str, str]) -> None:
    """Raise ValueError for a gate that a story of so many frames and such facts cannot ask."""
    where, reasons = f"gate {gate['id']!r}", gate.get("reasons", [])
    if gate["kind"] not in GATE_KINDS:
        raise ValueError(f"{where}: kind {gate['kind']!r} is none of {GATE_KINDS}")
    for fact in (gate["fact"], *([gate["because"]] if reasons else [])):
        if fact not in facts:
            raise ValueError(f"{where}: {fact!r} is no fact of the story")
    if not 0 <= gate["frame"] < frames or not 0 <= gate["at"] < frames:
        raise ValueError(f"{where}: frame {gate['frame']} and at {gate['at']} must lie in 0..{frames - 1}")
    if gate["kind"] in ("pick", "subset", "order") and len(gate["choices"]) < 2:
        raise ValueError(f"{where}: a {gate['kind']} needs at least two choices")
    if gate["kind"] == "order" and not _distinct(gate["choices"], MOST_ORDERED):
        raise ValueError(f"{where}: the choices of an order have different values from 1 to {MOST_ORDERED}")
    if reasons and (gate["kind"] != "yes" or len(reasons) < 3 or not _distinct(reasons, 1 << 16)):
        raise ValueError(f"{where}: a yes has no reasons or at least three, with different values from 1 on")
    if "{value:" in gate["tells"]:
        raise ValueError(f"{where}: {gate['tells']!r} gives {{value}} a kind; the answer is told as it was asked")
    for model in gate["wrong"]:
        if not {"value", "name", "says"} <= set(model):
            raise ValueError(f"{where}: a wrong model has value, name and says: {model!r}")


def _distinct(entries: Sequence[Mapping[str, Any]], most: int) -> bool:
    values = {int(entry["value"]) for entry in entries}
    return len(values) == len(entries) and all(1 <= value <= most for value in values)


def check_truth(gate: Mapping[str, Any], truth: int) -> None:
    """Raise ValueError for a gate whose true answer nobody can give, or that stands in its own question."""
    where = f"gate {gate['id']!r}"
    if gate["kind"] == "order":
        shown = [int(choice["value"]) for choice in gate["choices"]]
        if sorted(_digits(truth)) != sorted(shown):
            raise ValueError(f"{where}: the true order {truth:#x} does not name each choice once")
        if _digits(truth) == shown:
            raise ValueError(f"{where}: the choices stand in the true order; deal them in another one")
    reasons = gate.get("reasons", [])
    if reasons and truth >> 1 not in [int(reason["value"]) for reason in reasons]:
        raise ValueError(f"{where}: the true reason {truth >> 1} is none of those that may be chosen")


def truth_of(gate: Mapping[str, Any], value_of: Callable[[str], int]) -> int:
    """The true answer: the gate's fact; of a yes with reasons, also the fact that gives the reason."""
    truth = value_of(gate["fact"])
    return int(truth != 0) + 2 * value_of(gate["because"]) if gate.get("reasons") else truth


def parse(gate: Mapping[str, Any], text: Any) -> int:
    """Read an answer as the learner typed it; decimal or hex, groups allowed; an order or a reason also as a list.

    Raises
    ------
    ValueError
        With the sentence that the learner sees.
    """
    kind = gate["kind"]
    if kind == "yes":
        return _reasoned(gate, text) if gate.get("reasons") else _yes(text)
    if kind == "order":
        return _order(gate, text)
    if kind in ("pick", "subset"):
        return _choice(gate, text)
    return _number(text)


def _yes(text: Any, wanted: str = WANTED_YES) -> int:
    word = str(int(text) if isinstance(text, bool) else text).strip().lower()
    if word not in ("yes", "no", "1", "0"):
        raise ValueError(_(wanted))
    return int(word in ("yes", "1"))


def _parts(text: Any) -> list[str]:
    """The parts of an answer: of a list, or of a text between commas, semicolons or arrows, or of numbers in a row."""
    if isinstance(text, list | tuple):
        return [str(part).strip() for part in text]
    word = str(text).strip()
    return word.split() if re.fullmatch(r"[0-9]+(\s+[0-9]+)+", word) else SEPARATOR.split(word)


def _chosen(choices: Sequence[Mapping[str, Any]], word: str) -> int | None:
    """The value of the choice that a word names, by its number or its label."""
    return next((int(one["value"]) for one in choices if word in (str(one["value"]), str(one["label"]))), None)


def _reasoned(gate: Mapping[str, Any], text: Any) -> int:
    values = [int(reason["value"]) for reason in gate["reasons"]]
    first, *rest = [*text] or [""] if isinstance(text, list | tuple) else SEPARATOR.split(str(text).strip(), maxsplit=1)
    if rest:
        reason = _chosen(gate["reasons"], str(rest[0]).strip()) if len(rest) == 1 else None
    else:  # both parts as one number, as a player sends them
        whole = int(str(first)) if re.fullmatch("[0-9]{1,6}", str(first)) else 0
        first, reason = whole & 1, whole >> 1
    if reason not in values:
        raise ValueError(_(WANTED_REASON))
    return _yes(first, WANTED_REASON) + 2 * reason


def _order(gate: Mapping[str, Any], text: Any) -> int:
    parts, values = _parts(text), [int(choice["value"]) for choice in gate["choices"]]
    if len(parts) == 1:  # all digits as one number, as a player sends them
        try:
            found: list[int | None] = [*_digits(_number(parts[0]))]
        except ValueError:
            raise ValueError(_(WANTED_ORDER)) from None
    else:
        found = [_chosen(gate["choices"], part) for part in parts]
    if sorted(value or 0 for value in found) != sorted(values):
        raise ValueError(_(WANTED_ORDER))
    return int("".join(f"{value:x}" for value in found), 16)


def _digits(value: int) -> list[int]:
    return [int(digit, 16) for digit in f"{value & (1 << 64) - 1:x}"]


def _number(text: Any) -> int:
    word = str(text).strip().lower().replace("_", "").replace(" ", "").replace("\u202f", "")
    digits, base = (word[2:], 16) if word.startswith("0x") else (word, 10)
    allowed = "0123456789abcdef"[:base]
    if not digits or len(digits) > 20 or any(c not in allowed for c in digits) or int(digits, base) >> 64:
        raise ValueError(_(WANTED_NUMBER))
    return signed(int(digits, base))


def _choice(gate: Mapping[str, Any], text: Any) -> int:
    found = _chosen(gate["choices"], str(text).strip())
    if found is not None:
        return found
    if gate["kind"] == "subset":
        try:
            total = _number(text)
        except ValueError:
            raise ValueError(_(WANTED_CHOICE)) from None
        if total & ~sum(int(choice["value"]) for choice in gate["choices"]) == 0:
            return total
    raise ValueError(_(WANTED_CHOICE))


def answer_text(gate: Mapping[str, Any], value: int) -> str:
    """An answer in words."""
    kind, labels = gate["kind"], {int(one["value"]): str(one["label"]) for one in gate["choices"]}
    if kind == "yes" and gate.get("reasons"):
        reasons = {int(one["value"]): str(one["label"]) for one in gate["reasons"]}
        answer, reason = _("yes") if value & 1 else _("no"), reasons.get(value >> 1, str(value >> 1))
        return _("{answer}, because {reason}").format(answer=answer, reason=reason)
    if kind == "yes":
        return _("yes") if value else _("no")
    if kind == "pick":
        return labels.get(value, str(value))
    if kind == "subset":
        return ", ".join(label for bit, label in labels.items() if bit & value) or _("none of them")
    if kind == "order":
        return " → ".join(labels.get(digit, str(digit)) for digit in _digits(value))
    return show_value("dec" if kind == "int" else kind, value)


def judge(gate: Mapping[str, Any], value: int, truth: int, confidence: str = "") -> Outcome:
    """Set an answer beside the truth and name the wrong model that gives it, if one does."""
    value, truth = signed(value), signed(truth)
    models = (m for m in gate["wrong"] if value != truth and _gives(gate, m, value))
    model = min(models, key=lambda m: "reason" not in m, default=None)
    told = _("You said {answer}, {confidence}.") if confidence else _("You said {answer}.")
    explains = f"{model['name']}: {model['says']}" if model else _half(gate, value, truth)
    return Outcome(
        right=value == truth,
        said=told.format(answer=answer_text(gate, value), confidence=_(confidence)),
        truth=gate["tells"].replace("{value}", answer_text(gate, truth)),
        model=str(model["name"]) if model else "",
        explains=explains,
        frame=int(model.get("frame", gate["at"])) if model else int(gate["at"]),
    )


def _gives(gate: Mapping[str, Any], model: Mapping[str, Any], value: int) -> bool:
    """Whether a wrong model gives this answer; one that names no reason does whatever the reason is."""
    if not gate.get("reasons"):
        return signed(int(model["value"])) == value
    return int(model["value"]) == value & 1 and int(model.get("reason", value >> 1)) == value >> 1


def _half(gate: Mapping[str, Any], value: int, truth: int) -> str:
    """What is right of an answer in two parts of which one is right."""
    if not gate.get("reasons") or value == truth:
        return ""
    if value & 1 == truth & 1:
        return _("The answer is right; the reason is another one.")
    return _("The reason is right; the answer is not.") if value >> 1 == truth >> 1 else ""
