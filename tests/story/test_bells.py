"""What a doorbell costs: the same packets under three rules, counted from what was recorded."""

import pytest

from hvlab.errors import BadRequest
from hvlab.lab.bus import bus
from hvlab.lab.doorbells import doorbells
from hvlab.story.bells import bells, price_of, prices


@pytest.fixture(scope="module")
def study():
    return doorbells()


def test_the_rule_decides_how_often_the_hypervisor_is_entered(study):
    always, empty, monitor = study.prices.rows

    assert always.packets == empty.packets == monitor.packets > 20
    assert always.entries == always.signals == always.packets and always.saved == 0
    assert 0 < empty.entries < always.entries and empty.entries + empty.saved == empty.packets
    assert monitor.entries == 0 and 0 < monitor.signals < empty.signals


def test_what_the_pictures_count_is_what_the_study_counts(study):
    for row, tally in zip(study.prices.rows, study.tallies.values(), strict=True):
        assert (row.packets, row.entries, row.longest) == (tally.packets, tally.entries, tally.longest)
        assert row.signals == tally.signals + tally.found and (row.deaf > 0) == (tally.throttled > 0)
        calls = [tally.run.trace.fact(k, "code") for k in tally.run.trace.of("hypercall_entered")]
        assert row.entries == calls.count(0x5D)


def test_a_monitored_packet_waits_up_to_the_latency_and_no_entry_is_made():
    patient, hasty = (doorbells(latency=latency).prices.rows[2] for latency in (100, 20))

    assert 90_000 < patient.longest < 110_000 and hasty.longest < 30_000
    assert patient.entries == hasty.entries == 0


def test_a_guest_that_rings_in_vain_is_not_listened_to_and_pays_with_waiting(study):
    always, empty, _monitor = study.prices.rows
    calm = doorbells(throttle=None).prices.rows[0]

    assert always.deaf > 0 and (empty.deaf, calm.deaf) == (0, 0)
    assert always.longest > 10 * empty.longest and always.longest > 10 * calm.longest


def test_each_packet_is_read_once_under_each_rule(study):
    for row in study.prices.rows:
        assert row.read == row.packets == len(row.waits)


def test_the_story_counts_as_the_table_does(study):
    story = study.story
    facts = story.state_at(len(story) - 1)

    for at, row in enumerate(study.prices.rows):
        assert [facts[f"{name}{at}"] for name in ("packets", "signals", "saved", "entries", "mean", "longest")] == [
            row.packets, row.signals, row.saved, row.entries, row.mean, row.longest,
        ]  # fmt: skip
        assert facts[f"there{at}"] == 0
    assert repr(study).splitlines()[1].split()[:5] == ["always", "24", "24", "0", "24"]


def test_nothing_is_shown_before_its_moment(study):
    story = study.story
    marks = [fact["name"] for fact in story.scene["facts"] if fact["name"][:1] == "b" and "_" in fact["name"]]

    shown = [sum(state[mark] for mark in marks) for state in story.states(0, len(story) - 1)]

    assert shown[0] == 1 and shown == sorted(shown) and shown[-1] == len(marks)
    times = story.columns["time"].tolist()
    assert times == sorted(times)


def test_only_packets_to_the_host_count():
    one = bus()
    for step in (one.connect, one.offers, one.open):
        step()

    assert price_of(one.reply(b"x", times=3)).packets == 0
    assert price_of(one.send(b"x", times=3)).packets == 3


def test_runs_with_other_packets_are_no_comparison(study):
    other = doorbells(seed=7, bursts=1)

    with pytest.raises(BadRequest, match="same packets"):
        bells({"a": study.tallies["always"], "b": other.tallies["empty"]})
    with pytest.raises(BadRequest, match="same packets"):
        prices({})
