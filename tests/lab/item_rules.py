"""What every exercise owes: its truth is right, each wrong model is wrong and named, nothing needs a second run.

A truth is compared with a slow model over a thousand worlds: in the suite over every fourth of them, with
HVLAB_EVERY_WORLD=1 over all.
"""

import dataclasses
import os

import pytest

from hvlab.lab.check import check, judge
from hvlab.lab.deal import Dealt, hand
from hvlab.lab.exercise import Construct, Exercise
from hvlab.lab.rules import rule

WORLDS = 1000
STRIDE = 1 if os.environ.get("HVLAB_EVERY_WORLD", "0") != "0" else 4


def seeds(part: int = 0, parts: int = 1) -> range:
    """Return the seeds of a part of the thousand worlds."""
    return range(part * WORLDS // parts, (part + 1) * WORLDS // parts, STRIDE)


def held(item, learner):
    """An exercise as it is dealt to somebody."""
    return Dealt(item.id, item, learner, 0)


def holds(item: Exercise, learners=60) -> None:
    """Assert what holds for every exercise with one answer for a world, over the worlds of so many learners."""
    seen = set()
    for k in range(learners):
        one = held(item, f"learner-{k}")
        world, truth = one.world, item.truth(one.world)
        where = f"{item.id} of learner-{k}: {truth}"
        assert item.shape.read(truth) == truth, where
        assert judge(one, item, truth).verdict == "right", where
        assert len(item.ask(world)) > 20, where
        for model in item.wrong:
            answer = model.answer(world)
            if answer is None:
                continue
            verdict = judge(one, item, item.shape.read(answer))
            assert verdict.verdict == "wrong" and model.name in verdict.models, f"{where}, {model.name} {answer}"
            assert len(verdict.lines) <= 6
            seen.add(model.name)
    assert seen == {model.name for model in item.wrong}, f"{item.id}: never met"
    _declared(item)
    asked = {seed: item.ask(item.deal(seed)) for seed in range(8)}
    assert asked == {seed: item.ask(item.deal(seed)) for seed in range(8)} and len(set(asked.values())) > 1


def sound(item: Exercise, seeds: int) -> None:
    """Assert over so many worlds that the truth is right and each wrong model wrong, and among the ideas named."""
    for seed in range(seeds):
        world = item.deal(seed)
        truth = item.truth(world)
        assert item.right(world, truth, truth)
        for model in item.wrong:
            said = model.answer(world)
            assert not item.right(world, said, truth), (item.id, seed, model.name)
            assert item.agrees(model, world, said, truth), (item.id, seed, model.name)


def steady(item: Exercise) -> None:
    """Assert that a seed deals the same world for ever, and that its task can be read."""
    first, second = item.deal(11), item.deal(11)

    assert item.ask(first) == item.ask(second) and len(item.ask(first)) > 40
    assert item.truth(first) == item.truth(second)


def ideas(items) -> list:
    """Every exercise with each of its wrong models, for a parametrised test."""
    return [pytest.param(item, model.name, id=f"{item.id} {model.name}") for item in items for model in item.wrong]


def named_by_check(item: Exercise, name: str, capsys) -> None:
    """Assert that a check names the idea whose answer was given, and takes the right answer."""
    world = hand(item.id).world
    model = next(one for one in item.wrong if one.name == name)

    verdict = check(item.id, model.answer(world))

    assert verdict.verdict == "wrong" and name in verdict.models
    assert name in capsys.readouterr().out
    assert check(item.id, item.truth(world)).right


def _declared(item) -> None:
    for model in item.wrong:
        assert model.says[0].islower() and model.says.endswith(".") and "wrong" not in model.says
        assert rule(model.rule).says
    assert all(item.hints) and len(item.hints) == 2


def builds(item: Construct, right) -> None:
    """Assert what holds for every construction: a right function passes, each wrong model fails and is named."""
    from hvlab.lab.check import told_of
    from hvlab.lab.construct import build, hidden

    one = held(item, "builder")
    worlds, truths = hidden(one, item)
    assert len(worlds) == item.cases and all(item.shape.read(truth) == truth for truth in truths)
    assert told_of(one, item, build(one, item, right)).verdict == "right"
    asked = dataclasses.replace(item, call=lambda function, world, meter: function(world))
    for model in item.wrong:
        verdict = told_of(one, asked, build(one, asked, model.answer))
        assert verdict.verdict == "wrong" and model.name in verdict.models, model.name
        assert len(verdict.lines) <= 6
    _declared(item)
