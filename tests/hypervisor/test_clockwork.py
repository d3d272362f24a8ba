"""The event kernel: one step at a time or all at once, told or silent, compiled or plain, in any process: the same."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from hvlab.errors import BadRequest
from hvlab.hypervisor import clockwork, invariants, scheduler_invariants
from hvlab.hypervisor.clockwork import ACCEPT, DEVICE, EOI, HALT, RAISE, START, STOP, TICK
from hvlab.hypervisor.workload import BY_HAND, MODEL
from hvlab.kernel import plain
from hvlab.machine import Machine
from hvlab.trace.journal import Trace
from hypervisor.scene import MEM, Scene

SMALL, PAGES = 2 << 20, 64 * 4096
END = 400_000
NOT_OF_THE_RUN = ("rows",)


def scene(rows=0, kind="core"):
    made = Scene([1, 2, 2, 3], kind, rows=rows, slice=15_000, grain=1_000, period=60_000)
    made.knobs(2, cap=20_000)
    made.knobs(3, reserve=10_000, weight=300)
    return made


def busy(seed):
    """Return rows of work for four virtual processors, in the order of time."""
    deal = np.random.default_rng(seed)
    rows = [(0, START, vp, *work) for vp, work in enumerate([(0, 0, 700, MODEL), (-1, 0, 900, MODEL)])]
    rows += [(0, START, 2, 30_000, 5_000, 400, MODEL), (0, START, 3, 8_000, -1, 2_000, MODEL)]
    for time in np.sort(deal.integers(0, END, 60)).tolist():
        vector = int(deal.choice([0x31, 0x42, 0x51, 0x83, 0xF3]))
        rows.append((time, RAISE, int(deal.integers(4)), vector, 0, int(vector == 0xF3)))
        if deal.random() < 0.3:
            rows.append((time, DEVICE, 0, int(deal.integers(4)), 0x61))
    return rows


def kept(scene, causes=True):
    """Return the bytes of a state without what belongs to the recorder."""
    copy = scene.state.copy()
    for name in NOT_OF_THE_RUN:
        copy[name] = 0
    if not causes:
        copy["run"]["cause"] = copy["agenda"]["seat"]["cause"] = copy["news"]["row"] = 0
    return copy.tobytes()


# one step or ten million --------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=some.integers(0, 1 << 30), cuts=some.lists(some.integers(0, END), max_size=12))
def test_wherever_a_run_is_cut_the_trace_and_the_state_are_those_of_the_whole(seed, cuts):
    whole, parts, rows = scene(rows=12_000), scene(rows=12_000), busy(seed)

    answers = whole.work(*rows, until=END)
    pieces, begun = [], 0
    for cut in [*sorted(cuts), END]:
        mine = [row for row in rows[begun:] if row[0] <= cut]
        begun += len(mine)
        pieces += parts.work(*mine, until=cut)

    assert pieces == answers
    assert (parts.trace == whole.trace).all()
    assert kept(parts) == kept(whole)


def test_one_row_at_a_time_is_the_same_as_all_rows_at_once():
    whole, single, rows = scene(rows=12_000), scene(rows=12_000), busy(5)

    answers = whole.work(*rows)

    assert [single.work(row)[0] for row in rows] == answers
    assert (single.trace == whole.trace).all()
    assert kept(single) == kept(whole)


def test_told_or_silent_the_state_is_the_same():
    told, silent = scene(rows=12_000), scene()

    told.work(*busy(1), until=END)
    silent.work(*busy(1), until=END)

    assert int(told.state["rows"][0]) > 500
    assert kept(told, causes=False) == kept(silent, causes=False)


@pytest.mark.compiled
@pytest.mark.parametrize("kind", ["classic", "core"])
def test_compiled_or_plain_state_trace_and_answers_are_the_same(kind):
    sides = []
    for run in (clockwork.turn, plain(clockwork.turn)):
        side = scene(12_000, kind)
        work = np.zeros((len(busy(2)), clockwork.COLUMNS), np.int64)
        for k, row in enumerate(busy(2)):
            work[k, : len(row)] = row
        answer = np.zeros(len(work), np.int64)
        assert run(side.state, MEM, side.trace, work, answer, np.int64(END)) == len(work)
        sides.append((side.state.tobytes(), side.trace.tobytes(), answer.tolist()))

    assert sides[0] == sides[1]


PROCESS = """
import sys
sys.path.insert(0, {tests!r})
from hypervisor.test_clockwork import digest
print(digest())
"""


def digest():
    side = scene(rows=12_000)
    side.work(*busy(3), until=END)
    told = Trace(side.trace[: int(side.state["rows"][0])])
    return hashlib.sha256(kept(side) + told.digest().encode()).hexdigest()


def test_another_process_and_plain_python_come_to_the_same():
    here = Path(__file__).resolve().parent.parent
    found = {digest()}
    for plainly in ("0", "1"):
        path = os.pathsep.join([str(here.parent), os.environ.get("PYTHONPATH", "")])
        where = {**os.environ, "NUMBA_DISABLE_JIT": plainly, "PYTHONPATH": path, "PYTHONHASHSEED": plainly}
        script = PROCESS.format(tests=str(here))
        done = subprocess.run([sys.executable, "-c", script], env=where, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())

    assert len(found) == 1


@pytest.mark.compiled
def test_there_is_one_compiled_turn():
    scene().work((0, TICK, 0))
    none = np.zeros((0, 8), np.int64), np.zeros(0, np.int64)
    clockwork.turn(scene().state, MEM, np.zeros((0, 10), np.int64), *none, np.int64(0))

    assert len(clockwork.turn.signatures) == 1


# order --------------------------------------------------------------------------------------------------------------


def test_rows_of_one_moment_come_in_their_order_and_after_what_is_due_then():
    side = Scene([2], lps=1, rows=4_000)
    side.start(0, 10_000, pause=5_000)  # runs from 1,500 to 11,500, and again from 16,500 on

    answers = side.work((11_500, HALT, 0), (16_500, RAISE, 0, 0x51), (16_500, RAISE, 0, 0x51))

    assert answers == [0, 1, 1]  # it halted by itself before; it runs again and takes the first at once
    kinds = Trace(side.trace[: int(side.state["rows"][0])]).kinds()
    assert kinds.count("vp_halted") == 1
    assert kinds.index("burst_begun") < kinds.index("vector_raised")


def test_a_row_whose_time_has_passed_is_done_now_and_time_ends_where_it_is_told():
    side = Scene([2], lps=1)
    side.work(until=50_000)

    side.work((10, TICK, 0))
    assert side.now() == 50_000

    side.work((60_000, TICK, 0), until=55_000 + 45_000)
    assert side.now() == 100_000


def test_more_rows_than_the_trace_holds_stop_before_the_step_and_go_on_later():
    machine = Machine(memory=SMALL)
    child = machine.child("web", memory=PAGES, vps=2)
    for vp in child.vps:
        machine.work(vp, 3_000, 2_000)

    trace = machine.run(40_000_000)

    assert len(trace) > 16_384
    causes, kinds = trace.rows[:, 3], trace.kinds()
    assert (causes < np.arange(len(trace))).all() and (causes >= -1).all()
    scheduled = list(trace.of("vp_scheduled"))
    assert len(scheduled) > 4_000
    assert all(kinds[causes[k]] in ("vp_ready", "vp_descheduled") for k in scheduled if causes[k] >= 0)
    assert sum(causes[k] < 0 for k in scheduled) <= 2  # those that an earlier action asked for


# a machine ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine():
    return Machine(memory=SMALL, smt=True, scheduler="core", lps=4)


def test_software_in_python_takes_its_interrupt_and_ends_it(machine):
    got = []

    def handler(vector):
        got.append((vector, machine.root_vp.eoi()))

    machine.handle(machine.root_vp, handler)
    machine.device_interrupt(0x61)
    machine.device_interrupt(0x71, lp=3)

    assert got == [(0x61, 0x61), (0x71, 0x71)]


def test_a_handler_that_raises_another_interrupt_gets_that_one_next(machine):
    got = []

    def handler(vector):
        got.append(vector)
        machine.root_vp.eoi()
        if vector == 0x61:
            machine.device_interrupt(0x51)

    machine.handle(machine.root_vp, handler)
    machine.device_interrupt(0x61)

    assert got == [0x61, 0x51]


def test_the_root_scheduler_asks_the_root_and_runs_whom_it_names():
    machine = Machine(memory=SMALL, scheduler="root", lps=2)
    child, asked = machine.child("web", memory=PAGES), []

    def chooser():
        asked.append(int(machine.state["now"][0]))
        return [(0, clockwork.DISPATCH, child.vp.number, 1, 20_000)]

    machine.schedule_by(chooser)
    machine.work(child.vp, 5_000, 10_000)
    trace = machine.run(100_000)

    assert len(asked) > 4
    assert {trace.fact(k, "lp") for k in trace.of("vp_scheduled")} == {1}
    assert len(list(trace.of("root_signalled"))) == len(list(trace.of("vp_dispatched")))


def test_left_to_itself_the_root_lets_each_waiting_child_run_in_turn():
    machine = Machine(memory=SMALL, scheduler="root", lps=2)
    machine.time_slice = 20_000
    children = [machine.child(name, memory=PAGES) for name in ("one", "two", "three")]
    for child in children:
        machine.work(child.vp, -1)

    machine.run(3_000_000)

    ran = [machine.times(child.vp).ran for child in children]
    assert min(ran) > 0.9 * max(ran) and sum(ran) > 0.9 * 2 * 3_000_000


def test_shares_of_a_child_show_in_its_times(machine):
    one, other = machine.child("one", memory=PAGES), machine.child("other", memory=PAGES)
    machine.time_slice = 20_000
    one.share(weight=300, affinity=[0])
    other.share(affinity=[0])
    for child in (one, other):
        machine.work(child.vp, -1)

    machine.study_time(5_000_000)

    ours, theirs = machine.times(one.vp), machine.times(other.vp)
    assert ours.ran / theirs.ran == pytest.approx(3, rel=0.05)
    assert ours.total == theirs.total == 5_000_000
    assert theirs.steal > ours.steal > 0
    assert scheduler_invariants.check_all(machine) == []


def test_a_child_that_is_destroyed_leaves_the_processors_and_the_agenda(machine):
    child = machine.child("web", memory=PAGES, vps=2)
    machine.work(child.vps[0], -1)
    machine.work(child.vps[1], 1_000, 50_000)
    machine.run(20_000)

    child.destroy()
    trace = machine.run(1_000_000)

    assert len(trace) == 0
    assert not machine.state["lane"]["vp"].any() and machine.state["agenda"]["size"][0] == 0
    assert invariants.check_all(machine) == [] and scheduler_invariants.check_all(machine) == []


def test_one_that_moves_to_another_processor_meets_no_stale_translation():
    machine = Machine(memory=SMALL, lps=2)
    child = machine.child("web", memory=PAGES)
    child.enable_paging({0x5000: 0x5000}, root_gpn=16)
    child.share(affinity=[0])
    machine.work(child.vp, -1, takes="by hand")
    child.read(0x5000)
    child.share(affinity=[1])
    machine.turn([(0, STOP, child.vp.number), (0, START, child.vp.number, -1, 0, 0, BY_HAND)])
    child.read(0x5000)

    child.vp.write_gpa(19 * 4096 + 5 * 8, b"\0" * 8)  # its level-1 entry, not present from now on
    child.vp.invlpg(0x5000)
    child.share(affinity=[0])
    machine.turn([(0, STOP, child.vp.number), (0, START, child.vp.number, -1, 0, 0, BY_HAND)])

    assert child.read(0x5000).kind == "#PF"


def test_a_snapshot_goes_back_to_the_very_same_future(machine):
    child = machine.child("web", memory=PAGES, vps=2)
    for vp in child.vps:
        machine.work(vp, 3_000, 2_000)
    machine.run(30_000)
    before = machine.snapshot()

    first = machine.run(200_000)
    machine.restore(before)

    assert machine.run(200_000).digest() == first.digest()


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": 0},
        {"weight": 10_001},
        {"cap": 0},
        {"cap": 1.5},
        {"reserve": 0.5, "cap": 0.25},
        {"affinity": []},
        {"affinity": [9]},
    ],
)
def test_shares_that_make_no_sense_are_refused_and_change_nothing(machine, wrong):
    child = machine.child("web", memory=PAGES)
    before = machine.state["run"].tobytes()

    with pytest.raises(BadRequest):
        child.share(**wrong)

    assert machine.state["run"].tobytes() == before


def test_reserves_cannot_promise_more_processors_than_there_are():
    machine = Machine(memory=SMALL, lps=1)
    machine.child("one", memory=PAGES).share(reserve=0.75)

    with pytest.raises(BadRequest):
        machine.child("other", memory=PAGES).share(reserve=0.5)


def test_the_scheduler_is_chosen_by_name_and_before_anybody_runs(machine):
    with pytest.raises(BadRequest):
        Machine(memory=SMALL, scheduler="fair")
    machine.work(machine.root_vp, -1, takes="by hand")

    assert machine.turn([(0, RAISE, 0, 0x51), (0, ACCEPT, 0), (0, EOI, 0)]).tolist() == [1, 0x51, 0x51]
