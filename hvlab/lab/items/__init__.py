"""The questions of the lessons, one module for each: what is asked, which wrong models are known; no answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from hvlab.errors import BadRequest, plain
from hvlab.story.gate import Gate
from hvlab.story.storyboard import Storyboard

Facts = Mapping[str, int]
NTH = ("first", "second", "third", "fourth")


@dataclass(frozen=True)
class Model:
    """A known wrong idea: what it makes of the same run, and where it parts from the machine.

    Parameters
    ----------
    name, says
        The idea's name, and one sentence about the run without the word "wrong".
    answer
        What somebody who holds the idea answers, computed from the story.
    parts
        Whether the facts of a frame show what the idea leaves out; the first such frame is where both part.
    """

    name: str
    says: str
    answer: Callable[[Storyboard], int]
    parts: Callable[[Facts], bool]


@dataclass(frozen=True)
class Item:
    """A question whose truth is a fact of the story that it closes."""

    id: str
    question: str
    kind: str
    fact: str
    tells: str
    models: tuple[Model, ...] = ()
    frame: int = 0

    def gate(self, story: Storyboard) -> Gate:
        """Return the gate that this question puts on a story: its models run on the same story."""
        found: dict[int, list[Model]] = {}
        for model in self.models:
            found.setdefault(model.answer(story), []).append(model)
        truth = story.value(self.fact)
        wrong = [_entry(story, value, models) for value, models in found.items() if value != truth]
        return Gate(self.id, self.frame, self.question, self.kind, self.fact, wrong=wrong, tells=self.tells)


def _entry(story: Storyboard, value: int, models: Sequence[Model]) -> dict[str, Any]:
    """A wrong answer as the gate wants it; ideas that agree on this story are all named."""
    parts = [_first(story, model.parts) for model in models]
    says = models[0].says
    if len(models) > 1:
        told = (f"The {nth}: {model.says}" for nth, model in zip(NTH, models, strict=False))
        says = " ".join(["the same number here.", *told])
    return {"value": value, "name": " or ".join(one.name for one in models), "says": says, "frame": min(parts)}


def _first(story: Storyboard, test: Callable[[Facts], bool]) -> int:
    """Return the first frame whose facts pass the test; 0 if none does."""
    return next((k for k, facts in enumerate(story.states(0, len(story) - 1)) if test(facts)), 0)


def every() -> dict[str, Item]:
    """Return the questions of all lessons by their ids."""
    names = sorted(module.name for module in iter_modules(__path__))
    return {item.id: item for name in names for item in import_module(f"{__name__}.{name}").ITEMS}


def find(id: str) -> Item:
    """Return a question; an unknown id is answered with the nearest three."""
    known = every()
    if id not in known:
        near = get_close_matches(str(id), known, 3, 0) or list(known)[:3]
        raise BadRequest(f"the question {plain(id, 40)!r}", "", ", ".join(near))
    return known[id]
