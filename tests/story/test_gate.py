"""Answers in several parts: an order of names, and a yes or no with its reason; the mode in which a gate is open."""

import pytest

from hvlab.cli import main
from hvlab.errors import HvlabError, UnknownMode
from hvlab.story.gate import Gate, answer_text, judge, mode, parse, truth_of
from hvlab.story.storyboard import Fact, Frame, Kind, Storyboard

BOXES = [{"value": 1, "label": "root"}, {"value": 2, "label": "child"}, {"value": 10, "label": "hypervisor"}]
CAUSES = [
    {"value": 1, "label": "it is asked to"},
    {"value": 2, "label": "it decides so"},
    {"value": 4, "label": "it must"},
]


def order(**more):
    wrong = [{"value": 0x12A, "name": "as-shown", "says": "they come from below."}]
    return Gate("order", 0, "Who first?", "order", "order", choices=BOXES, wrong=wrong, **more)


def why(wrong=(), **more):
    return Gate("why", 0, "Does it?", "yes", "state", wrong=[*wrong], because="cause", **({"reasons": CAUSES} | more))


def story(*gates, true_order=0xA12, cause=2):
    facts = [Fact("order"), Fact("state"), Fact("cause")]
    frames = [Frame("step"), Frame("step", facts={"order": true_order, "state": 1, "cause": cause})]
    return Storyboard.from_frames("A story", frames, kinds=[Kind("step", "It steps.")], facts=facts, gates=gates)


def told(gate, value, **more):
    board = story(gate, **more)
    scene = board.scene["gates"][0]
    return judge(scene, value, truth_of(scene, lambda fact: board.value(fact, scene["at"])))


# an order


def test_an_order_is_the_digits_of_its_names_and_reads_as_an_arrow():
    gate = order().as_json(1)

    assert [parse(gate, text) for text in ("10, 1, 2", "hypervisor → root → child", [10, 1, 2], "2578")] == [0xA12] * 4
    assert answer_text(gate, 0xA12) == "hypervisor → root → child"


def test_an_order_is_right_wrong_or_a_known_idea():
    assert told(order(), 0xA12).right
    assert str(told(order(), 0x21A)) == (
        "You said child → root → hypervisor. The machine gives hypervisor → root → child."
    )
    assert told(order(), 0x12A).explains == "as-shown: they come from below."


@pytest.mark.parametrize(
    "choices, true_order, sentence",
    [
        (BOXES[:1], 0xA12, "at least two choices"),
        ([*BOXES, BOXES[0]], 0xA12, "different values from 1 to 15"),
        ([*BOXES, {"value": 16, "label": "x"}], 0xA12, "different values from 1 to 15"),
        (BOXES, 0xA13, "does not name each choice once"),
        (BOXES, 0x12A, "stand in the true order"),
    ],
)
def test_an_order_that_cannot_be_answered_or_answers_itself_is_no_gate(choices, true_order, sentence):
    gate = Gate("order", 0, "Who first?", "order", "order", choices=choices)

    with pytest.raises(ValueError, match=sentence):
        story(gate, true_order=true_order)


# a yes or no with a reason


def test_both_parts_of_an_answer_with_a_reason_are_judged():
    outcomes = {value: told(why(), value) for value in (5, 3, 4, 2)}

    assert [one.right for one in outcomes.values()] == [True, False, False, False]
    assert str(outcomes[3]) == (
        "You said yes, because it is asked to. The machine gives yes, because it decides so. "
        "The answer is right; the reason is another one."
    )
    assert outcomes[4].explains == "The reason is right; the answer is not." and outcomes[2].explains == ""


def test_a_wrong_idea_that_names_a_reason_comes_before_one_that_does_not():
    wrong = [
        {"value": 0, "name": "never", "says": "it does."},
        {"value": 0, "reason": 4, "name": "must-not", "says": "nobody forbids it."},
        {"value": 1, "reason": 4, "name": "forced", "says": "nobody forces it."},
    ]

    named = {value: told(why(wrong), value).model for value in (2, 8, 9, 3, 5)}

    assert named == {2: "never", 8: "must-not", 9: "forced", 3: "", 5: ""}


@pytest.mark.parametrize(
    "more, cause, sentence",
    [
        ({"reasons": CAUSES[:2]}, 2, "at least three"),
        ({"reasons": [*CAUSES, CAUSES[0]]}, 2, "different values"),
        ({"reasons": [*CAUSES, {"value": 0, "label": "x"}]}, 2, "different values"),
        ({}, 3, "the true reason 3 is none"),
    ],
)
def test_reasons_that_do_not_hold_the_true_one_or_are_too_few_are_no_gate(more, cause, sentence):
    with pytest.raises(ValueError, match=sentence):
        story(why(**more), cause=cause)


def test_a_reason_comes_from_a_fact_of_the_story():
    gate = Gate("why", 0, "Does it?", "yes", "state", reasons=CAUSES, because="moon")

    with pytest.raises(ValueError, match="'moon' is no fact"):
        story(gate)


def test_a_gate_without_reasons_is_written_as_before():
    assert "reasons" not in Gate("yes", 0, "Does it?", "yes", "state").as_json(1)


def test_the_truth_is_told_as_it_was_asked_so_the_sentence_gives_no_kind():
    gate = Gate("moon", 0, "What?", "int", "state", tells="It is {value:enum:moons}.")

    with pytest.raises(ValueError, match="gives {value} a kind"):
        story(gate)


# the mode


def test_an_unknown_mode_is_one_line_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setenv("HVLAB_MODE", "exam")

    with pytest.raises(UnknownMode) as caught:
        mode()

    line = "HVLAB_MODE is 'exam'; it may be learn, teach or test"
    assert str(caught.value) == line and caught.value._render_traceback_() == [line]
    assert isinstance(caught.value, HvlabError) and caught.value.modes == ("learn", "teach", "test")


def test_a_notebook_shows_the_line_in_the_place_of_a_traceback(monkeypatch, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("HVLAB_MODE", "exam")
    shell = InteractiveShell()

    shell.run_cell("from hvlab.story.gate import mode\nmode()")

    assert capsys.readouterr().out.strip() == "HVLAB_MODE is 'exam'; it may be learn, teach or test"


def test_a_command_prints_the_line_and_fails(monkeypatch, capsys):
    monkeypatch.setenv("HVLAB_MODE", "exam")

    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == "hvlab: HVLAB_MODE is 'exam'; it may be learn, teach or test\n"
