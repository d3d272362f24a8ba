"""The picture of two rings: indices, packets and the sentence about the signal are what memory and rules say."""

from math import atan2, hypot, pi

import pytest

from hvlab.lab.bus import bus
from hvlab.lab.talk import ready
from hvlab.story.channels import ChannelLens, bus_story
from hvlab.story.picture import alt_at, changes_at, elements
from hvlab.story.ring_facts import CENTRE, MIDDLE, WAIT_AT
from hvlab.story.ring_state import COPIED, PUBLISHED, READ
from hvlab.wire.ring import GAP, PacketDescriptor, PacketTrailer
from story.buses import whole_life

OUT, IN = "k1r1_", "k1r2_"


@pytest.fixture
def opened():
    one = bus()
    one.connect()
    one.offers()
    one.open(pages=(2, 2))
    return one


def ends(run):
    return run.story.state_at(len(run.story) - 1)


def picture(story):
    return next(one for one in story.scene["pictures"] if one["name"] == "Rings 1")


def said(story, k, id):
    asked = changes_at(picture(story), story.state_at(k), story.changed_at(k), story.kinds_of_facts, story.enums)
    return next(rest[0] for found, what, *rest in asked if (found, what) == (id, "text"))


def frame(story, what):
    return next(k for k, row in enumerate(story.rows()) if what in row["what"])


def test_indices_mask_and_pending_size_are_those_of_the_control_pages(opened):
    opened.mask()
    lines = (
        lambda: opened.send(b"x" * 100, times=3), opened.drain, opened.mask, lambda: opened.send(b"y" * 900, times=5),
        lambda: opened.mask(False), lambda: opened.reply(b"done", times=2),
    )  # fmt: skip
    for line in lines:
        run = line()
        facts = ends(run)
        for key, ring in ((OUT, opened.ring("out")), (IN, opened.ring("in"))):
            if key == IN and not facts[f"{IN}there"]:
                continue
            control = ring.control
            assert (facts[f"{key}w"], facts[f"{key}r"]) == (control.write_index, control.read_index)
            assert (facts[f"{key}mask"], facts[f"{key}wait"]) == (control.interrupt_mask, control.pending_send_size)


def test_used_free_and_the_gap_are_the_whole_ring_at_every_frame():
    story = whole_life().story

    for facts in story.states(0, len(story) - 1):
        if facts[f"{OUT}there"] == 1:
            assert facts[f"{OUT}used"] + facts[f"{OUT}free"] + GAP == 4096


def test_a_packet_is_copied_first_and_published_afterwards(opened):
    story = opened.send(b"hello").story
    copied, published = frame(story, "writes a packet"), frame(story, "publishes the write index")

    assert [story.value(f"{OUT}b1", k) for k in (copied, published)] == [COPIED, PUBLISHED]
    assert [story.value(f"{OUT}w", k) for k in (copied, published)] == [0, 32]
    assert [story.value(f"{OUT}used", k) for k in (copied, published)] == [0, 32]
    read, given = frame(story, "reads a packet"), frame(story, "publishes the read index")
    assert [story.value(f"{OUT}b1", k) for k in (read, given)] == [READ, 0]
    assert [story.value(f"{OUT}used", k) for k in (read, given)] == [32, 0]


def test_the_bytes_of_a_packet_are_those_in_the_ring(opened):
    run = opened.send(b"forty-two", completion=True)
    story, data = run.story, opened.ring("out").bytes(0, 40)

    page = next(at for at, page in enumerate(story.scene["pages"]) if page["name"].startswith("packet 1, guest"))

    assert story.bytes_at(page, len(story) - 1) == data
    fields = {field["name"]: data[field["offset"] : field["offset"] + field["size"]]
              for field in story.scene["pages"][page]["fields"]}  # fmt: skip
    assert fields["data"].rstrip(b"\0") == b"forty-two" and fields["flags"] == b"\1\0"
    assert b"".join(fields.values()) == data and len(data) == PacketDescriptor.size + 16 + PacketTrailer.size


def test_the_control_page_on_show_is_the_one_in_memory(opened):
    run = opened.send(b"hello", times=3)
    story = run.story

    page = next(at for at, page in enumerate(story.scene["pages"]) if page["name"].startswith("control page, guest"))

    assert story.bytes_at(page, len(story) - 1) == opened.ring("out").data[:4096]


def test_the_rule_about_the_signal_is_a_sentence_with_its_inputs(opened):
    first = opened.send(b"x" * 8, times=2).story

    rung, saved = frame(first, "signals channel 1"), frame(first, "No signal for the ring")

    assert said(first, rung, f"{OUT}rule") == "mask 0, and read index 0x0 = old write index 0x0"
    assert said(first, rung, f"{OUT}bellt") == "signal: the ring was empty"
    assert said(first, saved, f"{OUT}rule") == "mask 0, but read index 0x0 is not the old write index 0x20"
    assert said(first, saved, f"{OUT}bellt") == "no signal: the reader is awake"
    opened.mask()
    masked = opened.send(b"x").story
    assert said(masked, len(masked) - 1, f"{OUT}rule") == "mask 1: nothing else is looked at"


@pytest.mark.parametrize("rule, signals, saved", [("empty", 1, 4), ("always", 5, 0)])
def test_signals_made_and_saved_are_counted_by_the_rule(rule, signals, saved):
    one = bus(rule=rule)
    for step in (one.connect, one.offers, one.open):
        step()
    run = one.send(b"x", times=5)

    facts = ends(run)

    assert (facts[f"{OUT}signals"], facts[f"{OUT}saved"], facts[f"{OUT}writes"]) == (signals, saved, 5)
    assert one.end().rung == signals


def test_a_monitored_channel_says_that_somebody_looks_later():
    one = bus(rule="monitor")
    for step in (one.connect, one.offers, one.open):
        step()
    run = one.send(b"x") + one.wait(150)
    story = run.story

    told = [said(story, k, f"{OUT}bellt") for k in (frame(story, "sets trigger"), frame(story, "finds trigger"))]

    assert told == ["no hypercall: the hypervisor looks later", "signal: the hypervisor looked at the page"]


def test_a_write_for_which_there_is_no_room_changes_nothing_but_a_count(opened):
    opened.mask()
    run = opened.send(b"z" * 900, times=6)

    facts = ends(run)

    assert facts[f"{OUT}refused"] == run.count("packet_refused") == 2
    assert facts[f"{OUT}used"] == 4 * 928 and facts[f"{OUT}w"] == opened.ring().control.write_index


def test_an_index_that_lies_is_shown_outside_with_the_verdict(opened):
    opened.send(b"sound")
    window = opened.end().writer.window
    before = len(opened.machine.trace)
    with opened.machine.action():
        opened.web.vp.write_gpa(window.gpas[0], (0xFFFC).to_bytes(4, "little"))
        opened.host.drain(1)
    story = ChannelLens(before=opened.before).story(opened.machine.trace)
    last = len(story) - 1
    facts = story.state_at(last)

    assert before and (facts[f"{OUT}wlies"], facts[f"{OUT}rlies"], facts[f"{OUT}sound"]) == (1, 0, 0)
    assert said(story, last, f"{OUT}wliet") == "W 0xfffc is no index here"
    assert said(story, last, f"{OUT}not").endswith("index outside the ring or not a multiple of 8")
    assert said(story, last, f"{OUT}room") == "what is used nobody knows"


def test_the_dial_holds_the_bytes_that_are_used_and_no_others():
    story = whole_life().story

    for facts in story.states(0, len(story) - 1):
        used, begin = facts[f"{OUT}used"], facts[f"{OUT}r"]
        parts = {(begin + k) % 4096 // 128 for k in range(0, used, 8)}
        filled = {at for at in range(32) if facts[f"{OUT}s{at}"] in (PUBLISHED, READ)}
        assert filled == parts


def test_a_block_leads_to_the_frame_that_wrote_it():
    story = whole_life().story
    jumps = {one[1]: one[2] for one in picture(story)["bind"] if one[0] == "jump" and one[1].startswith(f"{OUT}b")}

    written = [k for k, row in enumerate(story.rows()) if "writes a packet" in row["what"] and "to host" in row["what"]]

    assert [jumps[f"{OUT}b{number}"] for number in range(1, len(written) + 1)] == written


def test_a_ring_in_words_has_its_numbers_and_the_last_decision(opened):
    opened.mask()
    story = opened.send(b"x" * 112).story
    last = len(story) - 1

    words = alt_at(picture(story), story.state_at(last), story.kinds_of_facts, story.enums)

    assert words.startswith(
        "Guest to host: read 0x0, write 0x88, 136 bytes used, 3952 free, mask 1, pending 0; "
        "no signal: the reader has masked it. "
    )


def test_a_channel_that_is_opened_again_has_new_rings():
    one = bus()
    for step in (one.connect, one.offers, one.open):
        step()
    run = one.send(b"first") + one.close() + one.open() + one.send(b"second")

    facts = bus_story(run).state_at(len(bus_story(run)) - 1)

    assert facts[f"{OUT}w"] == one.ring().control.write_index == 32
    assert facts[f"{OUT}writes"] == 2 and facts[f"{OUT}there"] == 1


def test_rings_whose_pages_were_let_go_are_no_rings_any_more():
    story = whole_life().story
    gone = frame(story, "lets go of the 4 pages")

    assert story.value(f"{OUT}there", gone - 1) == 1 and story.value(f"{OUT}there", gone) == 2
    assert said(story, gone, f"{OUT}idle") == "let go: its pages are the child's alone again"


def test_a_packet_that_wraps_is_two_pieces_with_one_number():
    turned = ready()
    turned.send(bytes(900), times=4)
    turned.drain()
    story = turned.send(bytes(900)).story  # 928 bytes from 3,712 of 4,096 on: 384 at the end, 544 at the beginning

    layer = {one[1]: one for one in elements(picture(story)["layer"]) if one[1]}
    block = layer[f"{OUT}b1"][4]
    (x, wide), (again, more) = ((layer[f"{OUT}b1p{k}"][3]["x"], layer[f"{OUT}b1p{k}"][3]["width"]) for k in (0, 1))
    strip = next(one[3] for one in layer[f"{OUT}strip"][4] if one[0] == "rect" and one[2] == "plain")
    assert [one[4] for one in block if one[0] == "text"] == ["1"]
    assert again == strip["x"] and x + wide == pytest.approx(strip["x"] + strip["width"], abs=0.2)
    assert (wide, more) == (pytest.approx(384 * strip["width"] / 4096, abs=0.1),
                            pytest.approx(544 * strip["width"] / 4096, abs=0.1))  # fmt: skip
    number = next(one[3]["x"] for one in block if one[0] == "text")
    assert again < number < again + more
    lit = {at for at in range(32) if story.value(f"{OUT}s{at}", frame(story, "publishes the write index"))}
    assert lit == {29, 30, 31, 0, 1, 2, 3, 4}


def test_a_writer_that_waits_is_a_mark_that_the_read_index_has_to_reach():
    full = ready()
    sent = full.send(bytes(900), times=5)
    story = (sent + full.wait_for(928) + full.drain()).story
    waits, signalled = frame(story, "waits for 928"), frame(story, "signals that there is room")

    facts = story.state_at(waits)
    x, y = facts[f"{OUT}px"] - CENTRE, MIDDLE - facts[f"{OUT}py"]
    turn = atan2(x, y) / (2 * pi) % 1

    assert sent.count("packet_refused") == 1 and facts[f"{OUT}pin"] == 1
    assert hypot(x, y) == pytest.approx(WAIT_AT, abs=1)
    assert turn * 4096 == pytest.approx((3712 + 928 + GAP) % 4096, abs=60)  # of whole px at this radius
    assert said(story, waits, f"{OUT}waitt") == "P waits for 928 bytes"
    assert said(story, signalled, f"{OUT}bellt") == "signal: now there is room"


def test_a_pending_size_that_no_ring_can_give_is_said_and_has_no_place_on_the_dial(opened):
    run = opened.send(b"x")
    with opened.machine.action():
        opened.end().writer.wait_for(4096)
    story = ChannelLens(before=run.before + run.trace).story(opened.machine.trace)
    last = len(story) - 1

    assert story.value(f"{OUT}pin", last) == 0 and said(story, last, f"{OUT}waitt") == "P waits for 4096 bytes"
