"""Runs that a scenario token names: one module for each lesson (``r05.py``), with ``SCENARIOS``; found by its name.

A scenario is data and one function: which changes it takes, from a closed list of values, and how a seed and these
values become a trace. No scenario's name may be the beginning of another's. ::

    SECOND_LEVEL = Scenario(
        "second-level", N_("One access through both levels of tables."),
        (Knob("x", "levels", (4, 5), 4),),
        lambda seed, knobs: one_walk(levels=knobs["levels"], gva=gva_of(seed)).trace,
    )
    SCENARIOS = (SECOND_LEVEL,)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from hvlab.story.storyboard import Storyboard
from hvlab.story.walk import WalkLens
from hvlab.tokens import Knob
from hvlab.trace.journal import Trace

Run = Callable[[int, Mapping[str, int]], Trace]


def walk_story(trace: Trace, token: str) -> Storyboard:
    """Tell a run of translations."""
    return WalkLens().story(trace, token=token)


@dataclass(frozen=True)
class Scenario:
    """A run that can be made again from its token.

    Parameters
    ----------
    name, says
        Its name in tokens (small letters and hyphens), and one sentence.
    knobs
        The changes that it takes.
    run
        Makes the run: ``run(seed, values)``, a value for every knob.
    story
        Tells it: ``story(trace, token)``.
    """

    name: str
    says: str
    knobs: tuple[Knob, ...]
    run: Run
    story: Callable[[Trace, str], Storyboard] = walk_story

    def values(self, changes: Mapping[str, int]) -> dict[str, int]:
        """Return a value for every knob."""
        return {knob.name: changes.get(knob.name, knob.start) for knob in self.knobs}


@cache
def scenarios() -> dict[str, Scenario]:
    """Return the scenarios of all lessons, by their names."""
    names = sorted(module.name for module in iter_modules(__path__))
    found: list[Any] = [one for name in names for one in import_module(f"{__name__}.{name}").SCENARIOS]
    return {one.name: one for one in found}
