"""Predictions: the learner commits before the lab shows.

A prediction is asked once; its first answer stays. The story that it closes brings the truth, and the wrong models run
on that same story: nothing here knows an answer.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from hvlab.errors import plain
from hvlab.lab import progress
from hvlab.lab.items import Item, find
from hvlab.language import _
from hvlab.story.gate import (
    CONFIDENCE,
    MOST_ORDERED,
    WANTED_NUMBER,
    Gate,
    Outcome,
    answer_text,
    judge,
    mode,
    parse,
    truth_of,
)
from hvlab.story.storyboard import Storyboard

_asked: dict[str, "Prediction"] = {}


class Prediction:
    """A question, and its first answer.

    Attributes
    ----------
    answer : int or None
        None until an answer is in.
    confidence : str
        `guess`, `think`, `sure`, or nothing.
    """

    def __init__(self, item: Item) -> None:
        self.item = item
        self.answer: int | None = None
        self.confidence = ""
        self._story: Storyboard | None = None
        self._noted = False

    @property
    def id(self) -> str:
        """The question's id, such as ``"05.reads"``."""
        return self.item.id

    @property
    def shape(self) -> dict[str, Any]:
        """The question as a gate without a story: how an answer is read and written."""
        return self.item.asked().as_json(0)

    def give(self, answer: Any, confidence: str = "") -> str:
        """Take an answer; return a sentence if it cannot be read, else nothing. A second answer changes nothing."""
        try:
            value = parse(self.shape, as_typed(answer))
        except ValueError as refused:
            return f"{plain(answer, 40)}: {refused}."
        if confidence not in ("", *CONFIDENCE):
            told = _("{given}: wanted {first} or {last}.")
            return told.format(given=plain(confidence, 40), first=", ".join(CONFIDENCE[:-1]), last=CONFIDENCE[-1])
        if self.answer is None:
            self.answer, self.confidence = value, confidence
            self._note()
        return ""

    def _note(self) -> None:
        """Keep answer and truth in the progress file, once both are there."""
        outcome = self.outcome(self._story) if self._story is not None else None
        if outcome is None or self._noted:
            return
        self._noted = True
        verdict = "right" if outcome.right else "wrong"
        given, sure = str(self.answer), self.confidence
        progress.note(self.id, "predict", given=given, verdict=verdict, model=outcome.model, confidence=sure)

    def hear(self, answers: Mapping[str, Mapping[str, str]]) -> None:
        """Take the answer that a player's answers hold, if it is among them."""
        if self.id in answers:
            self.give(answers[self.id]["value"], answers[self.id].get("confidence", ""))

    def gate_for(self, story: Storyboard) -> Gate:
        """Return the gate that closes a story until this prediction is in."""
        if self._story is None:
            self._story = story
            self._note()
        return self.item.gate(story)

    def outcome(self, story: Storyboard) -> Outcome | None:
        """Return the answer beside what the story says; None while there is no answer."""
        if self.answer is None:
            return None
        gate = self.item.gate(story).as_json(len(story) - 1)
        truth = truth_of(gate, lambda fact: story.value(fact, gate["at"]))
        return judge(gate, self.answer, truth, self.confidence)

    def __repr__(self) -> str:
        if self.answer is not None:
            said, sure = answer_text(self.shape, self.answer), f", {_(self.confidence)}" if self.confidence else ""
            told = _("{id}: you said {said}{sure}. The story below it is open.")
            return told.format(id=self.id, said=said, sure=sure)
        example, more = self._example()
        asks = mode() == "learn" or os.environ.get("HVLAB_EXPORT") == "1"  # an exported page asks all the same
        wait = _("The story below waits for it.") if asks else _("The story below is open ({mode} mode).")
        told = _("{id}: {question}\n{wait} Answer there, or here: predict({name}, {example})")
        words = {
            "question": "\n".join([_(self.item.question), *more]),
            "wait": wait.format(mode=mode()),
            "example": example,
        }
        return told.format(id=self.id, name=repr(self.id), **words)

    def _example(self) -> tuple[str, list[str]]:
        """How an answer is written, and what may be chosen, with numbers."""
        shape = self.shape
        numbered = [f"  {one['value']}  {one['label']}" for one in [*shape["choices"], *shape.get("reasons", [])]]
        if self.item.kind == "order":
            return "[" + ", ".join(one["value"] for one in shape["choices"]) + "]", numbered
        if self.item.reasons:
            return f"(True, {shape['reasons'][0]['value']})", numbered
        return "True" if self.item.kind == "yes" else _("your number"), numbered


def as_typed(answer: Any) -> Any:
    """Return an answer as plain numbers, truth values or texts, by its type; the answer's own methods are not asked.

    Raises
    ------
    ValueError
        With the sentence that the learner sees, for every other type.
    """
    several = type(answer) in (list, tuple) and len(answer) <= MOST_ORDERED
    plain_parts = []
    for part in answer if several else [answer]:
        if type(part) not in (int, str, bool) and not issubclass(type(part), np.integer):
            raise ValueError(_(WANTED_NUMBER))
        plain_parts.append(int(part) if issubclass(type(part), np.integer) else part)
    return tuple(plain_parts) if several else plain_parts[0]


def predict(id: str, answer: Any = None, confidence: str = "") -> Prediction:
    """Ask a question, or answer it; the first answer stays.

    Parameters
    ----------
    id
        Such as ``"05.reads"``.
    answer
        A number, decimal or ``"0x18"``; True or False for a yes-or-no question, with the number of a reason where one
        is asked for: ``(False, 3)`` or ``"no, 3"``; an order as a list of numbers or names. None asks.
    confidence
        `guess`, `think` or `sure`.
    """
    asked = _asked.get(id) or _asked.setdefault(id, Prediction(find(id)))
    if answer is not None:
        refused = asked.give(answer, confidence)
        if refused:
            print(_("{refused} Nothing is recorded.").format(refused=refused))
    return asked


def again(id: str) -> Prediction:
    """Forget the answer to a question, and ask it once more."""
    _asked.pop(id, None)
    return predict(id)
