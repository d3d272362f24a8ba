"""Paired measurement: theirs, ours, theirs, ours …, in CPU time of this process, with equal answers in every pair."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from time import process_time
from typing import Any


@dataclass
class Row:
    """One figure: a ratio, or a quantity whose unit the name carries; `meets` is None where nothing was measured."""

    name: str
    ratio: float | None
    low: float | None
    high: float | None
    target: str
    meets: bool | None
    note: str = ""

    def json(self) -> dict[str, Any]:
        """Return the row as the JSON file has it."""
        return {key: value for key, value in asdict(self).items() if key != "note" or value}


def at_most(name: str, values: list[float], most: float, note: str = "") -> Row:
    """Return a row whose median must not exceed `most`."""
    middle = median(values)
    return Row(name, middle, min(values), max(values), f"<= {most:g}", middle <= most, note)


def at_least(name: str, values: list[float], least: float, note: str = "") -> Row:
    """Return a row whose median must reach `least`."""
    middle = median(values)
    return Row(name, middle, min(values), max(values), f">= {least:g}", middle >= least, note)


def measured(name: str, values: list[float]) -> Row:
    """Return a row of something that is a part of another one, and has no target of its own."""
    return Row(name, median(values), min(values), max(values), "–", None)


def not_measured(name: str, target: str, why: str) -> Row:
    """Return a row that says plainly that there is no figure."""
    return Row(name, None, None, None, target, None, f"not measured: {why}")


def paired(theirs: Callable[[], Any], ours: Callable[[], Any], equal: Callable[[], None], pairs: int) -> list[float]:
    """Return the ratio ours / theirs of each pair but the first; `equal` asserts the answers after each of them."""
    ratios = []
    for _ in range(pairs + 1):
        begun = process_time()
        theirs()
        between = process_time()
        ours()
        done = process_time()
        equal()
        ratios.append((done - between) / (between - begun))
    return ratios[1:]
