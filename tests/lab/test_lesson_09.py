"""Lesson 09 as a learner runs it: part by part, twice, before and after the prediction."""

import os
import subprocess
import sys

import pytest

from hvlab.lab import predict as asking
from lab.lesson import Lesson
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

LESSON = Lesson("09-vmbus")
PARTS = [
    ("09-warm-up", "09-warm-up"), ("09-predict-messages", "09-pages-facts"), ("09-open", "09-open"),
    ("09-bytes", "09-bytes"), ("09-bit", "09-bit"), ("09-policies", "09-policies"),
    ("09-large", "09-large"),
    ("09-predict-full", "09-full-facts"), ("09-flood", "09-flood"), ("09-wrap", "09-wrap"),
    ("09-predict-masked", "09-masked-facts"),
    ("09-again", "09-again"), ("09-rule", "09-rule"), ("09-batch", "09-batch"), ("09-waits", "09-waits"),
    ("09-price", "09-price-facts"),
    ("09-version", "09-recorded"), ("09-replay", "09-replay"), ("09-sizes", "09-sizes"),
    ("09-lopsided", "09-lopsided"), ("09-own", "09-own"), ("09-predict-closed", "09-closed-facts"),
    ("09-W0", "09-W2"), ("09-E1-task", "09-E1"), ("09-E2-task", "09-E2"), ("09-E3-task", "09-E3"),
    ("09-X1-task", "09-X2"), ("09-left-out", "09-left-out"),
]  # fmt: skip
GATES = {
    "09.messages": ("09-contact", "09-offers", "09-pages", "09-pages-facts"),
    "09.full": ("09-full", "09-full-facts"),
    "09.masked": ("09-masked", "09-masked-facts"),
    "09.closed": ("09-closed", "09-closed-facts"),
}


@pytest.mark.parametrize("id", GATES)
def test_a_learner_who_has_not_answered_sees_no_fact(id, tmp_path, learning, capsys):
    LESSON.run(tmp_path, *GATES[id])

    assert capsys.readouterr().out == f"Answer {id} first, then run this cell again.\n"


def test_a_learner_who_fills_the_ring_or_rings_each_time_is_told_by_name(tmp_path, learning, capsys):
    asking.predict("09.full", 2, "sure")
    asking.predict("09.masked", 10)
    asking.predict("09.closed", 1)

    LESSON.run(tmp_path, *GATES["09.full"], *GATES["09.masked"], *GATES["09.closed"])

    said = capsys.readouterr().out
    assert "You said 2, sure. The ring holds 1 packet. full-is-equal:" in said
    assert "You said 10. The guest sent 0 signals. signal-every-write:" in said
    assert "You said 1. CLOSECHANNEL got 0 messages back. all-is-answered:" in said


def test_a_packet_of_hello_is_24_bytes_and_a_trailer_of_eight(tmp_path, capsys):
    LESSON.run(tmp_path, "09-bytes")

    first, second = capsys.readouterr().out.splitlines()
    assert first == "06 00 02 00 03 00 00 00" + " 00" * 8 + " 68 65 6c 6c 6f 00 00 00" + " 00" * 8
    assert second == "PacketDescriptor(type=6, offset8=2, length8=3)"


def test_a_length_that_lies_is_refused_by_two_policies_and_cut_by_linux(tmp_path, capsys):
    LESSON.run(tmp_path, "09-policies")

    first, second, third = capsys.readouterr().out.splitlines()
    assert (first, second) == ("hvlab <Verdict.TOO_LONG: 5>", "openvmm <Verdict.TOO_LONG: 5>")
    assert third.startswith("linux Packet(") and "length=32" in third


def test_a_page_of_4096_bytes_is_named_by_a_packet_of_48(tmp_path, capsys):
    LESSON.run(tmp_path, "09-large")

    said = capsys.readouterr().out
    assert said == "48 bytes in the ring, type 9; 4096 in the page: b'what the file holds'\n"


def test_sixty_packets_are_51_taken_9_refused_and_one_signal(tmp_path, capsys):
    LESSON.run(tmp_path, "09-flood")

    said = capsys.readouterr().out
    assert said == "packet_written: 51\npacket_refused: 9\ndoorbell_rung: 1\nwrite index: 4080\n"


def test_a_packet_goes_on_at_the_first_byte_behind_the_last(tmp_path):
    ring = LESSON.run(tmp_path, "09-wrap")["turn"].ring()

    assert (ring.control.read_index, ring.control.write_index) == (3712, 3712 + 928 - 4096)
    assert ring.bytes(3712, 8) == bytes.fromhex("0600 0200 7300 0000")
    assert ring.bytes(544 - 8, 8) == bytes(4) + (3712).to_bytes(4, "little")


def test_a_writer_that_waits_is_rung_by_the_one_read_that_makes_its_room(tmp_path):
    run = LESSON.run(tmp_path, "09-waits")["waited"]

    (row,) = run.trace.of("room_signalled")
    before, pending, free = (run.trace.fact(row, word) for word in ("before", "pending", "free"))
    assert before <= pending == 928 < free
    assert run.count("packet_refused") == run.count("pending_size_set") == 1


def test_what_waits_behind_the_mask_is_not_rung_for_by_the_next_write(tmp_path, capsys):
    LESSON.run(tmp_path, "09-again")

    assert capsys.readouterr().out == "320 bytes wait when the mask is 0\nsignals of the next write: 0\n"


def test_three_rules_cost_what_they_cost(tmp_path, capsys):
    found = LESSON.run(tmp_path, "09-price")["bells"].prices

    assert found.rules == ("always", "empty", "monitor")
    always, empty, monitor = found.rows
    assert len({one.packets for one in found.rows}) == 1
    assert always.entries > empty.entries > monitor.entries == 0
    assert always.deaf > empty.deaf == 0


def test_our_guest_asks_for_the_versions_that_the_recorded_one_asked_for(tmp_path, capsys):
    found = LESSON.run(tmp_path, "09-replay")

    assert capsys.readouterr().out == "4 posts failed; 4.0 accepted\n"
    run, stored = found["asked"], LESSON.shown("09-version")
    statuses = {run.trace.fact(row, "status") for row in run.trace.of("message_refused")}
    assert statuses == {0x12} and run.count("version_refused") >= 1
    for version in ("5.3", "5.2", "5.1", "5.0"):
        assert f"version {version}, connection 4" in stored
    assert "version 4.1, connection 1" in stored and "both ends speak 4.0" in stored


def test_the_recorded_page_list_makes_rings_of_16_kib(tmp_path, capsys):
    LESSON.run(tmp_path, "09-sizes")

    assert capsys.readouterr().out.splitlines() == [
        "16384 bytes of data by the recording", "write_avail = 16384;", "out_write_index = 96;",
    ]  # fmt: skip
    assert "GPADL 0xe1e10, 10 pages" in LESSON.shown("09-version")
    assert "second ring from page 5" in LESSON.shown("09-version")


def test_the_listing_of_two_processors_is_called_lopsided():
    assert LESSON.shown("09-lopsided").count("Lopsided: Synthetic network adapter") == 2


def test_what_is_stored_gives_no_answer_before_its_gate():
    """Cells above the facts show the first frame only, and facts are folded."""
    assert LESSON.given_away("No room for", "the reader's mask is set", "lets go of the") == []


def test_its_stories_are_the_same_in_every_process():
    program = """from hvlab import bus, ready
one, quiet = bus(), ready()
one.connect(), one.offers()
print(one.share(27).story, one.open().story, quiet.send(b"x").story)"""
    said = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip

    assert said[0] == said[1] and said[0].count("Storyboard") == 3
