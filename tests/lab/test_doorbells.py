"""The price of waking a reader: three rules on the same arrivals."""

import pytest

from hvlab.lab.bus import bus
from hvlab.lab.doorbells import arrivals, doorbells, under


def sent(tally):
    """Return the lengths of the packets that were read, in order."""
    trace = tally.run.trace
    return [trace.fact(k, "length") for k, name in enumerate(trace.kinds()) if name == "packet_read"]


@pytest.fixture(scope="module")
def tallies():
    return doorbells(seed=1, bursts=12, most=8, gap=50, throttle=None).tallies


def test_the_same_packets_arrive_under_each_rule(tallies):
    lengths = {rule: sent(tally) for rule, tally in tallies.items()}

    assert lengths["always"] == lengths["empty"] == lengths["monitor"]
    count = sum(len(sizes) for _, sizes in arrivals(1, 12))
    assert [tally.packets for tally in tallies.values()] == [count] * 3 and len(lengths["empty"]) == count


def test_always_enters_the_hypervisor_for_each_packet_empty_once_a_burst_and_monitor_never(tallies):
    assert tallies["always"].entries == tallies["always"].signals == tallies["always"].packets
    assert tallies["empty"].entries == tallies["empty"].signals == 12
    assert tallies["monitor"].entries == 0 < tallies["monitor"].triggers == tallies["monitor"].found < 12


def test_what_the_monitor_page_saves_is_paid_in_waiting(tallies):
    assert tallies["empty"].wait < tallies["always"].wait < tallies["monitor"].wait
    assert tallies["monitor"].longest >= 50_000
    assert tallies["monitor"].longest <= 100_000 + 5_000


def test_a_shorter_latency_lets_packets_wait_less():
    given = arrivals(2, 10)

    assert under("monitor", given, latency=20).longest < under("monitor", given, latency=200).longest


def test_a_host_that_throttles_stops_listening_to_the_chatty_guest_only():
    throttled = doorbells(seed=1, bursts=12, most=8, gap=50, throttle=(6, 1000)).tallies

    assert throttled["always"].throttled > 0 == throttled["empty"].throttled
    assert throttled["always"].longest > 500_000 > throttled["empty"].longest
    assert sent(throttled["always"]) == sent(throttled["empty"])


def test_a_trigger_stands_for_the_channel_that_the_offer_gave_it():
    one = bus(rule="monitor", devices=("net", "scsi"), latency=50)
    one.connect()
    one.offers()
    one.open("net")
    offer = one.channel("net").offer
    assert offer.monitor_allocated == 1 and offer.monitor_id == 1
    page = one.kernel.guest.monitor[2]
    assert one.web.vp.read_gpa(page + 0x240 + 2 * offer.monitor_id, 2) == (500).to_bytes(2, "little")
    one.send(b"noted")
    word = int.from_bytes(one.web.vp.read_gpa(page + 8, 8), "little")
    assert word >> offer.monitor_id & 1 and not one.end(host=True).inbox
    one.wait(49)
    assert not one.end(host=True).inbox
    one.wait(2)
    assert one.end(host=True).inbox and int.from_bytes(one.web.vp.read_gpa(page + 8, 8), "little") == 0
