"""A prediction is in before the story goes on; its first answer stays; what cannot be read changes nothing."""

import numpy as np
import pytest
from story.walks import GVA, USER, WRITE, unmapped

from hvlab.errors import BadRequest
from hvlab.hardware.tlb import Geometry
from hvlab.lab import items
from hvlab.lab import predict as asking
from hvlab.lab.items import Item, l05
from hvlab.lab.left_out import confessions, left_out
from hvlab.lab.predict import Prediction, again, as_typed, predict
from hvlab.lab.tell import shortened, tell
from hvlab.lab.walks import one_walk
from hvlab.story.cells import NOWHERE
from hvlab.story.gate import judge, truth_of
from hvlab.story.walk import story_of
from hvlab.view import show

ID = "05.reads"
REASONS = items.find("05.violation").reasons


def blocked():
    """A walk that the second level refuses: the guest maps a page that it does not have."""
    return unmapped().go((GVA, USER | WRITE))


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    monkeypatch.setattr(asking, "_asked", {})


@pytest.fixture
def learner(monkeypatch):
    monkeypatch.setenv("HVLAB_MODE", "learn")


def judged(story, value, id=ID):
    gate = items.find(id).gate(story).as_json(len(story) - 1)
    return judge(gate, value, truth_of(gate, lambda fact: story.value(fact, gate["at"])))


# answers


def test_the_first_answer_stays():
    assert (predict(ID, 8, "sure").answer, predict(ID, 24).answer) == (8, 8)
    assert predict(ID).confidence == "sure"


def test_asked_again_the_question_is_open_once_more():
    predict(ID, 8)

    assert again(ID).answer is None and predict(ID).answer is None


@pytest.mark.parametrize(
    "given, read", [(24, 24), ("24", 24), ("0x18", 24), (np.int32(24), 24), ("0x1dc4_f000", 0x1DC4F000)]
)
def test_a_number_is_read_in_every_form_that_the_lab_writes(given, read):
    assert predict(ID, given).answer == read


@pytest.mark.parametrize("given", ["24 reads", 3.0, True, float("nan"), b"24", [24], "", "-3", 1 << 70])
def test_what_is_no_number_is_named_and_nothing_is_recorded(given, capsys):
    asked = predict(ID, given)

    said = capsys.readouterr().out
    assert asked.answer is None
    assert "wanted a whole number such as 24 or 0x18. Nothing is recorded." in said
    assert said.count("\n") == 1


def test_an_answer_is_taken_by_its_type_not_by_its_own_methods(capsys):
    class Sly:
        def __str__(self) -> str:
            return "24"

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None

    assert predict(ID, Sly()).answer is None
    assert "wanted a whole number" in capsys.readouterr().out
    with pytest.raises(ValueError, match="wanted a whole number"):
        as_typed(Sly())


def test_an_unknown_confidence_is_named(capsys):
    assert predict(ID, 8, "certain").answer is None
    assert capsys.readouterr().out.startswith("certain: wanted guess, think or sure.")


def test_yes_and_no_are_answers_to_a_yes_or_no_question():
    item = Item("00.yes", "Is it so?", "yes", "reads", "It is: {value}.")

    given = [Prediction(item) for _ in range(3)]

    assert [one.give(answer) for one, answer in zip(given, (True, "no", "perhaps"), strict=True)][:2] == ["", ""]
    assert [one.answer for one in given] == [1, 0, None]


@pytest.mark.parametrize("given", ["no, 3", (False, 3), ["no", "3"], "no, " + REASONS[3], "6"])
def test_a_reason_is_picked_with_the_yes_or_no(given):
    assert predict("05.violation", given).answer == 6


@pytest.mark.parametrize("given", [True, "no", "no, 4", (False, 3, 3), "perhaps, 3", "7.5", (), 14])
def test_a_yes_or_no_alone_is_no_answer_where_a_reason_is_asked_for(given, capsys):
    assert predict("05.violation", given).answer is None
    assert (
        "wanted yes or no, and the number of a reason, such as no, 1. Nothing is recorded." in capsys.readouterr().out
    )


def test_a_question_with_choices_shows_them_with_their_numbers():
    text = repr(predict("05.violation"))

    assert f"\n  3  {REASONS[3]}\n" in text and "predict('05.violation', (True, 1))" in text
    assert repr(predict("05.violation", "no, 3", "sure")).startswith(
        f"05.violation: you said no, because {REASONS[3]}, sure."
    )


ORDER = Item(
    "00.order", "In which order?", "order", "reads", "{value}.", choices={1: "root", 2: "child", 3: "hypervisor"}
)


@pytest.mark.parametrize("given", [[3, 1, 2], "3, 1, 2", "3 1 2", "hypervisor > root > child", 0x312])
def test_an_order_is_read_as_numbers_or_names(given):
    asked = Prediction(ORDER)

    assert (asked.give(given), asked.answer) == ("", 0x312)
    assert "you said hypervisor → root → child." in repr(asked)


@pytest.mark.parametrize("given", [[3, 1], "3, 1, 1", "3, 1, moon", "312", [[3, 1, 2]], "", "1, 2, 3, 3"])
def test_an_order_that_leaves_a_name_out_or_says_it_twice_is_no_answer(given):
    asked = Prediction(ORDER)

    assert "wanted" in asked.give(given) and asked.answer is None
    assert "predict('00.order', [1, 2, 3])" in repr(asked) and "\n  3  hypervisor\n" in repr(asked)


def test_an_unknown_question_is_answered_with_the_nearest_three():
    with pytest.raises(BadRequest) as caught:
        predict("05.reeds")

    assert caught.value.attempt.split(", ")[0] == ID and caught.value.attempt.count(",") == 2


# wrong models, on the story that they answer about


@pytest.mark.parametrize(
    "guest, second, value, name",
    [
        (12, 12, 8, "one-after-the-other"),
        (12, 12, 20, "forgot-the-last or own-entries-are-free"),
        (12, 12, 4, "guest-walk-only"),
        (12, 12, 25, "counted-the-data"),
        (21, 12, 7, "one-after-the-other"),
        (21, 12, 15, "forgot-the-last"),
        (21, 12, 16, "own-entries-are-free"),
        (30, 30, 4, "one-after-the-other"),
        (30, 30, 6, "forgot-the-last or own-entries-are-free"),
        (12, 12, 17, ""),
    ],
)
def test_a_wrong_answer_is_named_by_the_model_that_gives_it(guest, second, value, name):
    outcome = judged(story_of(one_walk(guest, second)), value)

    assert not outcome.right and outcome.model == name


@pytest.mark.parametrize("guest, second, reads", [(12, 12, 24), (21, 12, 19), (21, 21, 15), (30, 30, 8)])
def test_the_right_answer_is_right_and_no_model_gives_it(guest, second, reads):
    story = story_of(one_walk(guest, second))

    assert judged(story, reads).right
    assert str(reads) not in [str(row["value"]) for row in items.find(ID).gate(story).wrong]


def test_a_model_parts_from_the_machine_at_the_first_read_that_it_leaves_out():
    story = story_of(one_walk())

    frames = {row["name"]: row["frame"] for row in items.find(ID).gate(story).wrong}

    assert story.describe(frames["one-after-the-other"]).startswith("Second level, level 4")
    assert frames["one-after-the-other"] == 2
    assert story.value("total", frames["counted-the-data"]) == 24


def test_models_count_with_caches_and_at_every_grain_alike():
    walked = one_walk(caches=Geometry(l1_ways=0, l2_ways=0), accesses=(4, 4))

    fine, coarse = story_of(walked), story_of(walked, "request")

    assert l05.cells(fine) == l05.cells(coarse) == [(1, 0)]  # all else is cached
    assert fine.value("reads") == 1


def test_the_question_of_the_violation_tells_an_exit_from_an_exception_and_asks_why():
    story = story_of(blocked())

    said = {value: judged(story, value, "05.violation") for value in (6, 3, 7, 12, 2)}

    assert [one.right for one in said.values()] == [True, False, False, False, False]
    assert [one.model for one in said.values()] == ["", *["violation-is-page-fault"] * 2, "nobody-is-told", ""]
    assert said[2].explains == "The answer is right; the reason is another one."
    assert said[6].truth == f"Did the guest get an exception: no, because {REASONS[3]}."
    assert story.value("row", 0) == NOWHERE


def test_every_question_has_its_sentence_and_named_models():
    for id, item in items.every().items():
        assert item.id == id and "?" in item.question and "{value}" in item.tells
        first = [model.says.split()[0] for model in item.models]  # a name such as WinHv keeps its capitals
        assert all(word[0].islower() or any(letter.isupper() for letter in word[1:]) for word in first)
        assert all(model.says.endswith(".") for model in item.models)
        assert not any(word in model.says for model in item.models for word in ("wrong", "simply", "just "))


# modes


def test_a_learner_reads_nothing_before_the_answer_is_in(learner, capsys):
    walked = one_walk()

    tell(walked, predict(ID))

    assert capsys.readouterr().out == f"Answer {ID} first, then run this cell again.\n"


def test_after_the_answer_a_learner_reads_all_and_where_both_part(learner, capsys):
    tell(one_walk(), predict(ID, 8, "sure"))

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("asks for 0x0000_7f12_3456_7abc (user read).")
    assert lines[-1].startswith("You said 8, sure. The machine made 24 reads. one-after-the-other:")


@pytest.mark.parametrize("name", ["teach", "test"])
def test_teachers_and_tests_pass_the_gate(name, monkeypatch, capsys):
    monkeypatch.setenv("HVLAB_MODE", name)

    tell(one_walk(), predict(ID))

    assert "24 table reads" in capsys.readouterr().out
    assert name in repr(predict(ID))


def test_the_question_says_how_to_answer_and_gives_nothing_away(learner):
    text = repr(predict(ID))

    assert "predict('05.reads', your number)" in text and "waits for it" in text
    assert "24" not in text
    assert repr(predict(ID, 24)) == "05.reads: you said 24. The story below it is open."


def test_an_exported_page_says_that_its_story_waits_though_it_is_made_in_test_mode(monkeypatch):
    monkeypatch.setenv("HVLAB_MODE", "test")
    assert "is open (test mode)" in repr(predict(ID))
    monkeypatch.setenv("HVLAB_EXPORT", "1")

    assert "waits for it" in repr(predict(ID)) and "is open" not in repr(predict(ID))


def test_an_answer_in_the_player_opens_the_facts(learner, capsys):
    asked = predict(ID)
    player = show(one_walk(), asked)

    player.answer(ID, "20", "think")
    tell(one_walk(), predict(ID))

    assert (asked.answer, asked.confidence) == (20, "think")
    assert "forgot-the-last" in capsys.readouterr().out


def test_a_player_shown_after_the_answer_is_open_already(learner):
    player = show(one_walk(), predict(ID, 24, "guess"))

    assert player.answers == {ID: {"value": "24", "confidence": "guess"}}


def test_the_stored_copy_of_a_story_ends_at_its_question(learner):
    data, _ = show(one_walk(), predict(ID))._repr_mimebundle_()

    assert "Second level, level 4" not in data["text/html"]
    assert "table reads" not in data["text/html"]


def test_a_prediction_alone_hears_only_its_own_answer():
    asked = Prediction(items.find(ID))

    asked.hear({"05.large": {"value": "19", "confidence": ""}})

    assert asked.answer is None and asked.outcome(story_of(one_walk())) is None


# text


def test_a_long_story_keeps_its_beginning_and_its_end():
    lines = [str(k) for k in range(100)]

    assert shortened(lines, 10) == [*lines[:7], "… 91 more steps …", "98", "99"]
    assert shortened(lines[:9], 10) == lines[:9]


def test_tell_prints_at_most_thirty_lines(capsys):
    tell(one_walk(accesses=(4, 4, 4)))

    assert len(capsys.readouterr().out.splitlines()) == 30


def test_tell_wants_something_that_happened():
    with pytest.raises(BadRequest, match="found a str"):
        tell("a walk")


# what is left out


def test_a_lesson_confesses_what_its_sources_confess():
    notes = left_out("05")

    assert len(notes) >= 7
    assert "hvlab/hardware/tlb.py" in repr(notes) and "pseudo-LRU" in repr(notes)
    assert all(text.endswith(".") and "SIMPLER" not in text for _, text in notes.rows)


def test_a_confession_is_read_to_the_end_of_its_sentence():
    source = (
        '"""Title.\n\nSIMPLER THAN REAL: one thing,\nover two lines.\nMore.\n"""\n    # SIMPLER THAN REAL: another.\n'
    )

    assert confessions(source) == ["One thing, over two lines.", "Another."]


def test_an_unknown_lesson_is_named():
    with pytest.raises(BadRequest, match="try .*05"):
        left_out("99")
