"""The referee: judges a function by its text alone, in a process of its own, on worlds that nobody has seen.

Worlds, machines and answers stay here. The other process (`booth`) gets the text and stand-ins; whatever it says is
data, and it ends with the first case that is not right.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

import hvlab
from hvlab.lab import booth
from hvlab.lab.answer import differences
from hvlab.lab.construct import one
from hvlab.lab.exercise import Construct, Spent

SECONDS: Final = 60.0  # that the other process may take, for all cases of one function; the engine's time is not its
GLANCE: Final = 0.1  # seconds between two looks at the clock
MOST_HELD: Final = 64  # things of a case that a function is given
MOST_CALLS: Final = 100_000  # of stand-ins, in one case
ROOT: Final = Path(hvlab.__file__).resolve().parent.parent


class Gone(BaseException):
    """The other process has ended, or says what is none of ours. Not an Exception: no case goes on after it."""


class Call:
    """A function in the other process, as the exercise calls it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._held: list[Any] = []
        self._taken, self._since = 0.0, 0.0  # seconds that were waited; when this wait began, or 0

    def taken(self) -> float:
        """Return the seconds that the other process has taken so far."""
        return self._taken + (monotonic() - self._since if self._since else 0.0)

    def end(self) -> None:
        """End the other process."""
        self._process.kill()

    def tell(self, message: Any) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise Gone from None

    def hear(self) -> dict[str, Any]:
        """Return the next message; anything but a short line of JSON ends the matter."""
        assert self._process.stdout is not None
        self._since = monotonic()
        line = self._process.stdout.readline(booth.LONGEST)
        self._taken, self._since = self.taken(), 0.0
        try:
            found = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            raise Gone from None
        if not isinstance(found, dict):
            raise Gone
        return found

    def __call__(self, *given: Any) -> Any:
        """Call the function: lists that it changes are changed here, too, as if they had been handed over."""
        self._held = []
        self.tell({"given": booth.packed(list(given), self._hold)})
        for _call in range(MOST_CALLS):
            message = self.hear()
            if "result" in message:
                return self._result(message, [part for part in given if type(part) is list])
            self._serve(message)
        raise Gone

    def _result(self, message: dict[str, Any], lists: list[Any]) -> Any:
        try:
            result, changed = booth.unpacked(message["result"]), booth.unpacked(message.get("lists"))
        except (booth.Odd, ValueError, TypeError, RecursionError):
            raise Gone from None
        if type(changed) is not list or len(changed) != len(lists) or any(type(part) is not list for part in changed):
            raise Gone
        for mine, its in zip(lists, changed, strict=True):
            mine[:] = its
        return result

    def _hold(self, what: Any) -> dict[str, Any]:
        """Keep something here, and say what its stand-in has: public methods, plain values."""
        if len(self._held) >= MOST_HELD:
            raise Gone
        self._held.append(what)
        names = [] if callable(what) else [name for name in dir(what) if not name.startswith("_")]
        found = {name: getattr(what, name) for name in names}
        values = {name: value for name, value in found.items() if not callable(value)}
        told = {
            "number": len(self._held) - 1,
            "function": callable(what),
            "methods": [name for name, value in found.items() if callable(value)],
            "values": booth.packed(values),
        }
        return {"h": told}

    def _serve(self, message: dict[str, Any]) -> None:
        """Call what a stand-in stands for; its refusals travel, too."""
        try:
            what = self._held[message["call"]]
            name = message["method"]
            given, named = booth.unpacked(message["given"]), booth.unpacked(message["named"])
            if type(name) is not str or name.startswith("_") or type(given) is not list or type(named) is not dict:
                raise Gone
            method = getattr(what, name) if name else what
            if callable(what) == bool(name):
                raise Gone
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, booth.Odd, RecursionError):
            raise Gone from None
        try:
            value = booth.packed(method(*given, **named), self._hold)
        except Spent:
            raise
        except Exception as error:  # the stand-in refuses as the real thing does
            self.tell({"error": type(error).__name__, "says": str(error)[:200]})
        else:
            self.tell({"value": value})


@contextmanager
def started(text: str, name: str, seconds: float) -> Iterator[Call]:
    """Start the other process, and end it whatever comes."""
    words = [sys.executable, "-I", "-B", booth.__file__, str(ROOT)]
    own = {key: os.environ[key] for key in ("SYSTEMROOT",) if key in os.environ}
    own["OPENBLAS_NUM_THREADS"] = own["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="hvlab-mark-") as folder, subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, env=own,
        start_new_session=True,
    ) as process:  # fmt: skip
        call, over = Call(process), threading.Event()
        threading.Thread(target=watch, args=(call, over, seconds), daemon=True).start()
        try:
            call.tell({"text": text, "name": name})
            if call.hear() != {"ready": True}:
                raise Gone
            yield call
        finally:
            over.set()
            process.kill()
            for end in (process.stdin, process.stdout):
                if end is not None:
                    _closed(end)


def watch(call: Call, over: threading.Event, seconds: float) -> None:
    """End the other process when it has taken too long."""
    while not over.wait(GLANCE):
        if call.taken() > seconds:
            call.end()
            return


def _closed(end: Any) -> None:
    with suppress(OSError):
        end.close()


def passes(item: Construct, text: str, name: str, seed: int, seconds: float = SECONDS) -> bool:
    """Whether a function, given as text, is right in every case of a seed."""
    try:
        with started(text, name, seconds) as call:
            for k in range(item.cases):
                world = item.case(seed, k)
                answer, why = one(item, call, world)
                if why or answer is None or differences(item.shape, answer, item.truth(world)):
                    return False
    except Gone:
        return False
    return True
