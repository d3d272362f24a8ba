"""The C side: a header from the engine's own state type, one call of the compiler, one foreign function."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SOURCE = Path(__file__).with_name("walker.c")
RESERVED = ("switch", "default", "register", "static")  # words of C that name fields here get a line behind them
FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]


def structs(name: str, kind: np.dtype[Any], declared: dict[str, str]) -> str:
    """Add C declarations of a structured type, innermost first; return the name of the type.

    A nested field's type bears the field's name, with a line below it for each other type of that name before it.
    """
    lines = []
    for field, (inner, *_) in (kind.fields or {}).items():
        base, shape = inner.subdtype or (inner, ())
        if base.fields is not None:
            word = f"struct {structs(field, base, declared)}"
        else:
            assert base == np.int64, f"{name}.{field} is no 64-bit integer"
            word = "int64_t"
        called = f"{field}_" if field in RESERVED else field
        lines.append(f"    {word} {called}{''.join(f'[{size}]' for size in shape)};")
    return _declare(name, lines, declared)


def _declare(name: str, lines: list[str], declared: dict[str, str]) -> str:
    """Declare a structure under its name, or under a longer one if the name is taken by another."""
    text = "\n".join([f"struct {name} {{", *lines, "};"])
    return name if declared.setdefault(name, text) == text else _declare(f"{name}_", lines, declared)


def header(state: np.dtype[Any], name: str = "machine") -> str:
    """Return `state.h`: the machine's state, and how many processors it has room for; or another record."""
    there = state.names or ()
    rooms = {f"{word}S".upper(): state[word].shape[0] for word in ("vp", "lp") if word in there}
    declared: dict[str, str] = {}
    structs(name, state, declared)
    check = f'_Static_assert(sizeof(struct {name}) == {state.itemsize}, "the layout is not that of the engine");'
    lines = [*(f"#define {word} {size}" for word, size in rooms.items()), *declared.values(), check]
    return "\n".join(["#pragma once", *lines, ""])


def compiler() -> tuple[str, str]:
    """Return the C compiler that is there: its path, and the first line of what it says of itself."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        raise SystemExit("benchmarks: no C compiler (cc, gcc or clang) was found; on Debian: apt install gcc")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    return found, version.stdout.splitlines()[0]


def build(state: np.dtype[Any], source: Path, more: tuple[str, ...] = (), name: str = "machine") -> ctypes.CDLL:
    """Compile a C file against the machine's state type (or that of another record, by its name), and load it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "state.h").write_text(header(state, name))
        library = Path(folder) / "twin.so"
        subprocess.run([compiler()[0], *FLAGS, *more, f"-I{folder}", str(source), "-o", str(library)], check=True)
        return ctypes.CDLL(str(library))


class Walker:
    """The C model, called like the engine.

    Parameters
    ----------
    state : dtype
        The type of the machine's state.
    more : tuple of str
        Further flags for the compiler, for experiments.
    """

    def __init__(self, state: np.dtype[Any], more: tuple[str, ...] = ()) -> None:
        self._run = build(state, SOURCE, more).run
        self._run.restype = ctypes.c_int64
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self._run.argtypes = [pointer, pointer, number, *[pointer] * 4, number]

    def run(self, state: Any, mem: Any, gva: Any, access: Any, fault: Any, spa: Any) -> int:
        """Translate each address on VP 0; everything is as in the engine's `run`, without a trace."""
        arrays = [array.ctypes.data for array in (gva, access, fault, spa)]
        return int(self._run(state.ctypes.data, mem.ctypes.data, 0, *arrays, len(gva)))
