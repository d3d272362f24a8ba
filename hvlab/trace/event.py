"""The declaration of an event, and the one recorder behind all of them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hvlab.kernel import I, entry_point, kernel, merged

WORDS = 6
COLUMNS = 4 + WORDS  # kind, time, actor, cause, six words


@dataclass(frozen=True)
class Event:
    """One kind of event: the signature of its declaration, and how it is told."""

    number: int
    name: str
    box: str
    says: str
    fields: tuple[str, ...]
    doc: str
    rule: str

    def template_kind(self, field: str) -> str:
        """Return the kind in which the caption shows a field (``dec`` if the caption does not show it)."""
        for part in self.says.split("{")[1:]:
            name, _, kind = part.split("}")[0].partition(":")
            if name == field:
                return kind or "dec"
        return "hex"


CATALOGUE: list[Event] = []


@kernel
def record(m, trace, kind, actor, cause, a, b, c, d, e, f):
    """Append one row if there is room and return its number, the cause of what follows.

    An entry point never begins a step that might not fit, so nothing is lost; an empty trace is "off".
    """
    if trace.shape[0] == 0:
        return cause
    n = m["rows"]
    if n < trace.shape[0]:
        row = trace[n]
        row[9] = f  # the last word first: one check of the bounds covers all the others
        row[8] = e
        row[7] = d
        row[6] = c
        row[5] = b
        row[4] = a
        row[3] = cause
        row[2] = actor
        row[1] = m["now"]
        row[0] = kind
        m["rows"] = n + 1
    return n


@entry_point
def append(state, trace, kind, actor, cause, a, b, c, d, e, f):
    """Let Python append a row through the same recorder."""
    return record(state[0], trace, kind, actor, cause, a, b, c, d, e, f)


def event(box: str, says: str, rule: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare an event: the decorated signature names its words, in order.

    Parameters
    ----------
    box : str
        The box of the Hyper-V diagram that lights up.
    says : str
        The caption: ``{field:kind}``, at most 140 characters, the box as the subject.
    rule : str
        The platform's rule that makes it happen, with its document and section.
    """

    def declare(function: Callable[..., Any]) -> Any:
        name, fields = function.__name__, tuple(inspect.signature(function).parameters)
        number = len(CATALOGUE)
        if len(fields) > WORDS or not all(word.isidentifier() for word in (name, *fields)):
            raise TypeError(f"event {name}: at most {WORDS} words, each with a plain name")
        CATALOGUE.append(Event(number, name, box, says, fields, inspect.getdoc(function) or "", rule))
        words = [*fields, *["NOTHING"] * (WORDS - len(fields))]
        space: dict[str, Any] = {"KIND": I(number), "NOTHING": I(0), "record": record}
        # A template of names from the signature only: numba needs real source, one wrapper for each event.
        exec(
            f"def {name}(m, trace, actor, cause, {', '.join(fields)}):\n"
            f"    return record(m, trace, KIND, actor, cause, {', '.join(words)})",
            space,
        )
        return merged(space[name])

    return declare


def by_name(name: str) -> Event:
    """Return the declaration of an event; an unknown name raises KeyError."""
    for declared in CATALOGUE:
        if declared.name == name:
            return declared
    raise KeyError(name)
