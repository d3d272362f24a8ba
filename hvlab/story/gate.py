"""Predictions: the question that a story asks before it goes on, and how an answer is read and judged.

A gate is data of the storyboard. The true answer is not written down: it is the value of a fact at a frame, found by
replay, in Python and in the browser alike.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hvlab.story.caption import show_value, signed

GATE_KINDS = ("int", "gva", "gpa", "spa", "yes", "pick", "subset")
CONFIDENCE = ("guess", "think", "sure")
MODES = ("learn", "teach", "test")
WANTED_NUMBER = "wanted a whole number such as 24 or 0x18"
WANTED_CHOICE = "wanted one of the choices"


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
        choice's value is a bit, the answer is their sum).
    fact, at
        Where the truth is: the value of this fact after frame `at` (None: after the last frame).
    wrong
        Known wrong models: mappings with `value`, `name`, `says` and optionally `frame`, where model and run part.
    choices
        For `pick` and `subset`: mappings with `value` and `label`.
    tells
        The sentence that states the truth, with `{value}`.
    """

    id: str
    frame: int
    question: str
    kind: str
    fact: str
    at: int | None = None
    wrong: list[dict[str, Any]] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)
    tells: str = "The machine gives {value}."

    def as_json(self, last: int) -> dict[str, Any]:
        """The gate as it stands in the scene of a story whose last frame is `last`."""
        return {
            "id": self.id, "frame": self.frame, "question": self.question, "kind": self.kind, "fact": self.fact,
            "at": last if self.at is None else self.at, "tells": self.tells,
            "wrong": [_written(model) for model in self.wrong],
            "choices": [_written(choice) for choice in self.choices],
        }  # fmt: skip


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
    ValueError
        If ``HVLAB_MODE`` is none of `MODES`.
    """
    asked = os.environ.get("HVLAB_MODE", "")
    if not asked:
        return "test" if os.environ.get("PYTEST_VERSION") else "learn"
    if asked not in MODES:
        raise ValueError(f"HVLAB_MODE is {asked!r}; it may be learn, teach or test")
    return asked


def check_gate(gate: Mapping[str, Any], frames: int, facts: Mapping[str, str]) -> None:
    """Raise ValueError for a gate that a story of so many frames and such facts cannot ask."""
    where = f"gate {gate['id']!r}"
    if gate["kind"] not in GATE_KINDS:
        raise ValueError(f"{where}: kind {gate['kind']!r} is none of {GATE_KINDS}")
    if gate["fact"] not in facts:
        raise ValueError(f"{where}: {gate['fact']!r} is no fact of the story")
    if not 0 <= gate["frame"] < frames or not 0 <= gate["at"] < frames:
        raise ValueError(f"{where}: frame {gate['frame']} and at {gate['at']} must lie in 0..{frames - 1}")
    if gate["kind"] in ("pick", "subset") and len(gate["choices"]) < 2:
        raise ValueError(f"{where}: a {gate['kind']} needs at least two choices")
    for model in gate["wrong"]:
        if not {"value", "name", "says"} <= set(model):
            raise ValueError(f"{where}: a wrong model has value, name and says: {model!r}")


def parse(gate: Mapping[str, Any], text: Any) -> int:
    """Read an answer as the learner typed it; decimal or hex, groups allowed.

    Raises
    ------
    ValueError
        With the sentence that the learner sees.
    """
    kind = gate["kind"]
    if kind == "yes":
        word = str(int(text) if isinstance(text, bool) else text).strip().lower()
        if word not in ("yes", "no", "1", "0"):
            raise ValueError("wanted yes or no")
        return int(word in ("yes", "1"))
    if kind in ("pick", "subset"):
        return _choice(gate, text)
    return _number(text)


def _number(text: Any) -> int:
    word = str(text).strip().lower().replace("_", "").replace(" ", "").replace("\u202f", "")
    digits, base = (word[2:], 16) if word.startswith("0x") else (word, 10)
    allowed = "0123456789abcdef"[:base]
    if not digits or len(digits) > 20 or any(c not in allowed for c in digits) or int(digits, base) >> 64:
        raise ValueError(WANTED_NUMBER)
    return signed(int(digits, base))


def _choice(gate: Mapping[str, Any], text: Any) -> int:
    values = [int(choice["value"]) for choice in gate["choices"]]
    for choice in gate["choices"]:
        if str(text).strip() in (str(choice["value"]), choice["label"]):
            return int(choice["value"])
    if gate["kind"] == "subset":
        try:
            total = _number(text)
        except ValueError:
            raise ValueError(WANTED_CHOICE) from None
        if total & ~sum(values) == 0:
            return total
    raise ValueError(WANTED_CHOICE)


def answer_text(gate: Mapping[str, Any], value: int) -> str:
    """An answer in words."""
    kind = gate["kind"]
    if kind == "yes":
        return "yes" if value else "no"
    if kind == "pick":
        return next((str(c["label"]) for c in gate["choices"] if int(c["value"]) == value), str(value))
    if kind == "subset":
        chosen = [str(c["label"]) for c in gate["choices"] if int(c["value"]) & value]
        return ", ".join(chosen) if chosen else "none of them"
    return show_value("dec" if kind == "int" else kind, value)


def judge(gate: Mapping[str, Any], value: int, truth: int, confidence: str = "") -> Outcome:
    """Set an answer beside the truth and name the wrong model that gives it, if one does."""
    value, truth = signed(value), signed(truth)
    model = next((m for m in gate["wrong"] if signed(int(m["value"])) == value and value != truth), None)
    said = f"You said {answer_text(gate, value)}{', ' + confidence if confidence else ''}."
    return Outcome(
        right=value == truth,
        said=said,
        truth=gate["tells"].replace("{value}", answer_text(gate, truth)),
        model=str(model["name"]) if model else "",
        explains=f"{model['name']}: {model['says']}" if model else "",
        frame=int(model.get("frame", gate["at"])) if model else int(gate["at"]),
    )
