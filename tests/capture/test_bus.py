"""Recordings of VMBus: the tracer's and the emulator's forms, and the handshake beside what the protocol expects."""

import random
import re
import time

import pytest

from hvlab.capture import busfields as bus
from hvlab.capture.buslog import BusLog, BusMessage
from hvlab.capture.ftrace import ftrace
from hvlab.capture.handshake import MISSING, REFUSED, RETRIED, SEEN, UNASKED, handshake
from hvlab.capture.load import load
from hvlab.capture.lsvmbus import lsvmbus
from hvlab.capture.qemulog import qemu_log
from hvlab.capture.samples import sample, texts
from hvlab.errors import BadFile
from hvlab.wire.guids import BY_KEY

NET = BY_KEY["net"].guid
ONE = "cab064cd-1f31-47d5-a8b4-9d57e320cccd"
# Linux drivers/hv/hv_trace.h; of the messages that the host sends, a line for each place that it passes
POINTS = f"""\
vmbus_negotiate_version: sending vmbus_version_requested 327683, target_vcpu 0x0, pages 0:1000:2000, ret 0
vmbus_on_msg_dpc: msgtype=15
vmbus_onversion_response: version_supported 1
vmbus_request_offers: sending ret 0
vmbus_on_msg_dpc: msgtype=1
vmbus_on_msg_dpc: msgtype=4
vmbus_on_message: msgtype=1
vmbus_onoffer: child_relid 0xe, monitorid 0xff, is_dedicated 1, connection_id 0x2000e, if_type {NET}, \
if_instance {ONE}, chn_flags 0x0, mmio_megabytes 0, sub_channel_index 0
vmbus_on_message: msgtype=4
vmbus_establish_gpadl_header: sending child_relid 0xe, gpadl 0xe1e10, range_buflen 2056 rangecount 1, ret 0
vmbus_establish_gpadl_body: sending msgnumber 0, gpadl 0xe1e10, ret 0
vmbus_on_msg_dpc: msgtype=10
vmbus_ongpadl_created: child_relid 0xe, gpadl 0xe1e10, creation_status 0
vmbus_open: sending child_relid 0xe, openid 14, gpadlhandle 0xe1e10, target_vp 0x1, offset 0x80, ret 0
vmbus_on_msg_dpc: msgtype=6
vmbus_onopen_result: child_relid 0xe, openid 14, status 0
vmbus_close_internal: sending child_relid 0xe, ret 0
vmbus_teardown_gpadl: sending child_relid 0xe, gpadl 0xe1e10, ret 0
vmbus_on_msg_dpc: msgtype=12
vmbus_ongpadl_torndown: gpadl 0xe1e10
""".splitlines()
TRACED = [14, 15, 3, 1, 4, 8, 9, 10, 5, 6, 7, 11, 12]


def traced(points, form="{task:>16}-{pid:<6} [{cpu:03}] ..... {time:>12.6f}: {text}"):
    return "\n".join(
        form.format(task="kworker/0:1", pid=17, cpu=0, time=1 + k / 1e6, text=one) for k, one in enumerate(points)
    )


def numbers(log):
    return [message.number for message in log.messages]


def sent(*messages):
    """A recording of these messages: (number, fields)."""
    return BusLog(
        "guest", tuple(BusMessage(k + 1, k * 1e-3, number, "x", fields) for k, (number, fields) in enumerate(messages))
    )


def marks(*messages):
    return [(row.number, row.mark) for row in handshake(sent(*messages)).rows]


BEGUN = ((14, {"version": 5 << 16 | 3, "connection": 4}), (15, {"supported": 1}), (3, {}), (4, {}))
GOOD = [(14, SEEN), (15, SEEN), (3, SEEN), (4, SEEN)]
PAGES, CREATED = {"channel_id": 3, "gpadl_id": 7}, {"channel_id": 3, "gpadl_id": 7, "status": 0}


# --- forms -----------------------------------------------------------------------------------------------------------


def test_a_message_that_three_trace_points_tell_is_one_message_with_all_that_they_say():
    log = ftrace(traced(POINTS))
    offer, opened = log.messages[3], log.messages[8]

    assert numbers(log) == TRACED and log.unknown == ()
    assert (offer.says("channel_id"), offer.fields["interface_type"], offer.fields["interface_instance"]) == (
        14,
        NET,
        ONE,
    )
    assert (opened.says("target_vp"), opened.says("downstream_offset"), opened.says("gpadl_id")) == (1, 0x80, 0xE1E10)
    assert log.messages[0].says("version") == 5 << 16 | 3 and log.messages[5].says("length") == 2056


@pytest.mark.parametrize(
    "form",
    [
        "{task:>16}-{pid:<5} [{cpu:03}] {time:>12.6f}: {text}",  # trace-cmd report
        "{task:>16}-{pid:<5} [{cpu:03}] d.h1. {time:>12.6f}: {text}   ",
        "{task:>16}-{pid:<7} (  {pid}) [{cpu:03}] ..... {time:>12.6f}: {text}",  # with the option record-tgid
        "> {task}-{pid} [{cpu:03}] .N..1 {time:.6f}: {text}\r",
        "a task with spaces-{pid} [{cpu:03}] ..... {time:.6f}: {text}",
    ],
)
def test_columns_that_a_tracer_adds_or_leaves_out_change_nothing(form):
    log, known = ftrace(traced(POINTS, form)), ftrace(traced(POINTS))

    assert [(one.number, one.fields) for one in log.messages] == [(one.number, one.fields) for one in known.messages]
    assert log.unknown == ()


def test_heads_of_the_tracers_are_notes_and_strange_lines_are_kept():
    text = "cpus=2\n# tracer: nop\n#\n" + traced(POINTS) + "\nwhat is this\n" + traced(["sched_switch: prev_comm=x"])
    log = ftrace(text)

    assert [one.text for one in log.unknown] == ["what is this"]
    assert [one.line for one in log.notes] == [1, 2, 3, 25] and "sched_switch" in log.notes[-1].text


def test_a_probe_counts_by_its_function_whatever_it_is_called():
    text = sample("vmbus_ftrace").read_text()
    renamed = re.sub(r": (?:vmtx|vmrx|rx_\w+|tx_pkt|setevent): \(", ": mine: (", text)

    assert [(one.number, one.fields) for one in ftrace(renamed).messages] == [
        (one.number, one.fields) for one in load(sample("vmbus_ftrace")).messages
    ]


def test_a_functions_line_is_no_second_message_where_a_trace_point_tells_it():
    calls = ["vmbus_negotiate_version <-vmbus_connect", "vmbus_request_offers <-vmbus_bus_init", "vmbus_isr <-sysvec"]

    assert numbers(ftrace(traced([*calls, *POINTS]))) == TRACED
    assert numbers(ftrace(traced(calls))) == [14, 3]
    assert ftrace(traced(calls)).counts() == {"interrupt taken": 1}


def test_the_emulators_lines_may_come_without_process_and_clock():
    text = sample("vmbus_host").read_text()
    bare = re.sub(r"^\d+@[\d.]+:", "", text, flags=re.MULTILINE)

    assert [(one.number, one.fields, one.tries) for one in qemu_log(bare).messages] == [
        (one.number, one.fields, one.tries) for one in qemu_log(text).messages
    ]


# --- the handshake ---------------------------------------------------------------------------------------------------


def test_a_whole_connection_has_each_message_where_it_is_expected_but_for_pages_that_are_not_named():
    found = handshake(ftrace(traced(POINTS)))

    # 2,056 bytes of range are 256 pages: 26 in the header, 28 in each body, so nine bodies; one is recorded
    assert [(row.number, row.mark) for row in found.rows if row.mark != SEEN] == [(9, MISSING)]
    assert "256 pages need 9 of these, 1 are recorded" in found.marked(MISSING)[0].says
    assert found.version == 5 << 16 | 3 and found.agreed


@pytest.mark.parametrize(
    ("pages", "bodies"), [(1, 0), (26, 0), (27, 1), (54, 1), (55, 2), (26 + 28 * 7, 7), (26 + 28 * 7 + 1, 8)]
)
def test_pages_beyond_26_need_a_body_for_each_28(pages, bodies):
    header = (8, {**PAGES, "length": 8 + 8 * pages, "count": 1})
    enough = [(9, {"gpadl_id": 7})] * bodies

    assert (9, MISSING) not in marks(*BEGUN, header, *enough, (10, CREATED))
    assert not bodies or (9, MISSING) in marks(*BEGUN, header, *enough[1:], (10, CREATED))


@pytest.mark.parametrize("number", sorted(bus.ANSWERS))
def test_a_request_without_its_answer_has_a_missing_step_behind_it(number):
    found = marks(*BEGUN, (number, {"channel_id": 3}))

    assert found[-2:] == [(number, SEEN), (bus.ANSWERS[number], MISSING)]


def test_modify_channel_wants_an_answer_from_5_3_on_only():
    move = (22, {"channel_id": 3})
    before = ((14, {"version": 5 << 16 | 2, "connection": 4}), *BEGUN[1:])

    assert marks(*before, move) == [*GOOD, (22, SEEN)]
    assert marks(*BEGUN, move) == [*GOOD, (22, SEEN), (24, MISSING)]
    assert marks(*BEGUN, move, (24, {"channel_id": 3, "status": 0})) == [*GOOD, (22, SEEN), (24, SEEN)]


def test_an_answer_that_says_no_is_refused():
    assert marks(*BEGUN, (8, PAGES), (10, {**PAGES, "status": 1}))[-1] == (10, REFUSED)
    assert marks(*BEGUN, (5, PAGES), (6, {"channel_id": 3, "status": 0xC0000236}))[-1] == (6, REFUSED)
    assert marks((14, {"version": 1, "ret": -11}))[0] == (14, REFUSED)


def test_an_answer_belongs_to_the_request_of_its_own_channel_and_pages():
    other = {"channel_id": 4, "gpadl_id": 8}

    assert marks(*BEGUN, (8, PAGES), (8, other), (10, {**other, "status": 0}), (10, CREATED)) == [
        *GOOD, (8, SEEN), (8, SEEN), (10, SEEN), (10, SEEN),
    ]  # fmt: skip
    assert marks(*BEGUN, (8, PAGES), (10, {**other, "status": 0}))[-2:] == [(10, MISSING), (10, UNASKED)]
    # an end that names the pages only, or the channel only
    assert marks(*BEGUN, (8, {"gpadl_id": 7}), (10, {"channel_id": 3, "gpadl_id": 7}))[-1] == (10, SEEN)
    assert marks(*BEGUN, (5, {"channel_id": 3}), (6, {"channel_id": 3, "status": 0}))[-1] == (6, SEEN)


def test_an_answer_that_nobody_asked_for_is_marked():
    assert marks(*BEGUN, (12, {"gpadl_id": 7}))[-1] == (12, UNASKED)
    assert marks(*BEGUN, (1, {"channel_id": 9}))[-1] == (1, SEEN)  # an offer may always come: hot plug


def test_a_request_that_is_repeated_because_nobody_answered_is_retried():
    found = marks(*BEGUN, (5, PAGES), (5, PAGES), (6, {"channel_id": 3, "status": 0}))

    # the answer is taken for the first of both, so the second one waits
    assert [mark for number, mark in found if number == 5] == [SEEN, SEEN]
    assert marks(*BEGUN, (16, {"x": 1}), (16, {"x": 1}))[-2:] == [(16, RETRIED), (17, MISSING)]


def test_a_refused_version_is_followed_by_the_next_until_one_is_taken():
    refused, taken = (
        ((14, {"version": 4 << 16 | 1}), (15, {"supported": 0})),
        ((14, {"version": 4 << 16}), (15, {"supported": 1})),
    )
    found = handshake(sent(*refused, *taken, (3, {})))

    assert [row.mark for row in found.rows] == [SEEN, REFUSED, SEEN, SEEN, SEEN, MISSING]
    assert found.version == 4 << 16


def test_where_the_answer_does_not_say_what_follows_tells_whether_it_was_yes():
    both = ((14, {"version": 4 << 16 | 1}), (15, {}), (14, {"version": 4 << 16}), (15, {}))

    assert [row.mark for row in handshake(sent(*both, (3, {}), (4, {}))).rows] == [SEEN, REFUSED, *[SEEN] * 4]
    assert not handshake(sent(*both)).agreed and handshake(sent(*both, (3, {}))).version == 4 << 16


def test_a_recording_that_begins_late_says_so():
    found = handshake(sent((5, PAGES), (6, {"channel_id": 3, "status": 0})))

    assert [(row.number, row.mark) for row in found.rows] == [
        (14, MISSING), (3, MISSING), (4, MISSING), (5, SEEN), (6, SEEN),
    ]  # fmt: skip
    assert not found.agreed and "No version was agreed on" in repr(sent((5, PAGES)))


def test_an_unknown_message_is_shown_by_its_number():
    log = qemu_log("1@1.0:vmbus_recv_message type 99 size 8\n")

    assert "message 99" in repr(log) and handshake(log).rows[-1].mark == SEEN


# --- hostile ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "text", "where"),
    [
        (ftrace, "nothing\nhere\n", "vmbus_"),
        (ftrace, traced(["vmbus_request_offers: sending ret 0"] * 10_001), "10,000 messages"),
        (qemu_log, "nothing\nhere\n", "vmbus_recv_message"),
        (qemu_log, "1@1.0:vmbus_recv_message type -1 size 8\n", "line 1, type"),
        (qemu_log, "1@1.0:vmbus_recv_message type 99999 size 8\n", "line 1, type"),
        (qemu_log, "1@1.0:hv_balloon_state_change -> X\nx\n", "no message"),
    ],
)
def test_what_is_no_recording_is_refused(read, text, where):
    with pytest.raises(BadFile, match=where):
        read(text)


@pytest.mark.parametrize(
    "points",
    [
        [
            f"vmbus_establish_gpadl_header: sending child_relid 0x1, gpadl {k:#x}, range_buflen 65535 rangecount 1"
            for k in range(5000)
        ]
        + [f"vmbus_ongpadl_created: child_relid 0x2, gpadl {k:#x}, creation_status 0" for k in range(4999)],
        ["vmbus_negotiate_version: sending vmbus_version_requested 1, target_vcpu 0x0, pages 0:0:0, ret 0"] * 10_000,
        ["vmbus_on_msg_dpc: msgtype=15"] * 5000
        + ["vmbus_on_message: msgtype=15"] * 5000
        + ["vmbus_onversion_response: version_supported 0"] * 5000,
        ["vmbus_open: sending child_relid 0x1, openid 1, ret 0"] * 5000
        + ["vmbus_onopen_result: child_relid 0x2, status 1"] * 5000,
    ],
    ids=["pages", "contacts", "queues", "strangers"],
)
def test_ten_thousand_messages_that_fit_badly_are_judged_in_linear_time(points):
    began = time.process_time()
    text = repr(ftrace(traced(points)))

    assert time.process_time() - began < 4 and "more rows are left out" in text


GUESTS = [name for name in texts() if name.startswith(("dmesg", "lsvmbus", "vmbus"))]


@pytest.mark.parametrize("name", GUESTS)
def test_mutated_samples_are_read_or_refused_and_nothing_else(name):
    rng, data = random.Random(name), sample(name).read_bytes()
    refused = 0
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 4, 40))):
            at = rng.randrange(len(changed))
            way = rng.randrange(4)
            if way == 0:
                changed[at] = rng.choice(b"\n\t :,=-{}[]0x9afg\x00\xff\xe2")
            elif way == 1:
                del changed[at : at + rng.randrange(40)]
            elif way == 2:
                changed[at:at] = changed[rng.randrange(len(changed)) :][: rng.randrange(200)]
            else:
                changed[at:at] = str(rng.choice((2**32, 2**64, 10**30, -1))).encode()
        try:
            assert repr(load(changed.decode("utf-8", "surrogateescape") + "\n"))
        except BadFile as bad:
            refused += 1
            assert bad.expected and bad.where
    assert refused < 60


def test_numbers_of_any_length_are_refused_or_kept_as_text():
    assert lsvmbus(f"VMBUS ID {'9' * 3}: Synthetic mouse\n").devices[0].number == 999
    with pytest.raises(BadFile):
        lsvmbus(f"VMBUS ID {'9' * 3000}: Synthetic mouse\n")
    (opened,) = ftrace(traced(["vmbus_open: sending child_relid 0x" + "f" * 300 + ", openid 1, ret 0"])).messages
    assert opened.fields == {"open_id": 1, "ret": 0}
