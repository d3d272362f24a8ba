"""The engine's one entry point: one step and many are the same, and it refuses what is not there."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hardware.guest import GVA, Guest
from model.paging import FETCH, READ, USER, WRITE

from hvlab.errors import BadRequest
from hvlab.hardware import processor
from hvlab.hardware.bare import SILENT
from hvlab.hardware.processor import WORST_STEP
from hvlab.hardware.tlb import Geometry
from hvlab.trace.journal import Trace


def stream(guest: Guest, trace, begin: int = 0, count: int = 60) -> int:
    """Run the accesses from `begin` on; return how many were done."""
    rng = np.random.default_rng(5)
    gva = GVA + (rng.integers(0, 8, count) << 12) + (rng.integers(0, 4, count) << 30)
    access = rng.choice([READ, WRITE, FETCH, USER], count)
    guest.rig.state["rows"] = 0
    fault, spa = np.zeros((2, count - begin), np.int64)
    return processor.run(guest.rig.state, guest.rig.mem, trace, 0, gva[begin:], access[begin:], fault, spa)


def test_a_run_stops_before_the_trace_is_full_and_goes_on_without_a_lost_row():
    one, parts = Guest("ept", geometry=Geometry()), Guest("ept", geometry=Geometry())
    long, short = np.zeros((4096, 10), np.int64), np.zeros((int(WORST_STEP) + 40, 10), np.int64)
    stream(one, long)

    done, pieces, told = 0, 0, Trace(long[:0])
    while done < 60:
        done += stream(parts, short, done)
        told += Trace(short[: int(parts.rig.state["rows"][0])])
        pieces += 1

    assert pieces > 3
    assert told.digest() == Trace(long[: int(one.rig.state["rows"][0])]).digest()
    assert parts.rig.mem.tobytes() == one.rig.mem.tobytes()
    assert parts.rig.state["lp"].tobytes() == one.rig.state["lp"].tobytes()
    assert int(parts.rig.state["steps"][0]) == 60


def test_a_trace_that_is_too_short_is_said_instead_of_left_empty():
    guest = Guest()

    with pytest.raises(BadRequest, match="2 accesses in a trace of 200 rows"):
        guest.rig.bare.run([GVA, GVA], READ, trace=np.zeros((200, 10), np.int64))


@pytest.mark.parametrize("vp", [-1, processor.VPS])
def test_a_vp_that_is_not_there_is_refused_before_anything_happens(vp):
    guest = Guest()
    before = guest.rig.state.tobytes()
    one = np.zeros(1, np.int64)

    done = processor.run(guest.rig.state, guest.rig.mem, SILENT, vp, one, one, one.copy(), one.copy())

    assert done == -1
    assert guest.rig.state.tobytes() == before


def test_a_vp_on_a_processor_that_is_not_there_is_refused():
    guest = Guest()
    guest.set(lp=processor.LPS)
    one = np.zeros((4, 1), np.int64)

    assert processor.run(guest.rig.state, guest.rig.mem, SILENT, 0, *one) == -1


@pytest.mark.compiled
def test_the_kernel_is_compiled_once():
    stream(Guest(), np.zeros((4096, 10), np.int64))
    Guest("npt", 5, geometry=Geometry()).ends(READ, WRITE)

    assert len(processor.run.signatures) == 1


def digest_of_a_stream() -> str:
    """Return what a stream leaves behind: state, memory and trace."""
    key = hashlib.sha256()
    for kind in ("none", "ept", "npt"):
        guest, trace = Guest(kind, geometry=Geometry(l1_sets=1, l1_ways=2)), np.zeros((4096, 10), np.int64)
        stream(guest, trace)
        for part in (guest.rig.state, guest.rig.mem, trace):
            key.update(part.tobytes())
    return key.hexdigest()


TESTS = Path(__file__).resolve().parents[1]
WHERE = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
PLAINLY = """
import hvlab.kernel as kernel
{}
from hardware.test_run import digest_of_a_stream
from hvlab.hardware.processor import run
assert not any(run.targetoptions.get(switch) for switch in ("forceinline", "boundscheck", "nogil"))
print(digest_of_a_stream())
"""


@pytest.mark.compiled
@pytest.mark.parametrize(
    "before",
    ["kernel.SWITCHES.clear()", "kernel.SWITCHES.clear(); kernel.PART.clear(); kernel.WHOLE.clear()"],
    ids=["numba's own switches", "numba's own way to compile"],
)
def test_how_it_is_compiled_changes_no_byte(before):
    plainly = subprocess.run(
        [sys.executable, "-c", PLAINLY.format(before)], cwd=TESTS, env=WHERE, capture_output=True, text=True, check=True
    )

    assert plainly.stdout.split()[-1] == digest_of_a_stream()
