"""The booth: the process in which a learner's function runs for a mark. It knows no answer and can fetch none.

It is a program of its own (`referee` starts it): it loads a few modules, gives up files, memory and time, and only then
runs the learner's text. Memory, registers and machines of a case stay with the referee; the function has stand-ins,
whose calls travel as lines of JSON. What is printed here goes nowhere.

The limits are those of the operating system for a process: no file can be opened any more, no connection made, memory
and time end. They are no sandbox against its kernel: who marks the work of strangers uses an account of its own.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any, Final

try:
    import resource
except ImportError:  # Windows has no such limits; the referee's clock is left
    resource = None  # type: ignore[assignment]

MEMORY: Final = 1 << 30
SECONDS: Final = 60
NOBODY: Final = 65534
LONGEST: Final = 1 << 20  # bytes of one message
DEEPEST: Final = 16
PLAIN: Final = (bool, int, str, type(None))
# What a function may use besides what it is given; nothing more can be imported once the files are shut.
READY: Final = (
    "collections", "dataclasses", "enum", "functools", "itertools", "math", "operator", "struct", "typing", "numpy",
    "hvlab.wire.cpuid", "hvlab.wire.hypercalls", "hvlab.wire.tlfs", "hvlab.wire.x64",
)  # fmt: skip
ERRORS: Final = {one.__name__: one for one in (ValueError, TypeError, KeyError, IndexError, OverflowError)}


class Odd(Exception):
    """A message that is none of ours, or a value that cannot travel."""


# ---- values as JSON: plain ones as they are, bytes, tuples and mappings marked, all else by number


def packed(value: Any, held: Callable[[Any], Any] | None = None, depth: int = 0) -> Any:
    """Return a value as JSON has it; `held` stands for what stays here, by a number."""
    if type(value) in PLAIN:
        return value
    if depth > DEEPEST:
        raise Odd("too deep")
    if type(value) is list:
        return [packed(one, held, depth + 1) for one in value]
    if isinstance(value, bytes | bytearray):
        return {"b": bytes(value).hex()}
    if type(value) is tuple:
        return {"t": [packed(one, held, depth + 1) for one in value]}
    if type(value) is dict:
        return {"d": [[packed(k, held, depth + 1), packed(v, held, depth + 1)] for k, v in value.items()]}
    if isinstance(value, int):
        return int(value)
    if type(value).__module__ == "numpy":
        return packed(value.tolist(), held, depth + 1)
    if hasattr(type(value), "__index__"):
        return int(value.__index__())
    if held is None:
        raise Odd(type(value).__name__)
    return held(value)


def unpacked(found: Any, held: Callable[[Any], Any] | None = None) -> Any:
    """Return what a message holds."""
    if type(found) in PLAIN:
        return found
    if type(found) is list:
        return [unpacked(one, held) for one in found]
    if type(found) is not dict or len(found) != 1:
        raise Odd("no value")
    kind, inside = next(iter(found.items()))
    if kind == "b" and type(inside) is str:
        return bytes.fromhex(inside)
    if kind == "t" and type(inside) is list:
        return tuple(unpacked(one, held) for one in inside)
    if kind == "d" and type(inside) is list and all(type(one) is list and len(one) == 2 for one in inside):
        return {unpacked(k, held): unpacked(v, held) for k, v in inside}
    if kind == "h" and held is not None:
        return held(inside)
    raise Odd("no value")


# ---- the learner's side


class Line:
    """The line to the referee: one message there, one back."""

    def __init__(self, hear: Any, say: Any) -> None:
        self._hear, self._say = hear, say

    def tell(self, message: Any) -> None:
        self._say.write(json.dumps(message).encode() + b"\n")
        self._say.flush()

    def next(self) -> Any:
        found = self._hear.readline(LONGEST)
        if not found.endswith(b"\n"):
            raise SystemExit
        return json.loads(found)

    def ask(self, number: int, method: str, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Let the referee call something that stays there."""
        self.tell({"call": number, "method": method, "given": packed(list(given)), "named": packed(named)})
        answer = self.next()
        if "error" in answer:
            raise ERRORS.get(answer["error"], RuntimeError)(answer.get("says", ""))
        return unpacked(answer["value"], lambda inside: stand_in(self, inside))


def stand_in(line: Line, told: dict[str, Any]) -> Any:
    """Return what stands for something of the referee's: a function, or an object with its plain values."""
    number = told["number"]

    def asks(method: str) -> Callable[..., Any]:
        return lambda *given, **named: line.ask(number, method, given, named)

    if told["function"]:
        return asks("")
    made = type("StandIn", (), {})()
    for name in told["methods"]:
        setattr(made, name, asks(name))
    for name, value in unpacked(told["values"]).items():
        setattr(made, name, value)
    return made


class Text(SourceLoader):
    """Loads a module from a text instead of a file."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_filename(self, fullname: str) -> str:
        return "<answer>"

    def get_data(self, path: str | bytes) -> bytes:
        return self.text.encode() if path == "<answer>" else b""


def loaded(text: str, name: str) -> Callable[..., Any]:
    """Run a learner's text, and return the function of this name."""
    spec = spec_from_loader("answer", Text(text))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["answer"] = module
    spec.loader.exec_module(module)
    found: Callable[..., Any] = getattr(module, name)
    return found


def shut() -> None:
    """Give up what a function does not need: another user's rights, files, processes, memory, time."""
    if hasattr(os, "setuid") and os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        except OSError:  # a container may hold even its root
            pass
    if resource is None:
        return
    for what, most in (
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_NOFILE, 0),
    ):  # fmt: skip
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def opened() -> Line:
    """Take the line that the process was started with, and let standard input and output lead nowhere."""
    hear, say = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
    return Line(hear, say)


def main() -> None:
    """Serve a referee until it hangs up."""
    line = opened()
    sys.path.append(sys.argv[1])
    for name in READY:
        importlib.import_module(name)
    first = line.next()
    shut()
    function = loaded(first["text"], first["name"])
    line.tell({"ready": True})
    while True:
        given = unpacked(line.next()["given"], lambda inside: stand_in(line, inside))
        result = function(*given)
        line.tell({"result": packed(result), "lists": packed([one for one in given if type(one) is list])})


if __name__ == "__main__":
    main()
