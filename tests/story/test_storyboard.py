"""A story gives back what its frames said, refuses what nobody declared, and stays the same bytes."""

import json
import zlib

import numpy as np
import pytest

from hvlab.errors import BadRequest
from hvlab.story.caption import plain_name, show_value, signed
from hvlab.story.gate import Gate, judge, mode, parse
from hvlab.story.picture import alt_at, changes_at, check_picture, rulers_at
from hvlab.story.storyboard import Fact, Frame, Kind, Storyboard
from hvlab.story.tell import tell, told
from story.counter import ENUMS, FACTS, GATE, KINDS, counter, ticks


@pytest.fixture(scope="module")
def story():
    return counter()


def test_state_at_a_frame_is_what_the_frames_up_to_it_set(story):
    state = {fact.name: fact.start for fact in FACTS}

    for k, frame in enumerate(ticks(20)):
        state |= {name: signed(value) for name, value in frame.facts.items()}

        assert story.state_at(k) == state


def test_states_in_order_are_the_same_as_each_asked_alone(story):
    for k, state in enumerate(story.states(0, len(story) - 1)):
        assert state == story.state_at(k)


def test_a_caption_takes_words_first_and_facts_where_the_event_has_no_such_word(story):
    assert story.describe(0) == "User code asks for tick 0 at 0x0000_0000_7fff_1000."
    assert story.describe(1) == "Digit 0 goes from 0 to 1; the counter is 1."
    assert story.describe(2) == "Tick 0 is done after 1 writes at SPA 0x01dc_4000."


def test_bytes_on_show_follow_the_writes(story):
    assert story.bytes_at(0, 0) == bytes(64)
    assert story.bytes_at(0, 1)[:4] == b"\1\0\0\0"
    assert story.bytes_at(0, len(story) - 1)[16:24] == b"tick 19\0"


def test_the_table_is_one_line_a_frame_under_a_head(story):
    lines = story.table(2).splitlines()

    assert len(lines) == 4
    assert lines[0].split() == ["frame", "time", "phase", "where", "because", "of", "what"]
    assert lines[2].split()[:6] == ["1", "350", "ns", "add", "Counter", "logic"]


def test_the_same_story_has_the_same_digest_and_another_one_another(story):
    assert counter().digest() == story.digest()
    assert counter(19).digest() != story.digest()
    assert repr(story) == f"Storyboard('A counter that carries', {len(story)} frames, {story.digest()[:12]})"


def test_the_scene_is_plain_json_and_the_layout_measures_the_bytes(story):
    scene = json.loads(json.dumps(story.scene))
    layout = scene["bytes"]

    size = sum(int(dtype[1:]) * count for _, _, dtype, count in layout["arrays"]) + layout["arena"]

    assert scene["schema"] == 1
    assert not layout["packed"] and len(story.to_bytes()) == size


def test_a_large_story_is_packed_and_keeps_its_digest_of_raw_bytes():
    story = counter(900, gates=())

    assert story.scene["bytes"]["packed"]
    assert zlib.decompress(story.to_bytes()) == story._raw()


def test_five_hundred_events_fit_into_thirty_kilobytes():
    story = counter(200, gates=())

    assert len(story) > 500
    assert len(zlib.compress(story._raw(), 1)) <= 30 * 1024


def test_words_keep_all_64_bits():
    kind = Kind("said", "Value {value:hex}.", ("value",), ("hex",))

    story = Storyboard.from_frames("x", [Frame("said", (1 << 63 | 1,), {"f": -1})], kinds=[kind], facts=[Fact("f")])

    assert story.describe(0) == "Value 0x8000_0000_0000_0001."
    assert story.state_at(0) == {"f": -1}


@pytest.mark.parametrize(
    "frame, says",
    [
        (Frame("nothing"), "kind 'nothing' is not declared"),
        (Frame("tick_begun", src="moon"), "place 'moon' is not declared"),
        (Frame("tick_begun", facts={"height": 1}), "fact 'height' is not declared"),
        (Frame("tick_begun", cause=0), "not an earlier frame"),
        (Frame("tick_begun", {"colour": 1}), "not ['colour']"),
        (Frame("tick_begun", range(7)), "up to six"),
        (Frame("tick_begun", writes=[("moon", 0, b"x")]), "page 'moon' is not declared"),
        (Frame("tick_begun", writes=[("Counter page", 62, b"long")]), "leave the 64 bytes"),
    ],
)
def test_a_frame_that_names_what_nobody_declared_is_refused(frame, says):
    with pytest.raises(ValueError, match=r".") as caught:
        counter(frames=[frame], gates=())

    assert says in str(caught.value)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"frames": []}, "no frames"),
        ({"facts": [*FACTS, Fact("count")]}, "two declarations"),
        ({"facts": [*FACTS, Fact("odd", kind="furlong")]}, "does not exist"),
        ({"facts": [*FACTS, Fact("odd", kind="word:Moon")]}, "does not declare"),
        ({"kinds": [*KINDS, Kind("bad", "{nobody}")]}, "says {nobody:}"),
        ({"kinds": [*KINDS, Kind("bad", "x", letter="?")]}, "letter '?'"),
        ({"gates": [Gate("g", 99999, "?", "int", "count")]}, "must lie in"),
        ({"gates": [Gate("g", 0, "?", "int", "height")]}, "no fact"),
        ({"gates": [Gate("g", 0, "?", "essay", "count")]}, "kind 'essay'"),
        ({"gates": [Gate("g", 0, "?", "pick", "count")]}, "two choices"),
        ({"gates": [Gate("g", 0, "?", "int", "count", wrong=[{"value": 1}])]}, "name and says"),
    ],
)
def test_a_declaration_that_does_not_hold_together_is_refused(change, says):
    with pytest.raises(ValueError, match=r".") as caught:
        counter(**change)

    assert says in str(caught.value)


def test_a_story_has_an_end_and_says_so(story):
    with pytest.raises(BadRequest) as caught:
        story.state_at(len(story))

    assert str(len(story) - 1) in caught.value.found


def test_a_story_of_more_than_a_hundred_thousand_frames_is_refused():
    many = (Frame("x") for _ in range(100_001))

    with pytest.raises(BadRequest, match="100,000"):
        Storyboard.from_frames("x", many, kinds=[Kind("x", "x")], facts=[])


# pictures


def ask(story, k, bind, layer=None):
    picture = {"name": "p", "bind": bind, "layer": layer or [["rect", "a", "", {}, ""]], "alt": ""}
    check_picture(picture, story.kinds_of_facts, story.scene["words"], story.enums)
    return changes_at(picture, story.state_at(k), story.changed_at(k), story.kinds_of_facts, story.enums)


@pytest.mark.parametrize(
    "binding, answers",
    [
        (["text", "a", "count", "hex"], [["a", "text", "0x1"]]),
        (["say", "a", "{count} of {writes}"], [["a", "text", "1 of 1"]]),
        (["say", "a", {"fact": "count", "cases": {"1": "one"}, "else": "many"}], [["a", "text", "one"]]),
        (["class", "a", "count", {"1": "p", "*": "q"}], [["a", "class", "p", True], ["a", "class", "q", False]]),
        (["class", "a", "count", {"7": "p", "*": "q"}], [["a", "class", "p", False], ["a", "class", "q", True]]),
        (["show", "a", "count"], [["a", "show", True]]),
        (["show", "a", "count", [0, 2]], [["a", "show", False]]),
        (["lit", "a", "on0"], [["a", "class", "lit", True]]),
        (["lit", "a", "digit0", [2]], [["a", "class", "lit", False]]),
        (["changed", "a", "count"], [["a", "class", "changed", True]]),
        (["attr", "a", "width", "count", 4, 2], [["a", "width", 6]]),
        (["jump", "a", 3], []),
    ],
)
def test_a_binding_is_a_function_of_the_facts_of_the_frame(story, binding, answers):
    assert ask(story, 1, [binding]) == answers


@pytest.mark.parametrize(
    "binding, says",
    [
        (["sing", "a", "count"], "no such binding"),
        (["text", "a", "count"], "no such binding"),
        (["show", "b", "count"], "an element that the layer does not have"),
        (["show", "a", "height"], "does not declare"),
        (["attr", "a", "onclick", "count", 1, 0], "moves 'onclick'"),
        (["text", "a", "count", "furlong"], "does not exist"),
        (["say", "a", "{height}"], "no fact"),
        (["say", "a", "{count:furlong}"], "does not exist"),
        (["ruler", "r", "count", "Moon"], "word 'Moon'"),
    ],
)
def test_a_binding_that_cannot_be_drawn_is_refused(story, binding, says):
    with pytest.raises(ValueError, match=r".") as caught:
        ask(story, 0, [binding])

    assert says in str(caught.value)


@pytest.mark.parametrize(
    "layer, says",
    [
        ([["script", "a", "", {}, "alert(1)"]], "with a tag of"),
        ([["rect", "a", "", {"onclick": "x"}, ""]], "geometry only"),
        ([["rect", "a", "", {"style": "x"}, ""]], "geometry only"),
        ([["g", "a", "", {}, [["image", "b", "", {"href": "x"}, ""]]]], "with a tag of"),
        ([["rect", "a", "", {}, ""], ["rect", "a", "", {}, ""]], "two elements"),
    ],
)
def test_a_layer_holds_geometry_and_text_only(story, layer, says):
    with pytest.raises(ValueError, match=r".") as caught:
        ask(story, 0, [], layer)

    assert says in str(caught.value)


def test_rulers_and_the_alternative_text_follow_the_facts(story):
    picture, state = story.scene["pictures"][0], story.state_at(1)

    assert rulers_at(picture, state) == [("register", "register", "Register")]
    assert alt_at(picture, state, story.kinds_of_facts, story.enums).startswith("Digits 0, 0, 1; the counter is 1")


# gates, names, text


@pytest.mark.parametrize("typed, value", [("24", 24), ("0x18", 24), ("0x1dc4_f000", 0x1DC4F000), (" 7 ", 7), (7, 7)])
def test_a_number_is_read_as_decimal_or_hex(typed, value):
    assert parse(GATE.as_json(9), typed) == value


@pytest.mark.parametrize("typed", ["", "many", "0x", "-1", "1.5", "0x1_0000_0000_0000_0000", "9" * 30, "٣"])
def test_what_is_no_number_gets_the_sentence_with_two_examples(typed):
    with pytest.raises(ValueError, match="wanted a whole number such as 24 or 0x18"):
        parse(GATE.as_json(9), typed)


def test_choices_are_read_by_value_or_label_and_several_as_a_sum():
    choices = [{"value": 1, "label": "root"}, {"value": 2, "label": "child"}]
    pick = Gate("g", 0, "?", "pick", "count", choices=choices).as_json(9)
    subset = Gate("g", 0, "?", "subset", "count", choices=choices).as_json(9)

    assert (parse(pick, "child"), parse(pick, "1"), parse(subset, "3")) == (2, 1, 3)
    for gate, typed in ((pick, "3"), (subset, "4"), (subset, "moon")):
        with pytest.raises(ValueError, match="one of the choices"):
            parse(gate, typed)


def test_an_answer_stands_beside_the_truth_and_names_the_wrong_model(story):
    gate = story.scene["gates"][0]

    outcome = judge(gate, 20, story.value("writes", gate["at"]), "sure")

    assert not outcome.right and outcome.frame == 13
    assert str(outcome) == (
        "You said 20, sure. The machine made 26 writes. one write a tick: each carry is a write as well."
    )
    assert judge(gate, 26, 26).right


def test_the_mode_is_test_under_pytest_and_anything_unknown_is_named(monkeypatch):
    assert mode() == "test"
    monkeypatch.setenv("HVLAB_MODE", "exam")
    with pytest.raises(ValueError, match="learn, teach or test"):
        mode()


def test_the_text_ends_at_an_open_gate_in_learn_mode(story, monkeypatch, capsys):
    assert len(told(story).splitlines()) == len(story) + 1
    monkeypatch.setenv("HVLAB_MODE", "learn")

    tell(story)

    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "Answer counter.writes first, then run this cell again."
    assert len(printed) == GATE.frame + 3


@pytest.mark.parametrize(
    "name, shown", [("a\u202eb", "a\\u202eb"), ("\x1b[2J", "\\u001b[2J"), ("x" * 70, "x" * 63 + "…"), ("é", "é")]
)
def test_names_are_short_and_show_their_control_characters(name, shown):
    assert plain_name(name) == shown


def test_the_storys_own_words_come_first_and_unknown_values_are_numbers():
    enums = {"state": {str(k): v for k, v in ENUMS["state"].items()}}

    assert [show_value("enum:state", k, enums) for k in (1, 9)] == ["counting", "0x9"]
    assert show_value("word:Register", 1 << 20) == "0x10_0000" or show_value("word:Register", 1 << 20) == "0x0010_0000"


def test_columns_are_little_endian_and_of_the_declared_width(story):
    assert {name: array.dtype for name, array in story.changes.items()} == {
        "frame": np.dtype("<u4"), "row": np.dtype("<u2"), "lo": np.dtype("<u4"), "hi": np.dtype("<u4"),
    }  # fmt: skip
