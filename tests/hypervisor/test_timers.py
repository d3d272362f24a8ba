"""Synthetic timers, reference time and the reference TSC page; sequences of kvm-unit-tests x86/hyperv_stimer.c."""

import pytest
from invariants import hold

from hvlab.hypervisor import synic_ops
from hvlab.wire.synic import ReferenceTscPage, StimerConfig, TimerPayload
from hvlab.wire.tlfs import MessageType, Msr
from hypervisor.desk import PAGE, VECTOR, Desk

MS = 10_000  # units of 100 ns


@pytest.fixture
def desk():
    return Desk()


def config(desk, timer=0, vp=0, **fields):
    value = StimerConfig.encode(**({"sint": 2} | fields))
    assert desk.vps[vp].wrmsr(Msr.STIMER0_CONFIG + 2 * timer, value) is None


def count(desk, value, timer=0, vp=0):
    assert desk.vps[vp].wrmsr(Msr.STIMER0_COUNT + 2 * timer, value) is None


def enabled(desk, timer=0):
    return StimerConfig.decode(desk.vps[0].rdmsr(Msr.STIMER0_CONFIG + 2 * timer)).enable


def read(desk):
    """Take a timer's message and write EOM if more wait; return its payload or None."""
    header, payload = desk.slot()
    if header.type != MessageType.TIMER_EXPIRED:
        return None
    if desk.take():
        desk.eom()
    return TimerPayload.decode(payload)


def test_a_one_shot_timer_sends_one_message_at_its_time_and_is_disabled(desk):
    due = desk.age() + MS
    count(desk, due)
    config(desk, enable=1)

    desk.wait(MS // 2)
    assert read(desk) is None and enabled(desk)
    desk.wait(MS)

    message = read(desk)
    assert (message.timer, message.expiration) == (0, due) and message.delivery >= due
    assert not enabled(desk)
    desk.wait(3 * MS)
    assert read(desk) is None and desk.raised() == 1


def test_the_message_is_never_there_before_its_time(desk):
    due = desk.age() + MS
    count(desk, due)
    config(desk, enable=1)
    with desk.hv.action():
        desk.hv.turn((), until=int(desk.hv.state["partition"]["born"][0, 2]) + due * 100 - 1)
    assert desk.slot()[0].type == 0

    with desk.hv.action():
        desk.hv.turn((), until=int(desk.hv.state["now"][0]) + 1)

    assert read(desk).expiration == due


def test_an_auto_enabled_timer_starts_when_its_count_is_written(desk):
    config(desk, auto_enable=1)
    assert not enabled(desk)

    count(desk, desk.age() + MS)

    assert enabled(desk)
    desk.wait(2 * MS)
    assert read(desk).timer == 0


def test_a_periodic_timer_expires_on_its_grid_until_it_is_stopped(desk):
    count(desk, MS)
    config(desk, enable=1, periodic=1)
    times = []
    for _ in range(10):
        desk.wait(MS)
        message = read(desk)
        if message:
            times.append(message.expiration)

    assert len(times) >= 9 and {late - early for early, late in zip(times, times[1:], strict=False)} == {MS}
    config(desk)
    desk.wait(3 * MS)
    assert read(desk) is None


def test_two_periodic_timers_of_one_processor_do_not_disturb_each_other(desk):
    for timer, period in ((0, MS), (1, MS // 4)):
        count(desk, period, timer)
        config(desk, timer, enable=1, periodic=1)
    fired = [0, 0]
    for _ in range(64):
        desk.wait(MS // 8)
        while message := read(desk):
            fired[message.timer] += 1

    assert fired[0] in (7, 8) and fired[1] in range(30, 33)


def test_a_timer_whose_slot_is_busy_waits_and_arrives_when_it_is_free(desk):
    desk.wire(4)
    desk.post(4, b"in the way")
    count(desk, desk.age() + MS)
    config(desk, enable=1)
    desk.wait(2 * MS)
    header, payload = desk.slot()
    assert (payload, header.flags, desk.raised()) == (b"in the way", 1, 1)

    desk.free()
    desk.eom()

    message = read(desk)
    assert message.timer == 0 and message.delivery > message.expiration
    assert desk.raised() == 2
    hold(desk.machine)


def test_a_timer_in_direct_mode_raises_its_vector_without_a_message(desk):
    count(desk, desk.age() + MS)
    config(desk, enable=1, direct=1, vector=0xEC, sint=0)

    desk.wait(2 * MS)

    assert desk.slot()[0].type == 0
    assert desk.accept() == 0xEC


def test_a_timer_that_is_not_direct_cannot_run_on_sint_0(desk):
    count(desk, desk.age() + MS)
    config(desk, enable=1, sint=0)

    assert not enabled(desk)
    desk.wait(2 * MS)
    assert desk.raised() == 0


def test_a_time_that_has_passed_expires_at_once(desk):
    count(desk, 1)
    config(desk, enable=1)

    assert read(desk).expiration == 1
    assert not enabled(desk)


def test_a_count_of_zero_stops_a_timer(desk):
    config(desk, auto_enable=1)
    count(desk, desk.age() + MS)
    count(desk, 0)

    assert not enabled(desk)
    desk.wait(2 * MS)
    assert read(desk) is None


def test_a_new_count_moves_the_expiry(desk):
    config(desk, auto_enable=1)
    count(desk, desk.age() + MS)
    count(desk, desk.age() + 5 * MS)

    desk.wait(3 * MS)
    assert read(desk) is None
    desk.wait(3 * MS)
    assert read(desk).timer == 0


def test_stopping_a_timer_forgets_its_message_that_waits(desk):
    desk.wire(4)
    desk.post(4, b"in the way")
    count(desk, desk.age() + MS)
    config(desk, enable=1)
    desk.wait(2 * MS)

    count(desk, 0)

    desk.free()
    desk.eom()
    assert desk.slot()[0].type == 0
    hold(desk.machine)


@pytest.mark.parametrize(("lazy", "expected"), [(0, 6), (1, 4)])
def test_missed_periods_are_made_up_for_unless_the_timer_is_lazy(desk, lazy, expected):
    desk.wire(4)
    desk.post(4, b"in the way")
    count(desk, MS)
    config(desk, enable=1, periodic=1, lazy=lazy)
    desk.wait(3 * MS + MS // 2)  # three expiries: one waits, two are skipped
    desk.free()
    desk.eom()
    fired = 1 if read(desk) else 0
    for _ in range(12):
        desk.wait(MS // 4)
        fired += bool(read(desk))

    assert fired == expected


def test_a_timer_without_synic_expires_in_vain(desk):
    desk.vps[0].wrmsr(Msr.SCONTROL, 0)
    count(desk, desk.age() + MS)
    config(desk, enable=1)

    desk.wait(2 * MS)

    assert "timer_lost" in desk.events
    assert desk.slot()[0].type == 0


def test_each_processor_has_four_timers_of_its_own(desk):
    for vp in (0, 1):
        for timer in range(4):
            count(desk, desk.age() + MS, timer, vp)
            config(desk, timer, vp, enable=1)

    desk.wait(3 * MS)

    for vp in (0, 1):
        seen = set()
        while desk.slot(vp)[0].type:
            seen.add(TimerPayload.decode(desk.slot(vp)[1]).timer)
            if desk.take(vp):
                desk.eom(vp)
        assert seen == {0, 1, 2, 3}
    hold(desk.machine)


def test_a_count_beyond_all_times_never_comes(desk):
    count(desk, (1 << 64) - 1)
    config(desk, enable=1)

    desk.wait(MS)

    assert enabled(desk) and desk.slot()[0].type == 0


def test_reserved_bits_of_a_configuration_are_a_protection_fault(desk):
    assert desk.vps[0].wrmsr(Msr.STIMER0_CONFIG, 1 << 13).kind == "#GP"
    assert desk.vps[0].wrmsr(Msr.STIMER0_CONFIG, 1 << 20).kind == "#GP"


def test_a_timer_interrupt_is_that_of_its_sint(desk):
    count(desk, desk.age() + MS)
    config(desk, enable=1)
    desk.wait(2 * MS)

    assert desk.accept() == VECTOR


# reference time ------------------------------------------------------------------------------------------------------


def test_reference_time_begins_with_the_partition_and_counts_units_of_100_ns(desk):
    young = desk.machine.child("young", memory=16 * PAGE)
    before = desk.age()
    desk.wait(1000)

    assert 1000 <= desk.age() - before <= 1000 + 20
    assert young.vp.rdmsr(Msr.TIME_REF_COUNT) < before + 1000
    assert desk.vps[0].wrmsr(Msr.TIME_REF_COUNT, 0).kind == "#GP"


@pytest.mark.parametrize("wait", [0, 1, 99, 12_345, 10**9])
def test_the_reference_tsc_page_tells_the_same_time_without_an_exit(desk, wait):
    vp = desk.vps[0]
    assert vp.wrmsr(Msr.REFERENCE_TSC, 40 << 12 | 1) is None
    with desk.hv.action():
        desk.hv.turn((), until=int(desk.hv.state["now"][0]) + wait)
    page = ReferenceTscPage.decode(vp.read_gpa(40 * PAGE, 24))
    offset = page.offset - (1 << 64) if page.offset >> 63 else page.offset

    computed, told = (vp.tsc * page.scale >> 64) + offset, vp.rdmsr(Msr.TIME_REF_COUNT)

    assert page.sequence == 1 and computed == told
    born = int(desk.hv.state["partition"]["born"][0, 2])
    assert vp.rdmsr(Msr.TSC_FREQUENCY) == 3_000_000_000 and born > 0
    hold(desk.machine)


def test_a_guest_cannot_write_the_reference_tsc_page(desk):
    desk.vps[0].wrmsr(Msr.REFERENCE_TSC, 40 << 12 | 1)

    assert desk.vps[0].write_gpa(40 * PAGE, bytes(8)).kind == "#GP"
    assert ReferenceTscPage.decode(desk.vps[0].read_gpa(40 * PAGE, 24)).sequence == 1


def test_ten_thousand_expiries_in_one_turn_are_told_in_order(desk):
    desk.machine.hv.recording = False
    count(desk, 10)
    config(desk, enable=1, periodic=1, direct=1, vector=0x80)
    before = desk.raised()

    desk.do(synic_ops.EOM, 0)
    desk.wait(100_000)

    assert desk.raised() - before in range(9_990, 10_011)
