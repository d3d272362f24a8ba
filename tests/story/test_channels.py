"""The lens of a VMBus: what it shows of channels, messages and pages is what was recorded, and what memory holds."""

from dataclasses import replace
from itertools import pairwise

import pytest

from hvlab.errors import BadRequest
from hvlab.lab.bus import bus
from hvlab.story.channels import AHEAD, FOLLOWS, LEADS, PHASES, TELLS, ChannelLens, bus_story
from hvlab.story.compare import compare
from hvlab.story.message import lines_of
from hvlab.story.picture import alt_at, changes_at
from hvlab.story.walk import story_of
from hvlab.story.where import AT, VMBUS
from hvlab.trace import vmbus_events
from hvlab.trace.event import CATALOGUE
from hvlab.trace.journal import Trace
from hvlab.wire import vmbus
from hvlab.wire.tlfs import MessageHeader
from story.buses import handshake, whole_life

GRAINS = ("request", "event", "bit")


def ends(story):
    return story.state_at(len(story) - 1)


def picture(story, name):
    return next(one for one in story.scene["pictures"] if one["name"].startswith(name))


def texts(story, name, k):
    """What a picture shows at a frame: id -> text, without what is hidden."""
    asked = changes_at(picture(story, name), story.state_at(k), story.changed_at(k), story.kinds_of_facts, story.enums)
    hidden = {id for id, what, *rest in asked if what == "show" and not rest[0]}
    return {id: rest[0] for id, what, *rest in asked if what == "text" and id.rstrip("arnv") not in hidden}


def in_words(story, name, k):
    return alt_at(picture(story, name), story.state_at(k), story.kinds_of_facts, story.enums)


def test_every_event_of_a_vmbus_is_told_and_has_a_box():
    names = {event.name for event in CATALOGUE if hasattr(vmbus_events, event.name)}

    assert set(VMBUS) == names
    assert names <= TELLS and names <= set(AT)
    assert set(LEADS) | FOLLOWS | set(AHEAD) <= TELLS


def test_a_handshake_goes_from_contact_to_open_in_one_frame_a_message():
    run = handshake()[1]

    story = bus_story(run, "request")

    phases = [story.scene["phases"][int(phase)] for phase in story.columns["phase"]]
    order = list(dict.fromkeys(phases))
    assert order == ["contact", "offer", "share pages", "open"] == [phase for phase in PHASES if phase in order]
    sent = [run.trace.fact(row, "number") for row in run.trace.of("channel_message_sent")]
    told = [story.words_at(k)["number"] for k in range(len(story))]
    assert told == sent == [14, 15, 14, 15, 3, 1, 1, 4, 8, 10, 5, 6]


def test_an_answer_is_told_because_of_the_question():
    story = bus_story(handshake()[1], "request")
    rows = story.rows()

    answered = {row["what"].split(" sends ")[1].split()[0]: row["cause"] for row in rows if row["cause"]}
    asked = {row["what"].split(" sends ")[1].split()[0]: row["number"] for row in rows}

    assert answered["GPADL_CREATED"] == asked["GPADL_HEADER"]
    assert answered["OPENCHANNEL_RESULT"] == asked["OPENCHANNEL"]


@pytest.mark.parametrize("grain", GRAINS)
def test_each_grain_tells_each_row_of_the_bus_once(grain):
    run = whole_life()

    rows = [row for step in ChannelLens(grain, before=run.before).told(run.trace) for row in step.rows]

    assert rows == sorted(set(rows))
    assert {row for row, name in enumerate(run.trace.kinds()) if name in VMBUS} <= set(rows)


def test_grains_hold_more_frames_the_finer_they_are():
    run = whole_life()

    counts = [len(bus_story(run, grain)) for grain in GRAINS]

    assert counts == sorted(counts) and len(set(counts)) == 3
    with pytest.raises(BadRequest, match="grain"):
        ChannelLens("word").story(run.trace)


def test_the_way_of_a_message_is_post_slot_interrupt_and_copy():
    run = handshake()[1]
    story = run.story

    kinds = [story.scene["kinds"][int(kind)]["name"] for kind in story.columns["kind"]][:7]

    assert kinds == [
        "bus_message_sent", "hypercall_entered", "message_posted", "slot_filled", "vector_raised", "vector_delivered",
        "bus_message_taken",
    ]  # fmt: skip


def test_both_sides_of_a_channel_and_the_version_are_as_the_drivers_hold_them():
    one, run = handshake()
    story = run.story
    facts = ends(story)

    assert story.enums["spoken"][str(facts["version"])].startswith(run.value and "5.2")
    for channel in one.host.state.channels.values():
        number = channel.channel_id
        assert facts[f"c{number}_root"] - 1 == channel.state
        assert facts[f"c{number}_child"] - 1 == one.guest.offers[number].state
    assert facts["versions_refused"] == 1 and facts["said"] == facts["heard"] == 12
    assert facts["gpadls"] == len(one.host.state.gpadls) == 1 and facts["pages"] == 5


def test_channels_are_said_in_words():
    story = handshake()[1].story

    assert in_words(story, "Channels", len(story) - 1) == (
        "Version 5.2 (Windows Server 2019); messages sent 12, taken 12, refused 0. "
        "Channel 1: open on the root's side, open on the child's. "
        "Channel 2: offered on the root's side, offered on the child's."
    )


def test_the_columns_of_the_channel_table_stand_in_order_and_apart():
    layer = picture(handshake()[1].story, "Channels")["layer"]
    heads = ["channel", "device", "root's side", "child's side", "GPADL", "connection", "interrupts"]

    places = [next(one[3]["x"] for one in layer if one[4] == head) for head in heads]

    assert min(right - left for left, right in pairwise(places)) >= 50


def test_the_slots_on_show_are_the_slots_in_memory_at_every_moment():
    one = bus()
    run = one.connect() + one.offers()
    story = run.story

    for name, slot in (("REQUESTOFFERS", one.slot(host=True)), ("ALLOFFERS_DELIVERED", one.slot())):
        page = next(at for at, page in enumerate(story.scene["pages"]) if name in page["name"])
        assert story.bytes_at(page, len(story) - 1) == slot
        assert story.bytes_at(page, 0) == bytes(256)


def test_a_message_is_taken_apart_as_the_declaration_says():
    story = handshake()[1].story
    k = next(k for k, row in enumerate(story.rows()) if "takes OPENCHANNEL " in row["what"])

    shown = texts(story, "Message", k)
    lines = {shown[f"ml{at}n"]: shown[f"ml{at}v"] for at in range(26) if f"ml{at}n" in shown and shown[f"ml{at}n"]}

    assert shown["head"] == f"OPENCHANNEL: {vmbus.ChannelHeader.size + vmbus.Open.size} bytes"
    assert lines["message_type"] == "5 = OPENCHANNEL"
    assert (lines["channel_id"], lines["downstream_offset"], lines["target_vp"]) == ("1", "2", "0")
    assert lines["gpadl_id"] == "0x000e_1e10" and lines["user_data"] == "zeros"


@pytest.mark.parametrize("number", vmbus.FORMS)
def test_the_lines_of_a_message_cover_all_of_it_and_nothing_twice(number):
    for kind in vmbus.FORMS[number]:
        values = {"version": vmbus.V5} if kind is vmbus.InitiateContact5 else {}
        payload = vmbus.pack(kind, **values)
        slot = MessageHeader.encode(type=1, payload_size=len(payload)) + payload

        lines = lines_of(slot.ljust(256, b"\0"))

        assert [line.at for line in lines] == [0, *(line.at + line.size for line in lines[:-1])]
        assert lines[-1].at + lines[-1].size == len(slot)
        assert [line.name for line in lines][7:] == [field.name for field in kind.fields]
        assert all(slot[line.at : line.at + line.size] == line.raw for line in lines)


def test_page_numbers_follow_the_header_of_a_page_list():
    ranges = (4096 * 3).to_bytes(4, "little") + bytes(4) + b"".join(k.to_bytes(8, "little") for k in (7, 8, 9))
    payload = vmbus.pack(vmbus.GpadlHeader, ranges, channel_id=1, gpadl_id=9, length=len(ranges), count=1)
    slot = (MessageHeader.encode(type=1, payload_size=len(payload)) + payload).ljust(256, b"\0")

    said = {line.name: line.says for line in lines_of(slot)}

    assert (said["pages 0 and 1"], said["page 2"]) == ("0x7, 0x8", "0x9")


def test_a_slot_that_lies_about_its_size_or_type_is_shown_as_far_as_it_goes():
    for head in (
        MessageHeader.encode(type=1, payload_size=255), MessageHeader.encode(type=1, payload_size=3),
        MessageHeader.encode(type=0x80000010, payload_size=240), bytes(16),
    ):  # fmt: skip
        lines = lines_of((head + b"\xff" * 240).ljust(256, b"\0"))

        assert lines[-1].at + lines[-1].size <= 256
        assert [line.at for line in lines] == [0, *(line.at + line.size for line in lines[:-1])]


def test_each_name_of_a_shared_page_is_what_the_machine_says():
    one, run = handshake()
    story = run.story
    named = next(iter(one.host.state.gpadls.values()))
    guests = [pfn << 12 for pfn in named.pfns]
    window = one.web.vp.window(guests)

    words = in_words(story, "Pages", len(story) - 1)

    assert len(window.spas) == 5
    for index, (gpa, spa) in enumerate(zip(guests, window.spas, strict=True)):
        assert f"Page {index}: child GPA 0x{gpa >> 16:04x}_{gpa & 0xFFFF:04x}," in words
        assert f"SPA 0x{spa >> 16:04x}_{spa & 0xFFFF:04x}." in words


def test_the_parts_of_a_page_list_follow_from_open():
    story = handshake()[1].story
    before = next(k for k, row in enumerate(story.rows()) if "has all 5 pages" in row["what"])

    parts = [[texts(story, "Pages", k)[f"p{index}t"] for index in range(5)] for k in (before, len(story) - 1)]

    ways = [f"guest to host: {what}" for what in ("control page", "data")]
    ways += [f"host to guest: {what}" for what in ("control page", "data", "data")]
    assert parts == [[""] * 5, ways]


def test_a_page_list_that_is_refused_says_why_and_shows_no_page():
    run = whole_life()
    story = run.story

    shown = texts(story, "Pages 0xe1e11", len(story) - 1)

    assert shown["title"].endswith("refused") and shown["why_text"].startswith("range too small")
    assert not [id for id in shown if id.startswith("p") and id.endswith("t")]
    assert ends(story)["refusals"] == run.count("gpadl_refused") + run.count("channel_message_refused") == 1


def test_a_story_that_begins_later_knows_what_was_before():
    one = bus()
    one.connect()
    one.offers()
    run = one.open()

    story = run.story

    assert story.value("version", 0) == vmbus.BY_NAME["5.3"].value
    assert story.value("c1_root", 0) - 1 == 1 and story.value("connection", 0) == one.guest.state.post_to
    alone = replace(run.lens, before=None).story(run.trace)
    assert alone.value("version", 0) == 0


def test_show_tell_and_compare_find_the_lens_by_themselves():
    runs = []
    for refused in ((), ("5.3", "5.2")):
        runs.append(bus().connect(refuse=refused))

    told = repr(compare(*runs, ("5.3", "5.1")))

    assert story_of(runs[0]).title == story_of(runs[0].trace).title == "Messages about channels"
    assert "versions refused" in told and "They part at frame 7:" in told and "does not speak version 5.3" in told


def test_of_many_channels_those_that_the_story_is_about_have_a_row():
    names = ("scsi", "net", "kbd", "mouse", "heartbeat", "kvp", "timesync", "shutdown")
    one = bus(devices=names)
    one.connect()
    one.offers()
    number = one.channel("shutdown").channel_id
    story = one.open("shutdown").story

    rows = {id for id in texts(story, "Channels", len(story) - 1) if id[0] == "c" and id.endswith("d")}

    assert f"c{number}d" in rows and len(rows) == 6
    assert texts(story, "Channels", 0)["tally"].endswith("Channels without a row here: 2.")


@pytest.mark.parametrize("guest, caller", [("linux", "hv core of linux"), ("windows", "WinHv of windows")])
def test_the_map_shows_the_kind_of_guest_that_it_said_it_is(guest, caller):
    story = bus(guest=guest).connect().story

    assert story.rows()[1]["where"] == caller


def test_a_trace_without_a_vmbus_is_refused():
    with pytest.raises(BadRequest, match="VMBus"):
        ChannelLens().story(Trace([]))
