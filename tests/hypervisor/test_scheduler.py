"""Who runs where: three schedulers, shares, latency; a slow model agrees; all states of four VPs on two cores."""

import random

import pytest

from hvlab.hypervisor import clockwork, scheduler, scheduler_invariants
from hvlab.hypervisor.clockwork import DEVICE, DISPATCH, HALT, RAISE, STOP
from hvlab.hypervisor.shares import Times
from hvlab.trace.journal import Trace
from hypervisor.scene import Scene, expected, seen, twin

RUNNING, READY, HALTED = int(scheduler.RUNNING), int(scheduler.READY), int(scheduler.HALTED)
ENDLESS, MS = -1, 1_000_000


def share(scene, vp):
    return scene.books(vp)["ran"]


# weight, cap, reserve, affinity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [(100, 100), (100, 300), (1, 10_000)])
def test_time_is_divided_by_weight(one, other):
    scene = Scene([2, 3], lps=1, smt=False, slice=10_000, grain=1_000)
    scene.knobs(0, weight=one)
    scene.knobs(1, weight=other)
    for vp in (0, 1):
        scene.start(vp, ENDLESS)

    scene.work(until=40 * MS)

    assert share(scene, 0) * other == pytest.approx(share(scene, 1) * one, rel=0.02, abs=2 * 10_000 * max(one, other))


def test_a_cap_holds_though_nobody_else_wants_to_run():
    scene = Scene([2], lps=1, smt=False, period=100_000)
    scene.knobs(0, cap=65536 // 4)
    scene.start(0, ENDLESS)

    scene.work(until=10 * MS)

    assert share(scene, 0) == 2_500_000
    assert scene.books(0)["capped"] > 7 * MS
    assert scene.breaches() == []


def test_a_reserve_is_served_before_a_higher_weight():
    def worst(reserve):
        scene = Scene([2, 3], lps=1, smt=False, slice=50_000, grain=1_000, period=500_000)
        scene.knobs(0, weight=1, reserve=reserve)
        scene.knobs(1, weight=10_000)
        for vp in (0, 1):
            scene.start(vp, ENDLESS)
        scene.work(until=20 * MS)
        return share(scene, 0)

    assert worst(0) < MS
    assert worst(65536 // 2) >= 20 * MS // 2 * 0.95


def test_affinity_keeps_a_virtual_processor_where_it_may_run():
    scene = Scene([2, 2, 2], slice=10_000, grain=1_000)
    for vp in range(3):
        scene.knobs(vp, affinity=0b0100)
        scene.start(vp, ENDLESS)

    scene.work(until=MS)

    assert scene.on()[:2] == [-1, -1] and scene.on()[2] in (0, 1, 2) and scene.on()[3] == -1
    assert min(share(scene, vp) for vp in range(3)) > 200_000


# the three schedulers -----------------------------------------------------------------------------------------------


def test_the_classic_scheduler_mixes_partitions_on_one_core_and_the_core_scheduler_never_does():
    def mixed(kind):
        scene, seen_mixed = Scene([2, 2, 3, 3, 4], kind, lps=2, slice=10_000, grain=1_000), 0
        for vp in range(5):
            scene.start(vp, ENDLESS)
        for step in range(1, 200):
            scene.work(until=step * 5_000)
            partitions = {int(scene.state["guest"]["partition"][0, vp]) for vp in scene.on() if vp >= 0}
            seen_mixed += len(partitions) > 1
            assert scene.breaches() == []
        return seen_mixed

    assert mixed("core") == 0
    assert mixed("classic") > 50


def test_a_lone_virtual_processor_of_a_partition_leaves_the_other_thread_idle():
    scene = Scene([2, 3], "core", lps=2, slice=10_000)
    for vp in (0, 1):
        scene.start(vp, ENDLESS)

    scene.work(until=100_000)

    assert sorted(scene.on())[0] == -1
    assert share(scene, 0) + share(scene, 1) < 100_000


def test_under_the_root_scheduler_a_child_runs_when_the_root_says_so_and_for_as_long():
    scene = Scene([1, 2], "root", lps=2, smt=False, slice=50_000)
    scene.start(1, ENDLESS)
    assert scene.on() == [-1, -1]

    assert scene.work((0, DISPATCH, 1, 1, 7_000)) == [1]
    assert scene.on() == [-1, 1]

    scene.work(until=20_000)
    assert scene.on() == [-1, -1] and share(scene, 1) == 7_000
    assert scene.work((0, DISPATCH, 1, 9, 7_000), (0, DISPATCH, 0, 0, 7_000)) == [0, 0]


def test_only_the_root_scheduler_takes_orders():
    scene = Scene([1, 2], "classic", lps=1)
    scene.start(1, ENDLESS)

    assert scene.work((0, DISPATCH, 1, 0, 7_000)) == [0]


# interrupts ---------------------------------------------------------------------------------------------------------


def test_an_interrupt_for_one_that_halts_wakes_it_and_the_latency_is_the_switch_alone():
    scene = Scene([2], lps=1)
    scene.start(0, 0, handler=500)
    scene.work((10_000, RAISE, 0, 0x51))

    scene.work(until=20_000)

    r = scene.state["run"][0, 0]
    assert (int(r["wakes"]), int(r["latency"])) == (1, 1_500)
    assert share(scene, 0) == 500
    assert int(r["state"]) == HALTED


def test_an_interrupt_for_one_that_waits_stays_pending_until_it_runs():
    scene = Scene([2, 3], lps=1, smt=False, slice=10 * MS, grain=MS)
    scene.start(0, ENDLESS)
    scene.start(1, ENDLESS, handler=500)

    scene.work((50_000, RAISE, 1, 0x51), (60_000, RAISE, 1, 0x51))
    waiting = int(scene.state["apic"]["irr"][0, 1, 1])

    scene.work(until=11 * MS)

    assert waiting == 1 << 0x51 - 64
    assert int(scene.state["apic"]["irr"][0, 1, 1]) == 0
    assert int(scene.state["apic"]["count"]["delivered"][0, 1]) == 1
    assert int(scene.state["apic"]["count"]["coalesced"][0, 1]) == 1


def test_a_device_interrupt_makes_whoever_runs_leave_the_guest_and_its_owner_gets_it():
    scene = Scene([1, 2, 3], lps=2, smt=False)
    scene.start(1, ENDLESS)
    scene.start(2, ENDLESS)
    scene.start(0, 0, handler=500)
    scene.work(until=99_000)
    before = scene.books(1)["overhead"]

    scene.work((100_000, DEVICE, 0, scene.on().index(1), 0x61), until=101_000)

    assert scene.books(1)["overhead"] == before + 600
    assert int(scene.state["apic"]["irr"][0, 1].sum()) == int(scene.state["apic"]["irr"][0, 2].sum()) == 0
    assert int(scene.state["run"]["state"][0, 0]) in (READY, RUNNING)


def test_one_that_wakes_goes_before_one_that_is_far_ahead_and_not_before_one_that_is_not():
    def latency(grain):
        scene = Scene([2, 3], lps=1, smt=False, slice=10 * MS, grain=grain)
        scene.start(1, 0, handler=500)
        scene.start(0, ENDLESS)
        scene.work((5 * MS, RAISE, 1, 0x51), until=30 * MS)
        return int(scene.state["run"]["worst"][0, 1])

    assert latency(MS) == 1_500
    assert latency(20 * MS) > 4 * MS


def test_a_guest_does_not_halt_while_an_interrupt_waits():
    scene = Scene([2], lps=1)
    scene.work((0, clockwork.START, 0, ENDLESS, 0, 0, 0))

    answers = scene.work((10_000, RAISE, 0, 0x51), (10_000, HALT, 0), (10_000, clockwork.ACCEPT, 0), (10_000, HALT, 0))

    assert answers == [1, 0, 0x51, 1]
    assert scene.on() == [-1]


def test_a_higher_class_comes_between_and_the_lower_goes_on_afterwards():
    scene = Scene([2], lps=1, rows=2_000)
    scene.start(0, ENDLESS, handler=5_000)

    scene.work((10_000, RAISE, 0, 0x41), (11_500, RAISE, 0, 0x62), (11_600, RAISE, 0, 0x4F), until=40_000)

    trace = Trace(scene.trace[: int(scene.state["rows"][0])])
    order = [(trace.fact(k, "vector"), trace.fact(k, "depth")) for k in trace.of("handler_entered")]
    assert order == [(0x41, 1), (0x62, 2), (0x4F, 1)]


def test_stopping_one_takes_it_off_and_its_pause_does_not_bring_it_back():
    scene = Scene([2], lps=1)
    scene.start(0, 5_000, pause=5_000)
    scene.work(until=8_000)

    scene.work((8_000, STOP, 0), until=100_000)

    assert scene.on() == [-1]
    assert scene.books(0)["ran"] == 5_000
    assert scene.work((0, STOP, 0)) == [0]


@pytest.mark.parametrize("row", [(0, 77, 0), (0, RAISE, 8, 0x51), (0, RAISE, -1, 0x51), (0, DEVICE, 0, 9, 0x51)])
def test_what_does_not_exist_changes_nothing(row):
    scene = Scene([2], lps=1)
    scene.start(0, ENDLESS)
    before = scene.state["run"].tobytes(), scene.state["apic"].tobytes()

    scene.work(row)

    assert (scene.state["run"].tobytes(), scene.state["apic"].tobytes()) == before


def test_times_add_up():
    times = Times(ran=1, steal=2, halted=3, capped=4, overhead=5, wakes=6, mean_latency=7, worst_latency=8)

    assert times.total == 15


# against the slow model ---------------------------------------------------------------------------------------------

AFFINITIES = (0xFF, 0xFF, 0xFF, 1, 2, 3, 4)


def dealt(deal):
    """Deal a scene and its model."""
    kind, smt = deal.choice(["classic", "core", "core", "root"]), deal.random() < 0.8
    lps, count = deal.choice([1, 2, 3, 4, 4]), deal.randint(1, 8)
    partitions = [deal.randint(1, 3) for _ in range(count)]
    times = {"slice": deal.choice([5_000, 20_000, 100_000]), "grain": deal.choice([0, 1_000, 10_000])}
    scene = Scene(partitions, kind, smt, lps, period=deal.choice([50_000, 200_000]), **times)
    for vp in range(count):
        affinity = deal.choice(AFFINITIES)
        scene.knobs(
            vp,
            weight=deal.choice([50, 100, 100, 300, 7]),
            cap=deal.choice([65536, 65536, 20_000, 7_000]),
            reserve=deal.choice([0, 0, 0, 3_000, 20_000]),
            affinity=affinity if affinity & (1 << lps) - 1 else 0xFF,
        )
    return scene, twin(scene, partitions, kind, smt, lps)


def compare(scene, machine):
    assert scene.now() == machine.now
    assert scene.breaches() == []
    for vp in machine.vps:
        assert seen(scene, vp.number) == expected(machine, vp), f"VP {vp.number} at {machine.now} ns"


def pass_time(scene, machine, until):
    """Go to each moment at which something happens, and compare."""
    while (time := machine.next_time()) is not None and time <= until:
        machine.advance(max(time, machine.now))
        scene.work(until=machine.now)
        compare(scene, machine)
    machine.advance(until)
    scene.work(until=until)


def act(scene, machine, deal, lps):
    vp, lp, vector = deal.randrange(len(machine.vps)), deal.randrange(lps), deal.choice([0x31, 0x35, 0x41, 0x62, 0xF3])
    choice = deal.random()
    if choice < 0.5:
        scene.work((scene.now(), RAISE, vp, vector))
        machine.interrupt(vp, vector)
    elif choice < 0.7:
        scene.work((scene.now(), DEVICE, vp, lp, vector))
        machine.device(vp, lp, vector)
    elif choice < 0.9:
        time = deal.choice([1_000, 15_000])
        assert scene.work((scene.now(), DISPATCH, vp, lp, time)) == [machine.dispatch(vp, lp, time)]


@pytest.mark.parametrize("seed", range(16))
def test_the_slow_model_agrees_at_every_moment(seed):
    deal = random.Random(seed)
    scene, machine = dealt(deal)
    for vp in range(len(machine.vps)):
        work = deal.choice([0, ENDLESS, 3_000, 30_000, 777]), deal.choice([-1, 2_000, 50_000, 1])
        handler = deal.choice([0, 100, 900, 5_000])
        scene.start(vp, *work, handler)
        machine.start(vp, *work, handler)
    for _ in range(40):
        pass_time(scene, machine, scene.now() + deal.choice([0, 1, 500, 3_000, 20_000, 100_000]))
        act(scene, machine, deal, machine.processors)
        compare(scene, machine)


@pytest.mark.parametrize("kind", ["classic", "core"])
@pytest.mark.parametrize("seed", range(4))
def test_nobody_waits_for_ever(kind, seed):
    """Each endless guest that may run anywhere gets its turn within a slice of each of the others."""
    deal = random.Random(seed)
    count, slice_ = deal.randint(3, 8), 10_000
    scene = Scene([deal.randint(1, 4) for _ in range(count)], kind, lps=2, slice=slice_, grain=1_000)
    for vp in range(count):
        scene.start(vp, ENDLESS)
    ran = [0] * count
    for turn in range(1, 12):
        scene.work(until=turn * 2 * count * (slice_ + 3_000))
        now = [share(scene, vp) for vp in range(count)]
        assert all(after > before for after, before in zip(now, ran, strict=True))
        ran = now


# every state that four virtual processors on two cores can come to --------------------------------------------------


class Checker:
    """Four virtual processors of two partitions on two SMT cores; which of them is ahead may change at any time."""

    def __init__(self, kind="core"):
        self.scene = Scene([2, 2, 3, 3], kind, smt=True, lps=4, slice=1_000, grain=0)
        for name in ("exit", "entry", "switch", "inject"):
            self.scene.state["cost"][name] = 0
        for vp in range(4):
            self.scene.work((0, clockwork.START, vp, ENDLESS, 0, 0, 0))
        self.m = self.scene.state[0]

    def read(self):
        """Return the state: of each, where it is (-1 waits, -2 halts), and whether it is ahead."""
        run = self.m["run"][:4]
        return tuple(
            (int(r["lp"]) if r["state"] == RUNNING else -1 if r["state"] == READY else -2, int(r["vtime"])) for r in run
        )

    def write(self, state):
        m = self.m
        m["lane"]["vp"], m["lane"]["last"] = 0, 0
        m["scheduler"]["attention"] = m["scheduler"]["free"] = m["scheduler"]["floor"] = 0
        for vp, (where, ahead) in enumerate(state):
            r = m["run"][vp]
            r["state"] = {-1: READY, -2: HALTED}.get(where, RUNNING)
            r["lp"], r["last"], r["vtime"], r["woken"] = max(where, -1), -1, ahead, 0
            r["since"] = r["changed"] = m["now"]
            m["scheduler"]["ready"] = int(m["scheduler"]["ready"]) & ~(1 << vp) | (where == -1) << vp
            m["apic"]["irr"][vp] = 0
            if where >= 0:
                lane = m["lane"][where]
                lane["vp"] = lane["last"] = vp + 1
                lane["end"] = lane["slice_end"] = int(m["now"]) + 1_000

    def steps(self, state):
        """Yield what can happen next: one halts, one is woken, a slice ends, one gets ahead or is caught up with."""
        for vp, (where, ahead) in enumerate(state):
            yield ("ahead", vp, 1 - ahead)
            if where >= 0:
                yield ("halt", vp, 0)
                yield ("slice", vp, where)
            if where == -2:
                yield ("wake", vp, 0)

    def do(self, step):
        what, vp, value = step
        if what == "ahead":
            self.m["run"]["vtime"][vp] = value
        elif what == "halt":
            self.scene.work((0, HALT, vp))
        elif what == "wake":
            self.scene.work((0, RAISE, vp, 0x51))
        else:
            lanes = [value, value ^ 1] if self.m["scheduler"]["kind"] == scheduler.CORE else [value]
            for lp in lanes:  # siblings of a core share their slice
                self.m["lane"]["slice_end"][lp] = self.m["now"]
            self.m["lane"]["end"][value] = self.m["now"]
            self.scene.work()

    def breaches(self):
        checks = scheduler_invariants.check_siblings, scheduler_invariants.check_places
        checks += (scheduler_invariants.check_work_conserved,)
        return [sentence for check in checks for sentence in check(self.scene.hv)]

    def explore(self):
        """Return (states, steps, breaches) of all that can be reached."""
        first = self.read()
        known, todo, steps, broken = {first}, [first], 0, []
        while todo:
            state = todo.pop()
            for step in self.steps(state):
                self.write(state)
                self.do(step)
                steps += 1
                broken += self.breaches()
                after = self.read()
                if after not in known:
                    known.add(after)
                    todo.append(after)
        return len(known), steps, broken


@pytest.mark.compiled
def test_every_state_of_four_virtual_processors_on_two_cores_keeps_siblings_apart():
    states, steps, broken = Checker().explore()

    assert broken == []
    assert (states, steps) == (2_320, 22_912)


def test_the_check_of_siblings_sees_a_mixed_core():
    checker = Checker()
    checker.write(((0, 0), (-1, 0), (1, 0), (-1, 0)))

    assert any("I19" in sentence for sentence in checker.breaches())


def test_the_checks_see_what_they_are_for():
    def broken(what, check):
        scene = Scene([2, 3], lps=2, smt=False)
        for vp in (0, 1):
            scene.start(vp, ENDLESS)
        scene.work(until=50_000)
        assert check(scene.hv) == []
        what(scene.state[0])
        return check(scene.hv)

    def twice(m):
        m["lane"]["vp"][1] = m["lane"]["vp"][0]

    def elsewhere(m):
        m["run"]["affinity"][0] = 0b10

    def gone(m):
        m["guest"]["partition"][0] = 0

    def stolen(m):
        m["run"]["waited"][0] += 1

    def idle(m):
        m["run"]["state"][0], m["lane"]["vp"][0] = READY, 0

    def capped(m):
        m["run"]["cap"][0] = 1

    for what in (twice, elsewhere, gone):
        assert broken(what, scheduler_invariants.check_places)
    assert broken(stolen, scheduler_invariants.check_books)
    assert broken(idle, scheduler_invariants.check_work_conserved)
    assert broken(lambda m: (scheduler.account(m, m["run"][0]), capped(m)), scheduler_invariants.check_caps)
