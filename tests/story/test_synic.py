"""The lens of a SynIC: what it shows is what was recorded, row by row and byte by byte."""

import pytest

from hvlab.errors import BadRequest
from hvlab.lab.letters import MESSAGES, letters
from hvlab.story.between import TELLS
from hvlab.story.compare import compare
from hvlab.story.picture import alt_at
from hvlab.story.synic import LEADS, PHASE_OF, SynicLens, of_synic, synic_story
from hvlab.story.walk import story_of
from hvlab.story.where import SYNIC
from hvlab.trace.journal import Trace
from hvlab.wire.tlfs import Status


@pytest.fixture
def office():
    return letters()


def ends(run):
    story = run.story
    return story.state_at(len(story) - 1)


def said(run):
    return [row["what"] for row in run.story.rows()]


def test_the_eighteenth_post_is_the_first_that_fails(office):
    run = office.post(times=20)

    facts = ends(run)
    assert (facts["refused_at"], facts["accepted"], facts["waiting"]) == (18, 17, 16)
    assert run.statuses.index(Status.INSUFFICIENT_BUFFERS) == 17 and len(run.story) == 20
    assert facts["p4_waits"] == office.waiting == 16


def test_two_signals_are_one_bit_and_one_interrupt(office):
    facts = ends(office.signal(3, times=2))

    assert (facts["signals"], facts["interrupts"], facts["bits"], facts["merged"]) == (2, 1, 1, 1)


@pytest.mark.parametrize(
    ("policy", "ending", "status"),
    [("tlfs", "the call fails: INVALID_SYNIC_STATE", 0x18), ("openvmm", "the call succeeds, and nothing happens", 0)],
)
def test_a_masked_source_has_two_policies(policy, ending, status):
    office = letters(masked=True, policy=policy)

    signal, post = office.signal(1), office.post()

    assert signal.story.enums["endings"][str(ends(signal)["ending"])] == ending and signal.statuses == (status,)
    assert post.story.enums["endings"][str(ends(post)["ending"])] == "it lies there, and no interrupt is raised"
    assert ends(post)["withheld"] == 1 and office.slot[0] == 1


def test_the_bytes_on_show_are_the_bytes_of_the_slot_at_every_moment(office):
    seen = []
    run = office.post(b"a long first message")
    for other in (office.post(b"short"), office.read(), office.signal(65), office.post(b"x" * 240)):
        seen.append((len(run.story) - 1, office.slot))
        run = run + other
    story = run.story

    assert story.bytes_at(0, len(story) - 1) == office.slot
    name = story.scene["pages"][0]["name"]
    assert name == "slot of SINT 2, VP 1"
    first = letters()
    one = first.post(b"a long first message")
    assert one.story.bytes_at(0, len(one.story) - 1) == first.slot


def test_bytes_begin_as_what_was_recorded_before(office):
    office.post(b"first")
    before = office.slot
    run = office.free() + office.post(b"second")

    assert run.story.bytes_at(0, 0)[4:] == before[4:] and run.story.bytes_at(0, 0)[:4] == bytes(4)
    assert run.story.bytes_at(0, len(run.story) - 1) == office.slot


def test_the_right_order_is_numbered_as_it_came(office):
    run = office.post() + office.post(b"two") + office.read()
    story = run.story
    frames = [row["what"] for row in story.rows()]

    eom = next(k for k, what in enumerate(frames) if "writes EOM" in what)
    facts = story.state_at(eom)
    assert [facts[f"v1_o{k}"] for k in range(5)] == [1, 2, 3, 4, 5] and facts["v1_step"] == 5
    assert ends(run)["stuck"] == 0 and ends(run)["taken"] == 2


def test_the_wrong_order_shows_its_numbers_and_leaves_a_message(office):
    run = office.post() + office.read("test-then-clear", meanwhile="pending")

    facts = ends(run)
    assert [facts[f"v1_o{k}"] for k in range(4)] == [1, 3, 4, 2]
    assert facts["stuck"] == 1 and facts["waiting"] == 1 and facts["taken"] == 1


def test_a_later_post_or_an_eom_brings_what_was_left(office):
    office.post()
    office.read("no-eom", meanwhile="copy")
    assert ends(office.post(b"later"))["stuck"] == 0

    other = letters()
    other.post()
    other.read("test-then-clear", meanwhile="pending")
    assert ends(other.eom())["stuck"] == 0


def test_a_timer_that_finds_the_slot_full_waits_and_skips(office):
    office.post()
    run = office.timer(10, again=True) + office.wait(35)

    facts = ends(run)
    assert facts["v1_t0n"] == 3 and facts["v1_t0skip"] == 2 and facts["v1_wait2"] == 1
    assert any("skips an expiry" in what for what in said(run))


def test_the_wiring_tells_who_sends_where(office):
    story = office.wiring.story
    picture = next(one for one in story.scene["pictures"] if one["name"] == "Wiring")

    assert "Connection 0x4 of partition 3 leads to port 0x4 of partition 2, SINT 2" in picture["alt"]
    assert story.state_at(0)["p4_made"] == 0 and story.state_at(len(story) - 1)["p4_wired"] == 1


def test_flags_of_a_strip_are_those_that_are_set(office):
    run = office.signal(3) + office.signal(70) + office.read()

    seen = [run.story.state_at(k)["v1_f2_70"] for k in range(len(run.story))]
    assert max(seen) == 1 and seen[0] == seen[-1] == 0


def test_an_overwritten_word_takes_a_flag_that_nobody_saw(office):
    run = office.signal(3) + office.read("plain-flags", meanwhile="flags", flag=9)

    facts = ends(run)
    assert facts["bits"] == 0 and facts["interrupts"] == 2
    assert "without a lock: it held 0x208" in " ".join(said(run))


def test_grains_hold_the_same_rows(office):
    run = office.post() + office.post(b"two") + office.read()

    counts = [len(synic_story(run, grain)) for grain in ("request", "event", "bit")]
    assert counts == sorted(counts) and len(set(counts)) == 3
    with pytest.raises(BadRequest, match="grain"):
        SynicLens("word").story(run.trace)


def test_every_event_of_a_synic_is_told():
    assert set(SYNIC) <= TELLS and set(LEADS) <= set(SYNIC) and set(PHASE_OF) <= set(SYNIC)


def test_a_trace_without_messages_is_refused():
    with pytest.raises(BadRequest, match="SynIC"):
        SynicLens().story(Trace([]))
    assert not of_synic(Trace([]))


def test_the_story_without_what_was_before_knows_only_what_it_saw(office):
    run = office.post()

    told = SynicLens().story(run.trace)

    assert told.enums["modes"][str(told.value("v1_mode2"))] == "not seen"
    assert run.story.enums["modes"][str(run.story.value("v1_mode2"))] == "auto-EOI"


def test_a_picture_in_words_tells_each_source(office):
    story = office.post(b"hello").story
    facts = story.state_at(len(story) - 1)
    words = alt_at(story.scene["pictures"][0], facts, story.kinds_of_facts, story.enums)

    told = "SINT 2: vector 0xf3, auto-EOI; slot type 0x1, 5 bytes, pending 0, 0 wait, 0 flags, 1 raised."
    assert words == told


def test_unknown_orders_and_sizes_are_named(office):
    with pytest.raises(BadRequest, match="test-then-clear"):
        office.read("backwards")
    with pytest.raises(BadRequest, match="at most 240"):
        office.post(b"x" * 241)
    with pytest.raises(BadRequest, match="openvmm"):
        letters(policy="xen")
    assert MESSAGES == 4


def test_compare_names_the_knob_by_its_first_difference():
    runs = []
    for policy in ("tlfs", "openvmm"):
        office = letters(masked=True, policy=policy)
        runs.append(office.post() + office.signal(1))

    told = repr(compare(*runs, ("TLFS", "OpenVMM")))

    assert "signals that failed" in told and "interrupts withheld" in told
    assert "They part at frame 5:" in told and "INVALID_SYNIC_STATE" in told and "dropped without an error" in told


def test_show_and_tell_find_the_lens_by_themselves(office):
    run = office.post()

    assert story_of(run.trace).title == story_of(run).title == "Letters between two partitions"
    assert story_of(office.free() + office.eom()).title == "A SynIC and its receiver"
