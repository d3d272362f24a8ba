"""Constructions: the learner's function runs on copies of hidden worlds, under a budget of memory reads."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from hvlab.errors import plain
from hvlab.lab.answer import Plain, Unread, differences
from hvlab.lab.deal import Dealt, kept
from hvlab.lab.exercise import Construct, Meter, Spent, Wrong
from hvlab.language import _


@dataclass(frozen=True)
class Built:
    """What became of a function on all hidden cases."""

    worlds: list[Any]
    wrong: int = 0
    first: int | None = None
    why: str = ""
    models: tuple[Wrong, ...] = ()
    stopped: int | None = None
    seconds: float = 0.0


def hidden(held: Dealt, item: Construct) -> tuple[list[Any], list[Plain]]:
    """Return the hidden worlds of a hand, and what the engine says about each."""

    def make() -> tuple[list[Any], list[Plain]]:
        worlds = [item.case(held.seed, k) for k in range(item.cases)]
        return worlds, [item.truth(world) for world in worlds]

    found: tuple[list[Any], list[Plain]] = kept(held.seed, make)
    return found


def build(held: Dealt, item: Construct, function: Callable[..., Any]) -> Built:
    """Run a function on every hidden case."""
    worlds, truths = hidden(held, item)
    odd: list[tuple[int, Plain | None, str]] = []
    begun = perf_counter()
    for k, (world, truth) in enumerate(zip(worlds, truths, strict=True)):
        try:
            answer, why = one(item, function, world)
        except KeyboardInterrupt:
            return Built(worlds, stopped=k)
        places = [] if why else differences(item.shape, answer, truth)
        if why or places:
            odd.append(
                (k, answer, why or _("Your result differs: {place}.").format(place=places[0] or _("the result")))
            )
    if not odd:
        return Built(worlds, seconds=perf_counter() - begun)
    models = tuple(model for model in item.wrong if held_by(item, model, worlds, odd))
    return Built(worlds, len(odd), odd[0][0], odd[0][2], models)


def one(item: Construct, function: Callable[..., Any], world: Any) -> tuple[Plain | None, str]:
    """Run a function on one case; return its plain result, or a sentence that says why there is none."""
    meter = Meter(item.budget)
    spent = _("Your function read memory more than {budget} times.").format(budget=item.budget)
    try:
        result = item.call(function, world, meter)
    except Spent:
        return None, spent
    except Exception as error:  # the learner's own
        return None, told(error, function)
    if meter.reads > item.budget:
        return None, spent
    try:
        return item.shape.read(result), ""
    except Unread as refused:
        return None, _("Your function returned {why}").format(why=refused)


def told(error: Exception, function: Callable[..., Any]) -> str:
    """Say which exception the learner's function raised, and in which line of its cell."""
    code = getattr(function, "__code__", None)
    lines = [
        step.lineno for step in traceback.extract_tb(error.__traceback__) if code and step.filename == code.co_filename
    ]
    try:
        said = plain(error, 80)
    except Exception:  # an exception whose own text fails
        said = ""
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if not lines:
        return _("Your function raised {what}.").format(what=what)
    return _("Your function raised {what} in line {line}.").format(what=what, line=lines[-1])


def held_by(item: Construct, model: Wrong, worlds: list[Any], odd: list[tuple[int, Plain | None, str]]) -> bool:
    """Whether a model gives the same result in every case in which the function is wrong."""
    for k, answer, _why in odd:
        said = None if answer is None else model.answer(worlds[k])
        if said is None or differences(item.shape, answer, said):
            return False
    return True
