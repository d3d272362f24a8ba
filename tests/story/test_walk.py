"""The lens of a translation tells what the trace holds, cell by cell, and nothing that it does not hold."""

import json

import numpy as np
import pytest

from hvlab.capture.load import load
from hvlab.capture.samples import sample
from hvlab.errors import BadRequest
from hvlab.hardware.tlb import Geometry
from hvlab.story import beside
from hvlab.story import cells as square
from hvlab.story.cells import MOMENTS, NOWHERE, Shape
from hvlab.story.picture import changes_at, elements
from hvlab.story.walk import ENDS, FAULTS, PHASE_OF, PHASES, WalkLens, trace_of
from hvlab.trace import events
from hvlab.trace.event import CATALOGUE, by_name
from hvlab.trace.journal import Trace
from story.walks import (
    CACHED,
    GOLDEN,
    GOLDENS,
    GVA,
    PEEK,
    READ,
    USER,
    WRITE,
    World,
    alt,
    kvm,
    plain,
    sized,
    told,
    unmapped,
)


def story_of(trace, grain="event"):
    return WalkLens(grain).story(trace_of(trace))


def cells(story, k=None):
    """The states of the square as rows of digits, top first."""
    state = story.state_at(len(story) - 1 if k is None else k)
    shape = sorted({name[1:] for name in state if name[0] == "s" and name[1:].isdigit()}, reverse=True)
    rows: dict[str, str] = {}
    for key in shape:
        rows[key[0]] = rows.get(key[0], "") + str(state[f"s{key}"])
    return list(rows.values())


def every_trace():
    """Traces that together hold every event of a translation."""
    yield plain(geometry=CACHED).go((GVA, USER), (GVA, USER | WRITE), (GVA, USER))
    yield plain(geometry=Geometry(structure_ways=0)).go((GVA, USER), (GVA + 8, USER | WRITE))
    yield plain(kind="nested").go((GVA, USER | WRITE))
    yield World().ready().go((GVA, READ), (1 << 50, READ))
    yield from (unmapped(kind).go((GVA, WRITE)) for kind in ("EPT", "nested"))
    world = plain()
    world.below(0x321, flags=2)
    yield world.go((GVA, USER))
    world.entry(world.root, 0, 0x5000 << 12 | 7)
    yield world.go((GVA, USER))
    rows = np.zeros((2, 10), np.int64)
    rows[0, :8] = by_name("stale_entry_used").number, 0, 0, -1, 1, GVA, 0x777ABC, 0
    rows[1, :8] = by_name("tlb_flushed").number, 0, 0, -1, 1, 1, GVA, 0
    yield plain(geometry=CACHED).go((GVA, USER)) + Trace(rows)


# what a reader of the log sees


@pytest.mark.parametrize("name", GOLDENS)
def test_the_story_reads_as_before(name):
    assert told(GOLDENS[name]()) == (GOLDEN / f"{name}.txt").read_text("utf-8")


# counts


@pytest.mark.parametrize(
    "world, reads",
    [
        (plain(4, 4), 24),
        (plain(5, 5), 35),
        (plain(4, 5), 29),
        (plain(5, 4), 29),
        (sized(1, 0), 19),
        (sized(0, 1), 19),
        (sized(1, 1), 15),
        (sized(2, 2), 8),
        (plain(kind="none"), 4),
    ],
    ids=["4x4", "5x5", "4x5", "5x4", "guest 2M", "nested 2M", "both 2M", "both 1G", "no second level"],
)
def test_the_square_counts_every_read(world, reads):
    story = story_of(world.go((GVA, USER)))

    assert story.value("total") == story.value("reads") == reads
    assert "".join(cells(story)).count(str(square.READ)) == reads


def test_each_address_that_the_real_guest_touched_costs_nineteen_reads():
    machine, touched = kvm(), load(sample("npt_4lvl")).touched_gva.tolist()

    steps = [machine.translate(0, gva, PEEK) for gva in touched]

    assert len(steps) == 160
    assert {step.trace.fact(len(step.trace) - 1, "reads") for step in steps} == {19}


def test_the_real_guest_maps_each_address_to_itself_and_only_the_second_level_moves_it():
    story = story_of(kvm().translate(0, 0x4028_F1A9))

    assert [story.value(name) for name in ("data_gpa", "data_spa", "total")] == [0x4028_F1A9, 0xE347_1A9, 19]
    assert cells(story) == ["11111", "11111", "11111", "44444", "1111"]


def test_the_most_that_a_walk_can_read_is_said_only_after_the_first_step():
    story = story_of(plain().go((GVA, USER)))
    opening = json.dumps([story.describe(0), alt(story, 0), still_words(story, 0), story.rows(0, 0)])

    assert "24" not in opening and "of up to" not in opening
    assert story.state_at(0)["shown"] == 0 and story.state_at(1)["shown"] == 1


def still_words(story, k):
    """Every text of the picture that is seen at a frame."""
    picture = story.scene["pictures"][0]
    asked = changes_at(picture, story.state_at(k), story.changed_at(k), story.kinds_of_facts, story.enums)
    text = {id: rest[0] for id, what, *rest in asked if what == "text"}
    hidden = {id for id, what, *rest in asked if what == "show" and not rest[0]}
    seen, skip = [], set()
    for tag, id, _, _, content in elements(picture["layer"]):
        if id in hidden and isinstance(content, list):
            skip |= {one[1] for one in elements(content)} | {str(one) for one in elements(content)}
        if tag == "text" and id not in hidden and (id not in skip if id else str([tag, id]) not in skip):
            seen.append(text.get(id, content))
    return [words for words in seen if isinstance(words, str) and words]


# cells


def test_each_cell_holds_the_number_and_the_address_of_its_read():
    trace = plain().go((GVA, USER))
    state = story_of(trace).state_at(26)

    number = 0
    for row in trace.of("second_level_entry_read", "table_entry_read"):
        fact, number = trace.facts(row), number + 1
        key = f"{fact.get('guest_level', fact['level'])}{fact['level'] if 'guest_level' in fact else 0}"
        assert (state[f"k{key}"], state[f"a{key}"]) == (number, fact["spa"])
    assert number == 24


def test_a_large_guest_page_crosses_out_the_rows_below_its_leaf():
    assert cells(story_of(sized(1, 0).go((GVA, USER)))) == ["11111", "11111", "11111", "44444", "1111"]


def test_a_large_second_level_page_crosses_out_the_last_reads_of_each_row():
    assert cells(story_of(sized(0, 2).go((GVA, USER)))) == ["11441"] * 4 + ["1144"]


def test_the_structure_cache_spares_whole_rows_and_the_nested_cache_the_left_of_one():
    trace = plain(geometry=CACHED).go((GVA, USER), (GVA, USER | WRITE))

    assert cells(story_of(trace)) == ["22222", "22222", "22222", "22221", "1111"]

    trace = plain(geometry=Geometry(structure_ways=0)).go((GVA, USER), (GVA, USER | WRITE))

    assert cells(story_of(trace)) == ["33331"] * 4 + ["1111"]


def test_a_tlb_hit_spares_everything():
    story = story_of(plain(geometry=CACHED).go((GVA, USER), (GVA, USER)))

    assert cells(story) == [str(square.FROM_TLB) * 5] * 4 + [str(square.FROM_TLB) * 4]
    assert story.value("reads") == 0


def test_each_access_begins_with_an_empty_square():
    story = story_of(plain(geometry=CACHED).go((GVA, USER), (GVA, USER)))
    begun = [k for k in range(len(story)) if story.scene["kinds"][story.columns["kind"][k]]["name"] == "access_begun"]

    assert [set("".join(cells(story, k))) for k in begun] == [{str(square.UNREAD)}, {str(square.UNREAD)}]
    assert [story.value("count", k) for k in begun] == [1, 2]


def test_reads_are_counted_one_at_a_time_and_never_go_back():
    story = story_of(plain().go((GVA, USER)))

    reads = [state["reads"] for state in map(story.state_at, range(len(story)))]

    assert reads == [0, 0, *range(1, 25), 24]


@pytest.mark.parametrize(
    "world, apart", [(plain(), 8), (sized(1, 0), 7), (plain(5, 5), 10)], ids=["4x4", "2 MiB", "5x5"]
)
def test_the_end_sets_two_separate_walks_beside_the_square(world, apart):
    story = story_of(world.go((GVA, USER)))

    assert f"as two separate walks: {apart} reads" in still_words(story, len(story) - 1)
    assert alt(story, len(story) - 1).endswith(f"As two separate walks it would be {apart}.")


# rights, A and D


def test_rights_are_the_and_of_the_entries_read_so_far():
    world = plain()
    world.map(GVA, 0x321, flags=0x65 | 1 << 63)
    world.below(0x321, flags=0x31 | 4, spn=0x777)
    story = story_of(world.go((GVA, USER)))
    state = story.state_at(len(story) - 1)

    assert [state[name] for name in ("guest_w", "guest_u", "guest_x")] == [0, 1, 0]
    assert [state[name] for name in ("nested_r", "nested_w", "nested_x")] == [1, 0, 1]


def test_an_a_bit_written_after_a_read_belongs_to_its_frame():
    story = story_of(plain().go((GVA, USER)))

    assert [story.value(name, 2) for name in ("marked", "a_old", "a_new", "d_old", "d_new")] == [2, 0, 1, 0, 0]
    assert alt(story, 2).endswith("A 0 to 1, D 0 to 0: written to memory.")
    assert story.value("marked", 7) == 0


def test_at_the_finest_grain_each_recorded_row_is_a_frame():
    trace = plain().go((GVA, USER))
    story = story_of(trace, "bit")

    assert [story.describe(k) for k in range(len(story))] == trace.sentences()
    assert story.value("marked", 3) == 2 and "is written: A 0 to 1" in alt(story, 3)


def test_at_the_coarsest_grain_each_access_is_one_frame():
    story = story_of(plain(geometry=CACHED).go((GVA, USER), (GVA, USER), (1 << 50, READ)), "request")

    assert len(story) == 3
    assert "24 table reads" in story.describe(0) and "no table is read" in story.describe(1)
    assert story.describe(2).startswith("The processor raises #GP")


# faults


def fault_story(kind):
    world = World(kind="nested" if kind == 5 else "EPT")
    world.map(GVA, 0x321, flags=0x25 if kind == 1 else 0x67)
    world.ready()
    if kind in (1, 4):
        world.below(0x321, flags=2 if kind == 4 else None)
    if kind == 6:
        world.entry(world.root, 0, 0x5000 << 12 | 7)
    return story_of(world.go((1 << 50 if kind == 2 else GVA, USER | WRITE)))


@pytest.mark.parametrize(
    "kind, row, column, code, reads",
    [
        (1, 1, 0, 0x7, 20),
        (2, NOWHERE, NOWHERE, 0, 0),
        (3, 0, 2, 0x182, 23),
        (4, 0, 1, 0x421002, 24),
        (5, 0, 2, 1 << 32 | 6, 23),
        (6, 4, 3, 0, 1),
    ],
)
def test_a_fault_stops_the_walk_in_its_cell(kind, row, column, code, reads):
    story = fault_story(kind)
    state = story.state_at(len(story) - 1)

    assert (state["fault"], state["row"], state["column"], state["code"]) == (kind, row, column, code)
    assert state["reads"] == reads
    assert state["here_fault"] == (kind != 2)
    if kind != 2:
        assert state[f"s{row}{column}"] == square.FAULT
        assert (state["fault_row"], state["fault_column"]) == (4 - row, 4 - column)
    assert [state[f"c{bit}"] for bit in (0, 1, 2, 32)] == [code >> bit & 1 for bit in (0, 1, 2, 32)]


def test_a_violation_and_a_page_fault_say_who_handles_them():
    guest, exit_ = fault_story(1), fault_story(3)

    assert "#PF, to the guest" in alt(guest, len(guest) - 1)
    assert "EPT violation, to the hypervisor" in alt(exit_, len(exit_) - 1)
    assert "#PF: the guest handles it" in still_words(guest, len(guest) - 1)
    assert "EPT violation: exit to the hypervisor" in still_words(exit_, len(exit_) - 1)


def test_the_lines_of_a_fault_speak_of_bits_that_the_lens_keeps():
    for lines in (beside.PF_LINES, beside.EPT_LINES, beside.NPF_LINES):
        assert {bit for bit, _, _ in lines} <= set(square.CODE_BITS)


def test_what_a_fault_cut_off_stays_unread():
    assert cells(fault_story(3)) == ["11111", "11111", "11111", "11111", "1150"]


# the lens as a whole


def test_every_event_of_a_translation_is_told():
    boxes = {events.PROCESSOR, events.MEMORY, events.TLB}
    walks = [one.name for one in CATALOGUE if one.box in boxes and one.name in vars(events)]

    met = {name for trace in every_trace() for name in trace.kinds()}

    assert set(PHASE_OF) == set(MOMENTS) >= set(walks)
    assert met == set(PHASE_OF)
    assert set(PHASE_OF.values()) == set(PHASES)
    assert set(FAULTS) < ENDS


@pytest.mark.parametrize("grain", ["request", "event", "bit"])
def test_every_frame_is_drawn_and_described(grain):
    for trace in every_trace():
        story = story_of(trace, grain)
        for k in range(len(story)):
            assert alt(story, k) and "{" not in alt(story, k), story.describe(k)
            assert "{" not in " ".join(still_words(story, k))


def test_the_index_boxes_are_cut_from_the_recorded_address():
    state = story_of(plain(5, 5).go((0x00AB_1234_5678_9ABC, USER))).state_at(0)

    assert [state[f"i{level}"] for level in (5, 4, 3, 2, 1, 0)] == [0xAB, 0x24, 0xD1, 0xB3, 0x189, 0xABC]


def test_a_cell_leads_to_the_frame_that_read_it():
    story = story_of(plain().go((GVA, USER)))
    jumps = {id: frame for verb, id, *rest in story.scene["pictures"][0]["bind"] if verb == "jump" for frame in rest}

    assert len(jumps) == 24
    for k in range(2, 26):
        state = story.state_at(k)
        assert jumps[f"at{state['row']}{state['column']}"] == k


def test_each_frame_follows_from_an_earlier_one():
    for trace in every_trace():
        story = story_of(trace)
        kinds = [story.scene["kinds"][number]["name"] for number in story.columns["kind"]]
        for k, cause in enumerate(story.columns["cause"].tolist()):
            assert cause < k
            assert (cause < 0) == (
                int(trace.rows[0, 3]) < 0 and kinds[k] in ("access_begun", "stale_entry_used", "tlb_flushed")
            )


def test_the_same_run_gives_the_same_story_twice():
    first, second = (story_of(plain().go((GVA, USER))) for _ in range(2))

    assert first.digest() == second.digest()
    assert first.digest() != story_of(plain().go((GVA, USER | WRITE))).digest()


def test_the_picture_fits_a_notebook_and_stays_light():
    for world in (plain(), plain(5, 5), plain(kind="none")):
        picture = story_of(world.go((GVA, USER))).scene["pictures"][0]
        assert picture["width"] == 844 and picture["height"] <= 480
        assert len(list(elements(picture["layer"]))) <= 600


def test_addresses_too_long_for_a_cell_leave_it_to_the_detail():
    rows = plain().go((GVA, USER)).rows.copy()
    reads = rows[:, 0] == by_name("table_entry_read").number
    rows[reads, 7] += 1 << 40
    story = story_of(Trace(rows))

    assert "read" in still_words(story, len(story) - 1)
    assert "0x0100_0070_17f0" in alt(story, 6)


def test_a_trace_without_a_translation_has_no_such_story():
    with pytest.raises(BadRequest, match="a trace without one"):
        story_of(Trace(np.zeros((0, 10), np.int64)))
    with pytest.raises(BadRequest, match="request, event, bit"):
        story_of(plain().go((GVA, USER)), "word")


def test_a_shape_beyond_five_levels_is_refused():
    rows = plain().go((GVA, USER)).rows.copy()
    rows[0, 7] = 9

    with pytest.raises(BadRequest, match="at most 5 levels"):
        Shape.of(Trace(rows))
