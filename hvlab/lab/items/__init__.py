"""What the lessons ask: which questions, which wrong models are known; no answers.

Two modules for each lesson. ``l05.py`` holds ``ITEMS``: the predictions, whose truth is a fact of the story that they
close. ``e05.py`` holds ``EXERCISES`` (E1, E2, E3, and the exit items X1, X2) and ``SHORTS``, the short forms that later
lessons deal in their warm-ups. Both are found by their names; nothing is registered.

An exercise is a declaration of `hvlab.lab.exercise`: a generator of worlds, a truth that the engine computes when it is
asked for, wrong models that run on the same world. ``check``, ``hint``, ``recall``, ``task``, ``case``, the progress
file and the reports then work by its id. ::

    from hvlab.lab.answer import Number, record
    from hvlab.lab.exercise import Exercise, Wrong
    from hvlab.language import N_, _

    def make(draw):                       # draws a world; `deal` refuses one in which a wrong model is right
        return {"gva": draw.bits(47), "frame": draw.bits(30)}

    def truth(world):                     # by the engine, never by a formula that is the answer
        return (bare(world).run([world["gva"]], [0])[1][0],)

    E1 = Exercise(
        id="04.E1", version=1, kind="trace",
        shape=record(gpa=Number("gpa", high=(1 << 52) - 1)),
        make=make,
        ask=lambda world: _("The GVA is {gva:#x}. Which GPA?").format(gva=world["gva"]),
        truth=truth,
        tested=N_("one world of 4 levels; not tested: 5 levels"),
        hints=(N_("Phase *index*: which nine bits choose the entry?"), N_("Sub-goal: fetch entry …")),
        wrong=(Wrong("byte-not-page", N_("the frame is a page number; an address is 4,096 times that."), "walk",
                     lambda world: (world["frame"] | world["gva"] & 4095,)),),
        story=lambda world: story_of(trace(world)),
    )
    EXERCISES = (E1,)

A plain answer of `record` is a tuple in the order of its fields. A text that is declared once stands in ``N_()``, one
that is made stands in ``_()``. Each module's tests compare the truth of every item with ``tests/model`` over at least
1,000 seeds (`tests/lab/test_items_05.py` shows how), and call ``holds`` of `tests/lab/item_rules.py` for the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from hvlab.errors import BadRequest, plain
from hvlab.language import N_, _
from hvlab.story.gate import Gate
from hvlab.story.storyboard import Storyboard

if TYPE_CHECKING:
    from hvlab.lab import exercise

Facts = Mapping[str, int]
NTH = (N_("The first: {says}"), N_("The second: {says}"), N_("The third: {says}"), N_("The fourth: {says}"))


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
    reason
        Of a question that asks for one: the reason that somebody who holds the idea picks; 0 for any.
    """

    name: str
    says: str
    answer: Callable[[Storyboard], int]
    parts: Callable[[Facts], bool]
    reason: int = 0


@dataclass(frozen=True)
class Item:
    """A question whose truth is a fact of the story that it closes.

    Parameters
    ----------
    kind, fact, tells, frame
        As for `hvlab.story.gate.Gate`.
    choices
        For `pick`, `subset` and `order`: value -> what it is called. An order is dealt as it stands here, so let it
        stand in another order than the true one.
    reasons, because
        For `yes`: at least three clauses that follow *because*, by their values from 1 on, and the fact that gives
        the right one.
    """

    id: str
    question: str
    kind: str
    fact: str
    tells: str
    models: tuple[Model, ...] = ()
    frame: int = 0
    choices: Mapping[int, str] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)
    because: str = ""

    def gate(self, story: Storyboard) -> Gate:
        """Return the gate that this question puts on a story: its models run on the same story."""
        found: dict[tuple[int, int], list[Model]] = {}
        for model in self.models:
            found.setdefault((model.answer(story), model.reason), []).append(model)
        truth, reason = story.value(self.fact), story.value(self.because) if self.reasons else 0
        other = [(key, models) for key, models in found.items() if key[0] != truth or key[1] not in (0, reason)]
        wrong = [_entry(story, *key, models) for key, models in other]
        return self.asked(wrong)

    def asked(self, wrong: Sequence[Mapping[str, Any]] = ()) -> Gate:
        """Return the question as a gate, in the learner's language, with the wrong answers that are known."""
        choices = [{"value": value, "label": _(label)} for value, label in self.choices.items()]
        reasons = [{"value": value, "label": _(label)} for value, label in self.reasons.items()]
        return Gate(
            id=self.id,
            frame=self.frame,
            question=_(self.question),
            kind=self.kind,
            fact=self.fact,
            wrong=[dict(one) for one in wrong],
            choices=choices,
            tells=_(self.tells),
            reasons=reasons,
            because=self.because,
        )


def _entry(story: Storyboard, value: int, reason: int, models: Sequence[Model]) -> dict[str, Any]:
    """A wrong answer as the gate wants it; ideas that agree on this story are all named."""
    parts = [_first(story, model.parts) for model in models]
    says = _(models[0].says)
    if len(models) > 1:
        told = (_(nth).format(says=_(model.says)) for nth, model in zip(NTH, models, strict=False))
        says = " ".join([_("the same number here."), *told])
    name = _(" or ").join(one.name for one in models)
    return {"value": value, "name": name, "says": says, "frame": min(parts)} | ({"reason": reason} if reason else {})


def _first(story: Storyboard, test: Callable[[Facts], bool]) -> int:
    """Return the first frame whose facts pass the test; 0 if none does."""
    return next((k for k, facts in enumerate(story.states(0, len(story) - 1)) if test(facts)), 0)


def every() -> dict[str, Item]:
    """Return the questions of all lessons by their ids."""
    return {item.id: item for name in modules("l") for item in import_module(f"{__name__}.{name}").ITEMS}


def modules(letter: str) -> list[str]:
    """Return the modules of the lessons in order: `l` for predictions, `e` for exercises."""
    names = (module.name for module in iter_modules(__path__))
    return sorted(name for name in names if name[0] == letter and name[1:].isdigit())


def find(id: str) -> Item:
    """Return a question; an unknown id is answered with the nearest three."""
    found: Item = _known("question", id, every())
    return found


def _known(what: str, id: str, known: Mapping[str, Any]) -> Any:
    if id not in known:
        near = get_close_matches(str(id), known, 3, 0) or list(known)[:3]
        raise BadRequest(f"the {what} {plain(id, 40)!r}", "", ", ".join(near))
    return known[id]


@cache
def exercises() -> "dict[str, exercise.Item]":
    """Return the exercises of all lessons by their ids, in the order of the lessons."""
    return {item.id: item for name in modules("e") for item in exercises_of(name[1:])}


@cache
def exercises_of(lesson: str) -> "tuple[exercise.Item, ...]":
    """Return the exercises of a lesson; none if it has none."""
    return tuple(_declared(lesson, "EXERCISES"))


@cache
def shorts(lesson: str) -> "tuple[exercise.Exercise, ...]":
    """Return the short forms of a lesson; none if it has none."""
    return tuple(_declared(lesson, "SHORTS"))


def _declared(lesson: str, name: str) -> Sequence[Any]:
    module = f"e{lesson}"
    found: Sequence[Any] = getattr(import_module(f"{__name__}.{module}"), name) if module in modules("e") else ()
    return found


def find_exercise(id: str) -> "exercise.Item":
    """Return an exercise; an unknown id is answered with the nearest three."""
    for item in exercises_of(str(id)[:2]):
        if item.id == id:
            return item
    found: exercise.Item = _known("exercise", id, exercises())
    return found
