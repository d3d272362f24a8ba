"""What a learner waits for: the first compilation, a warm start, one call; and whether a long study keeps memory."""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.clock import Row, at_most, measured
from benchmarks.world import pattern
from hvlab.hardware import processor

COLD = """
from hvlab.machine import warm_parts
print(warm_parts())
"""
PICTURE = """
import time
from hvlab.hypervisor import clockwork
from hvlab.machine import Machine
machine = Machine(scheduler="core", smt=True)
for name in ("web", "db"):
    machine.work(machine.child(name, vps=2).vp, 30_000, 20_000)
trace = machine.run(2_000_000)
assert len(trace) > 100 and not clockwork.is_ready(clockwork.turn)
print({"cpu": time.process_time()})
"""
STORY = """
import time
import hvlab
machine = hvlab.Machine()
guest = machine.child("web")
guest.enable_paging({0x7F12_3456_7000: 0x5000}, root_gpn=16)
step = machine.translate(guest.vp, 0x7F12_3456_7ABC)
player = hvlab.show(step)
assert step.ok and player is not None
print({"cpu": time.process_time()})
"""
STREAM = """
import resource, sys, time
import numpy as np
from hvlab.hardware.bare import SILENT
from benchmarks.world import pattern
from hvlab.hardware import processor
world, slices = pattern("Zipf 1.2", 1 << 20), int(sys.argv[1])
state, mem, fault, spa = world.copy()
gva, begun, first = world.gva, time.process_time(), 0
for k in range(slices + 1):
    if k == 1:  # the first slice brought in code and pages
        begun, first = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert processor.run(state, mem, SILENT, 0, gva, world.access, fault, spa) == len(gva)
last = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert int(state["count"]["accesses"][0]) == (slices + 1) * len(gva)
print({"cpu": time.process_time() - begun, "growth": (last - first) / 1024})
"""


def fresh(script: str, *words: str, cache: Path | None = None) -> Any:
    """Run a script in a process of its own and return the dictionary that it printed last."""
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
    where = {**os.environ, "PYTHONPATH": path, **({"NUMBA_CACHE_DIR": str(cache)} if cache else {})}
    done = subprocess.run([sys.executable, "-c", script, *words], env=where, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"a benchmark's own process failed:\n{done.stderr[-2000:]}")
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def cold_and_warm(times: int) -> Iterator[Row]:
    """Yield the CPU seconds of a first compilation and of a warm start, and the size of the cache between them."""
    cold, warm, sizes, untouched = list[dict[str, float]](), [], [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="hvlab-bench-") as folder:
            untouched.append(fresh(PICTURE, cache=Path(folder) / "another")["cpu"])
            shutil.rmtree(Path(folder) / "another")
            cold.append(fresh(COLD, cache=Path(folder)))
            fresh(STORY, cache=Path(folder))  # the libraries' own files are read once
            warm.append(fresh(STORY, cache=Path(folder))["cpu"])
            sizes.append(sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 2**20)
    whole = [sum(parts.values()) for parts in cold]
    yield at_most("engine, cold compile, CPU s", whole, 6.0, "empty cache, fresh process")
    for part in cold[0]:
        yield measured(f"engine, cold compile: {part}, CPU s", [parts[part] for parts in cold])
    yield measured("cold import hvlab to the scheduler's first picture, CPU s, the walker's compile in it", untouched)
    yield at_most(
        "warm import hvlab to the first story, CPU s",
        warm,
        1.5,
        "with the interpreter's start",
    )
    yield at_most("cache of the compiled engine, MiB", sizes, 2.0)


def one_call(calls: int, times: int) -> Row:
    """Return the CPU time of one translation called from Python, rows recorded."""
    world = pattern("hot 32 pages", 1024)
    state, mem, fault, spa = world.copy()
    trace, taken = np.zeros((256, 10), np.int64), []
    words = [array[:1].copy() for array in (world.gva, world.access, fault, spa)]
    for _ in range(times):
        begun = process_time()
        for _ in range(calls):
            state["rows"] = 0
            processor.run(state, mem, trace, 0, *words)
        taken.append((process_time() - begun) / calls * 1e6)
    assert int(state["rows"][0]) > 0
    return at_most("one translation from Python, recorded, us", taken, 1.5)


def stream(slices: int) -> Iterator[Row]:
    """Yield growth and CPU time of a long silent study: slices of 1,048,576 accesses."""
    seen, name = fresh(STREAM, str(slices)), f"{slices} Mi Zipf accesses streamed"
    yield at_most(f"{name}, resident growth, MiB", [seen["growth"]], 1.0)
    yield at_most(f"{name}, CPU s", [seen["cpu"]], 3.0 * slices / 100)


def everything(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the rows of this module that are wanted."""
    if wanted("start: cold compile, warm story, cache"):
        yield from cold_and_warm(1 if quick else 3)
    if wanted("one translation from Python"):
        yield one_call(5_000 if quick else 50_000, 3 if quick else 7)
    if wanted("accesses streamed"):
        yield from stream(4 if quick else 100)
