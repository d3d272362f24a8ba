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
from collections.abc import Callable, Iterator
from functools import cache
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

OURS = re.compile("[0-9a-f]{16}")  # the name of a cache folder
IMPORT = re.compile(r"^[ \t]*(?:from (hvlab[\w.]*) import (?:\(([^)]*)\)|(.*))|import (hvlab[\w.]*))", re.M)
HOUSE = Path(__file__).parent.parent  # the folder that holds the package
F = TypeVar("F", bound=Callable[..., Any])
INSIDE = "0.68."  # the numba on whose inside `hvlab.compiler` leans


def _ways() -> tuple[dict[str, Any], dict[str, Any], Callable[[Any], Any], Callable[[], str]]:
    """Return how numba is to compile parts and entry points, what prepares an entry point, and why not (`own_way`).

    Another numba, or one that lacks what `hvlab.compiler` imports, goes its own way: slower to compile, the same code.
    """
    why = f"hvlab is made for the inside of numba {INSIDE}x"
    if numba.__version__.startswith(INSIDE):
        try:
            from hvlab import compiler

            whole, part = {"pipeline_class": compiler.Whole}, {"pipeline_class": compiler.Part}
            return part, whole, compiler.remembering, compiler.trouble
        except (ImportError, AttributeError, TypeError) as error:
            why = f"{type(error).__name__}: {error}"
    return {}, {}, lambda compiled: compiled, lambda: why


PART, WHOLE, prepared, own_way = _ways()  # own_way(): why numba goes its own way; an empty text if it does not


def _cache_root() -> Path | None:
    """Return where this user's cache folders stand, one for each set of sources; None where nothing can be written."""
    with contextlib.suppress(OSError, RuntimeError):
        root = Path(os.environ.get("NUMBA_CACHE_DIR") or Path.home() / ".cache" / "hvlab")
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=root).close()
        return root
    return None


CACHE = None if PLAIN else _cache_root()
LIVE: set[Path] = set()  # the folders of the entry points of this process


def _imported(text: str) -> Iterator[Path]:
    """Yield the files of hvlab that a source imports."""
    for home, bracketed, listed, whole in IMPORT.findall(text):
        words = re.sub("#.*", "", bracketed or listed).split(",")
        base = HOUSE.joinpath(*(home or whole).split("."))
        for word in words:
            name = base / (word.split() or ["."])[0]
            module = name if (name / "__init__.py").exists() or name.with_suffix(".py").exists() else base
            yield module / "__init__.py" if module.is_dir() else module.with_suffix(".py")


@cache
def compiled_sources(source: Path) -> tuple[Path, ...]:
    """Return every source that the entry points of one file are compiled from: it, and all of hvlab that it imports.

    The package of a module counts as imported, but for `hvlab` itself, which only passes names on when they are used.
    The numbers of events are constants in compiled code and depend on what was declared before; since each part of
    the catalogue imports the part before it, these are among the sources.
    """
    found, new = set[Path](), [source, Path(__file__)]
    while new:
        path = new.pop()
        if path not in found:
            found.add(path)
            new += _imported(path.read_text(encoding="utf-8"))
            new += [box / "__init__.py" for box in path.parents if HOUSE / "hvlab" in box.parents]
    return tuple(sorted(found))


def cache_folder(source: Path) -> Path | None:
    """Return the cache folder for exactly these sources and switches; None where nothing can be written.

    numba's own key does not see an edited callee in another module, nor these switches: hence the salt. A source that
    an entry point does not import leaves its folder as it is.
    """
    if CACHE is None:
        return None
    made_by = SWITCHES, sorted(PART | WHOLE), numba.__version__, numba.config.OPT, numba.config.DEBUGINFO_DEFAULT
    key = hashlib.sha256(repr(made_by).encode())
    for path in compiled_sources(source):
        key.update(path.read_bytes())
    with contextlib.suppress(OSError):
        folder = CACHE / key.hexdigest()[:16]
        folder.mkdir(exist_ok=True, mode=0o700)
        LIVE.add(folder)
        return folder
    return None


def sweep(days: float = 7.0) -> list[str]:
    """Delete the cache folders of other sources that nobody warmed for some days, and return their names.

    Only folders that bear one of our names go: an environment of hvlab may live beside them.
    """
    if CACHE is None:
        return []
    for folder in LIVE:
        os.utime(folder)  # in use
    gone = []
    for folder in CACHE.iterdir():
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
        silent = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}
        made: Any = numba.njit(**silent, **PART, **SWITCHES, **switches)(function)
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
    """Compile a function that Python calls, with every kernel that it uses, into a cache folder of its sources."""
    folder = cache_folder(Path(function.__code__.co_filename))
    saved, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder or "")
    try:
        compiled: F = numba.njit(cache=folder is not None, no_cfunc_wrapper=True, **WHOLE, **SWITCHES)(function)
    finally:
        numba.config.CACHE_DIR = saved  # the user's own numba code keeps its own folder
    return compiled if PLAIN else prepared(compiled)


def is_ready(compiled: Any) -> bool:
    """Whether an entry point can be called without compiling it first."""
    if PLAIN or compiled.overloads:
        return True
    name = f"{compiled.py_func.__module__.rpartition('.')[2]}.{compiled.py_func.__qualname__}-*.nbi"
    folder = cache_folder(Path(compiled.py_func.__code__.co_filename))
    return folder is not None and any(folder.rglob(name))


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


@intrinsic
def _memcpy(context: Any, target: Any, at: Any, source: Any, start: Any, count: Any) -> Any:
    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        into, out = (ctx.make_array(sig.args[k])(ctx, builder, args[k]) for k in (0, 2))
        cgutils.raw_memcpy(builder, builder.gep(into.data, [args[1]]), builder.gep(out.data, [args[3]]), args[4], 8)
        return ctx.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), build


def copy_words(target: Any, at: Any, source: Any, start: Any, count: Any) -> None:
    """Copy 64-bit words from one array to another. NOT bounds-checked: the caller checks both ranges."""
    target[at : at + count] = source[start : start + count]


def _compiled_copy(target: Any, at: Any, source: Any, start: Any, count: Any) -> Any:
    def copy(target: Any, at: Any, source: Any, start: Any, count: Any) -> None:
        _memcpy(target, at, source, start, count)

    return copy


if not PLAIN:
    # compiled code gets the instruction, Python calls the function above
    overload(copy_words, jit_options={**SWITCHES, "forceinline": True})(_compiled_copy)
    overload(leading_zeros, jit_options={**SWITCHES, "forceinline": True})(lambda word: lambda word: _ctlz(word))
# matches(row, count, word): bit k is set where row[k] == word. All at once, as the hardware compares the ways of a set;
# numba makes a chain of branches of the loop. NOT bounds-checked: `count` is a literal, the length of the row.
matches = _plain_matches if PLAIN else _matches
