"""Compiled functions: the only module that knows numba's switches.

With ``NUMBA_DISABLE_JIT=1`` every kernel is the plain Python that stands in the source: for tests, debuggers and
coverage.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

I = np.int64  # noqa: E741  the one integer of the engine, one letter because kernels are read more often than this
PLAIN = bool(numba.config.DISABLE_JIT)
# `_nrt=False` forbids allocation and the reference counting that made the same code six times slower;
# `boundscheck` is a net below our own checks: without it a wrong write killed the process.
SWITCHES: dict[str, bool] = {"nogil": True, "boundscheck": True, "_nrt": False}

COMPILED = ("wire", "trace", "hardware", "hypervisor")  # the packages whose sources compiled code depends on
OURS = re.compile("[0-9a-f]{16}")  # the name of a cache folder
F = TypeVar("F", bound=Callable[..., Any])


def _folder() -> str | None:
    """Return this user's own cache folder for exactly these sources and switches; None where nothing can be written.

    numba's own key does not see an edited callee in another module, nor these switches: hence the salt.
    """
    key = hashlib.sha256(repr((SWITCHES, numba.__version__, numba.config.OPT, numba.config.DEBUGINFO_DEFAULT)).encode())
    for path in compiled_sources():
        key.update(path.read_bytes())
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_root() / key.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=folder).close()
        return str(folder)
    return None


def compiled_sources() -> list[Path]:
    """Return every source that compiled code is made of: this one, and the packages that hold kernels and constants."""
    house = Path(__file__).parent
    return [Path(__file__), *(path for box in COMPILED for path in sorted((house / box).rglob("*.py")))]


def cache_root() -> Path:
    """Return the folder that holds one cache folder for each version of the sources."""
    return Path(os.environ.get("NUMBA_CACHE_DIR") or Path.home() / ".cache" / "hvlab")


FOLDER = None if PLAIN else _folder()


def sweep(days: float = 7.0) -> list[str]:
    """Delete the cache folders of other sources that nobody warmed for some days, and return their names.

    Only folders that bear one of our names go: an environment of hvlab may live beside them.
    """
    if FOLDER is None:
        return []
    os.utime(FOLDER)  # in use
    gone = []
    for folder in Path(FOLDER).parent.iterdir():
        old = OURS.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink()
        if old and time.time() - folder.stat().st_mtime > days * 86400:
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder.name)
    return sorted(gone)


def _seen(function: F, **switches: Any) -> F:
    """Let numba see an object of its own where Python sees the function: one compilation for all callers of a kind.

    The way of `register_jitable` compiles again for callers with other switches, a third of the event kernel twice.
    """
    if not PLAIN:
        made: Any = numba.njit(no_cfunc_wrapper=True, no_cpython_wrapper=True, **SWITCHES, **switches)(function)
        function.__dict__.update(_numba_type_=made._numba_type_, made=made)  # the type knows it by a weak reference
    return function


def kernel(function: F) -> F:
    """Let compiled code call a function of records, arrays and numbers: it becomes a part of each entry point.

    Called from Python it stays the Python that it is. A way in from Python would need one more copy of all that it
    calls, compiled again.
    """
    return _seen(function, forceinline=True)


def routine(function: F) -> F:
    """Let compiled code call a function that is called from many places: it is there once, unless it is small.

    `kernel` is for what runs at every access; a tree of calls in which each one is a copy grows with each level.
    """
    return _seen(function, forceinline=False)


def merged(function: F) -> F:
    """Let the source of a function become a part of its caller, before types are known; Python may call it, too.

    numba looks for attributes of its own kind of function; with them, ours need not become one, which would be compiled
    as soon as Python calls it.
    """
    if not PLAIN:
        made: Any = numba.njit(inline="always")(function)
        function.__dict__.update(targetoptions=made.targetoptions, py_func=function, _numba_type_=made._numba_type_)
        function.__dict__["made"] = made  # the type knows it by a weak reference
    return function


def entry_point(function: F) -> F:
    """Compile a function that Python calls, with every kernel that it uses, into the engine's own cache folder."""
    saved, numba.config.CACHE_DIR = numba.config.CACHE_DIR, FOLDER or ""
    try:
        compiled: F = numba.njit(cache=FOLDER is not None, no_cfunc_wrapper=True, **SWITCHES)(function)
    finally:
        numba.config.CACHE_DIR = saved  # the user's own numba code keeps its own folder
    return compiled


def is_ready(compiled: Any) -> bool:
    """Whether an entry point can be called without compiling it first."""
    if PLAIN or compiled.signatures:
        return True
    name = f"{compiled.py_func.__module__.rpartition('.')[2]}.{compiled.py_func.__qualname__}-*.nbi"
    return FOLDER is not None and any(Path(FOLDER).rglob(name))


def plain(compiled: Any) -> Any:
    """Return an entry point as the plain Python that it is."""
    return compiled if PLAIN else compiled.py_func


# What numba lacks, each with a plain twin, since an intrinsic cannot be called from plain Python.
@intrinsic
def _ctlz(context: Any, word: Any) -> Any:
    return types.int64(types.int64), lambda ctx, builder, sig, args: builder.ctlz(args[0], cgutils.false_bit)


def leading_zeros(word: Any) -> Any:
    """Return how many of the 64 bits above the highest set one are 0; 64 for no bit."""
    return I(64 - (int(word) & 2**64 - 1).bit_length())


@intrinsic(prefer_literal=True)
def _matches(context: Any, row: Any, count: Any, word: Any) -> Any:
    lanes = count.literal_value
    vector = ir.VectorType(ir.IntType(64), lanes)

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        words = builder.bitcast(ctx.make_array(row)(ctx, builder, args[0]).data, vector.as_pointer())
        wanted = ir.Constant(vector, ir.Undefined)
        for lane in range(lanes):
            wanted = builder.insert_element(wanted, args[2], ir.IntType(32)(lane))
        equal = builder.icmp_signed("==", builder.load(words, align=8), wanted)
        return builder.zext(builder.bitcast(equal, ir.IntType(lanes)), ir.IntType(64))

    return types.int64(row, count, types.int64), build


def _plain_matches(row: Any, count: int, word: Any) -> Any:
    return I(sum(1 << k for k in range(count) if row[k] == word))


if not PLAIN:
    # compiled code gets the instruction, Python calls the function above
    overload(leading_zeros, jit_options={**SWITCHES, "forceinline": True})(lambda word: lambda word: _ctlz(word))
# matches(row, count, word): bit k is set where row[k] == word. All at once, as the hardware compares the ways of a set;
# numba makes a chain of branches of the loop. NOT bounds-checked: `count` is a literal, the length of the row.
matches = _plain_matches if PLAIN else _matches
