"""A function as text: its source, and what of its notebook it uses. So it can be judged where no learner's code ran."""

import ast
import inspect
import json
import textwrap
from types import FunctionType, ModuleType
from typing import Any, Final

PLAIN: Final = (bool, int, str, bytes, type(None))
WIRE: Final = "hvlab.wire."
LONGEST: Final = 20_000
MOST_PARTS: Final = 40


def program(function: Any) -> str:
    """Return a text that defines a function and all that it uses, as JSON with its name; nothing if there is none.

    What it uses by name may be other functions of the same notebook, plain values, modules, and declared structures.
    """
    if type(function) is not FunctionType or not function.__name__.isidentifier():
        return ""
    parts: dict[str, str] = {}
    try:
        gather(function, parts)
    except (OSError, TypeError, SyntaxError, RecursionError):
        return ""
    given = json.dumps({"name": function.__name__, "text": "\n".join(parts.values())})
    return given if len(given) <= LONGEST else ""


def gather(function: FunctionType, parts: dict[str, str]) -> None:
    """Collect the parts of a program: what a function uses stands before it."""
    source = textwrap.dedent(inspect.getsource(function))
    known = inspect.getclosurevars(function)
    scope = {**function.__globals__, **known.nonlocals}
    parts[function.__name__] = ""  # it may use itself
    for name in used(source):
        if name in parts or name not in scope or len(parts) > MOST_PARTS:
            continue
        value = scope[name]
        if type(value) is FunctionType and not value.__module__.startswith("hvlab"):
            gather(value, parts)
        elif text := brought(name, value):
            parts[name] = text
    del parts[function.__name__]
    parts[function.__name__] = source


def used(source: str) -> list[str]:
    """Return the names that a piece of source looks up, each once."""
    found = (node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    return list(dict.fromkeys(found))


def brought(name: str, value: Any) -> str:
    """Return the line that brings a value into the program; nothing for what cannot be brought."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}"
    home, own = getattr(value, "__module__", "") or "", getattr(value, "__qualname__", "")
    if isinstance(value, type) and home.startswith(WIRE) and own.isidentifier():
        return f"from {home} import {own} as {name}"
    if simple(value):
        return f"{name} = {value!r}"
    return ""


def simple(value: Any, depth: int = 0) -> bool:
    """Whether a value is written by its digits and letters alone."""
    if type(value) in PLAIN:
        return True
    if depth > 4:
        return False
    if type(value) in (list, tuple, set, frozenset):
        return all(simple(one, depth + 1) for one in value)
    return type(value) is dict and all(simple(part, depth + 1) for pair in value.items() for part in pair)
