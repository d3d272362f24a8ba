"""Checks: answers are read by their type, wrong ones are diagnosed, nothing is given away and nothing is raised."""

import enum

import numpy as np
import pytest

from hvlab.errors import BadRequest
from hvlab.lab import check as checking
from hvlab.lab import progress
from hvlab.lab.answer import (
    MISSING,
    Bytes,
    Collection,
    Listed,
    Number,
    Record,
    Sentence,
    Unread,
    Word,
    differences,
    record,
)
from hvlab.lab.check import case, check, task
from hvlab.lab.deal import again, hand
from hvlab.lab.exercise import Exercise, NoWorld, Wrong
from hvlab.story.walk import story_of

E1 = "05.E1"


class Page(enum.IntEnum):
    SIZE = 4096


# reading


@pytest.mark.parametrize(
    "given", [24, "24", "0x18", "0X18", " 2_4 ", np.int64(24), np.uint8(24), np.int32(24), "0x0000_0018", "0 x18"]
)
def test_a_number_is_read_in_every_form(given):
    assert Number().read(given) == 24


@pytest.mark.parametrize(
    "given", ["24 reads", 3.0, True, np.True_, float("nan"), None, "", "0x", b"\x18", [24], "1" * 81]
)
def test_what_is_no_whole_number_is_refused_with_what_is_wanted(given):
    with pytest.raises(Unread, match="wanted a whole number such as 24 or 0x18"):
        Number().read(given)


def test_kinds_of_integers_become_plain_ones():
    assert type(Number().read(Page.SIZE)) is int and type(Number().read(np.uint64(2**63))) is int


def test_an_address_out_of_range_is_named_with_its_range():
    with pytest.raises(Unread, match="wanted a number from 0x0 to 0xfff"):
        Number("spa", high=4095).read(1 << 52)
    with pytest.raises(Unread, match=r"wanted an address \(SPA\) such as"):
        Number("spa").read("here")


@pytest.mark.parametrize(
    "given",
    [b"\x5d\0\1", bytearray(b"\x5d\0\1"), "5d 00 01", "5D0001", "0x5d 0x00 0x01", [0x5D, 0, 1], np.array([93, 0, 1])],
)
def test_bytes_are_read_in_every_form(given):
    assert Bytes(3).read(given) == b"\x5d\0\1"


def test_a_wrong_length_says_both_lengths_and_where_to_look():
    with pytest.raises(Unread, match="4097 bytes: wanted 4096; look at byte 4096 first"):
        Bytes(4096).read(bytes(4097))
    with pytest.raises(Unread, match="13 elements: wanted 14; look at event 13 first"):
        Listed(Number(), 14, "event").read(range(13).__class__ and list(range(13)))
    with pytest.raises(Unread, match="element 1: x: wanted"):
        Listed(Number(), 2).read([1, "x"])


def test_fields_come_by_name_or_in_order():
    shape = record(gpa=Number("gpa"), reads=Number())

    assert shape.read({"reads": 19, "gpa": "0x10"}) == shape.read([16, 19]) == shape.read((16, 19)) == (16, 19)
    for given, said in [
        ({"gpa": 1}, "'reads' is not there yet"),
        ({"gap": 1, "reads": 2}, "the field gap: wanted gpa"),
        ({"gpa": "x", "reads": 2}, "gpa: x: wanted"),
        ([1], "wanted the fields"),
        (7, "wanted the fields"),
    ]:
        with pytest.raises(Unread, match=said):
            shape.read(given)


def test_words_sentences_and_sets():
    assert Word(("guest", "hypervisor")).read(" Guest ") == "guest"
    assert Collection().read({3, 1}) == Collection().read([1, 3, 1]) == (1, 3)
    assert Sentence().read("An IOMMU serves devices.\n") == "An IOMMU serves devices.\\n"
    for shape, given in [
        (Word(("a",)), "b"),
        (Collection(), 5),
        (Sentence(), " "),
        (Sentence(3), "long"),
        (Listed(), 5),
    ]:
        with pytest.raises(Unread):
            shape.read(given)


def test_an_answer_is_not_asked_whether_it_is_right():
    class Sly(dict):
        def __eq__(self, other):
            return True

        def values(self):
            raise AssertionError("asked")

        __hash__ = None
        __getitem__ = __iter__ = keys = values

    assert record(a=Number()).read(Sly(a=5)) == (5,)


def test_what_is_missing_of_a_set_is_not_named():
    assert differences(Collection(), (1, 2), (2, 3)) == ["the element 0x1", MISSING]
    assert differences(Listed(Number()), (1, 2), (1, 2, 3)) == ["the number of elements", "element 2"]
    assert differences(Bytes(), b"\1\2", b"\1\3") == ["byte 0x1"]
    assert differences(record(a=Listed(Number(), 2)), ((1, 2),), ((1, 3),)) == ["a, element 1"]
    assert isinstance(record(a=Number()), Record)


# verdicts


def truth(id=E1):
    held = hand(id)
    return held.item.truth(held.world)


def test_without_an_answer_it_says_what_it_waits_for(capsys):
    verdict = check(E1)

    assert verdict.verdict == "waiting"
    assert capsys.readouterr().out == (
        "05.E1 waits for the fields {'gpa': …, 'spa': …, 'reads': …}. The task: task('05.E1').\n"
    )


def test_the_right_answer_is_right_and_says_what_was_tested(capsys):
    assert check(E1, truth()).right

    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == "05.E1: right." and lines[1].startswith("Tested: one walk") and "not tested: 5 levels" in lines[1]
    )


def test_a_known_idea_is_named_with_its_rule_and_where_it_parts(capsys):
    gpa, spa, reads = truth()
    verdict = check(E1, (gpa, spa, hand(E1).item.wrong[0].answer(hand(E1).world)[2]))

    said = capsys.readouterr().out
    assert verdict.models == ("one-after-the-other",) and verdict.frame is not None
    assert "The rule: Intel SDM" in said and f"at frame {verdict.frame}" in said
    assert str(reads) not in said.replace(str(verdict.frame), "")


def test_ideas_that_agree_are_all_named_and_the_small_case_is_asked(capsys):
    def said(world):
        return 5

    models = [
        Wrong(name, "it is so.", "walk", said, None, asks) for name, asks in (("one", "And with two?"), ("two", ""))
    ]

    lines = checking.diagnosis("05.E9", models, "")

    assert lines == ("05.E9: not yet. Several ideas give this answer: one, two.", "And with two?")


def test_an_answer_that_no_idea_gives_hears_of_the_first_place_and_not_of_what_is_right(capsys):
    gpa, spa, reads = truth()

    verdict = check(E1, {"gpa": gpa ^ 0x1000, "spa": spa, "reads": reads})

    said = capsys.readouterr().out
    assert verdict.verdict == "wrong" and not verdict.models
    assert "The first difference: gpa." in said and f"{gpa:x}" not in said.replace("_", "") and str(gpa) not in said


def test_an_address_of_another_kind_is_an_answer_and_its_kind_is_named(capsys):
    gpa, spa, reads = truth()

    verdict = check(E1, {"gpa": spa, "spa": spa, "reads": reads})

    said = capsys.readouterr().out
    assert verdict.verdict == "wrong" and "The first difference: gpa, which is the SPA that you found." in said
    assert check(E1, (spa, gpa, 0)).verdict == "wrong"


def test_what_cannot_be_read_is_no_attempt(capsys):
    assert check(E1, [1, 2]).verdict == "unread"
    assert not progress.BOOK.memory and "Nothing is recorded." in capsys.readouterr().out


def test_an_unknown_id_is_answered_with_the_nearest(capsys):
    assert check("05.E7", 1).verdict == "unknown"
    assert "try 05.E" in capsys.readouterr().out
    with pytest.raises(BadRequest):
        task("05.E7")


def test_a_mistake_of_the_lab_does_not_look_like_one_of_the_learner(monkeypatch, capsys):
    monkeypatch.setattr(checking, "judge", lambda *given: 1 / 0)

    assert check(E1, [1, 2, 3]).verdict == "trouble"
    said = capsys.readouterr().out
    assert "the lab itself failed here (ZeroDivisionError)" in said and "Traceback" not in said


def test_a_sentence_is_kept_and_not_judged(capsys):
    assert check("05.X2", "The processor walks both levels; an IOMMU serves devices.").verdict == "kept"
    assert progress.BOOK.memory[-1].verdict == "kept" and progress.BOOK.memory[-1].kind == "exit"


def test_every_verdict_has_at_most_six_lines_and_shows_itself_once(capsys):
    verdict = check(E1, [0, 0, 0])

    assert len(verdict.lines) <= 6 and repr(verdict) == "Verdict(05.E1, wrong)"
    assert verdict._ipython_display_() is None


def test_a_new_deal_is_another_world(capsys):
    before = repr(task(E1))

    after = again(E1)

    assert after is None and repr(task(E1)) != before
    assert "a new world is dealt, number 2" in capsys.readouterr().out
    assert again("05.reads").answer is None  # a prediction


def test_two_learners_have_two_worlds():
    assert hand(E1, "ada").seed != hand(E1, "bob").seed == hand(E1, "bob").seed
    with pytest.raises(BadRequest, match="letters, digits"):
        hand(E1, "Ada Lovelace")


def test_a_world_in_which_a_wrong_model_is_right_is_never_dealt():
    item = Exercise(
        "99.E1", 1, "trace", Number(), lambda draw: draw.below(4), lambda world: "", lambda world: world, "all",
        wrong=(Wrong("always-two", "it is so.", "walk", lambda world: 2),),
    )  # fmt: skip

    assert {item.deal(seed) for seed in range(60)} == {0, 1, 3}
    stuck = Exercise("99.E2", 1, "trace", Number(), lambda draw: 2, lambda w: "", lambda w: w, "all", wrong=item.wrong)
    with pytest.raises(NoWorld, match="no world"):
        stuck.deal(1)


def test_several_answers_may_be_right():
    item = Exercise(
        "99.E3", 1, "trace", Number(), lambda draw: 3, lambda w: "", lambda w: w, "all", fits=lambda w, n: n % w == 0
    )  # fmt: skip

    assert item.right(3, 9, 3) and not item.right(3, 8, 3)


# functions


def test_an_exception_of_the_learner_is_shown_with_its_case_and_line(capsys):
    def walk(read, cr3, root, gva, access):
        return {}["gone"]

    verdict = check("05.E3", walk)

    said = capsys.readouterr().out
    assert verdict.case == 0 and "Case 0:" in said and "raised KeyError: 'gone' in line" in said
    assert "Traceback" not in said and "show(case('05.E3', 0)) replays it." in said


def test_an_endless_loop_ends_with_its_budget(capsys):
    def walk(read, *more):
        while True:
            try:
                read(0)
            except Exception:
                return ("ok", 0)

    check("05.E3", walk)

    assert "read memory more than 64 times" in capsys.readouterr().out


def test_a_result_of_another_form_is_named(capsys):
    check("05.E3", lambda *given: "ok")
    assert "returned ok: wanted the fields" in capsys.readouterr().out

    check("05.E3", lambda *given: ("maybe", 1))
    assert "outcome: maybe: wanted one of ok, page_fault, ept_violation" in capsys.readouterr().out


def test_an_exception_without_a_text_of_its_own_does_no_harm(capsys):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    def walk(*given):
        raise Odd

    assert check("05.E3", walk).verdict == "wrong"
    assert "raised Odd in line" in capsys.readouterr().out


def test_ctrl_c_stops_a_check_and_records_nothing(capsys):
    def walk(*given):
        raise KeyboardInterrupt

    assert check("05.E3", walk).verdict == "stopped"
    assert "stopped at case 0; nothing is recorded" in capsys.readouterr().out and not progress.BOOK.memory


def test_a_function_sees_copies_only(capsys):
    from hvlab.lab.construct import hidden

    held = hand("05.E3")
    worlds, _truths = hidden(held, held.item)
    before = [dict(world.words) for world in worlds[:20]]

    check("05.E3", lambda read, *given: (read.__closure__ and "ok", 0))

    assert [dict(world.words) for world in worlds[:20]] == before


def test_only_a_function_is_run(capsys):
    assert check("05.E3", 5).verdict == "unread" and check("05.E3").verdict == "waiting"
    assert "wanted a function" in capsys.readouterr().out


def test_a_case_is_replayed_as_a_story(capsys):
    story = case("05.E3", 17)

    assert story_of(story) is story and "asks for" in story.describe(0)
    for asked in (("05.E3", 1000), ("05.E3", True), ("05.E3", None), (E1, 1)):
        with pytest.raises(BadRequest):
            case(*asked)


def test_a_task_tells_all_that_is_needed_and_lets_the_memory_be_read():
    text = repr(task(E1))

    assert text.startswith("05.E1: The children web and db") and text.count("\n") > 15
    assert task(E1).look.read64(8) == 0 and task("05.E3").look is None and task("05.X1").look is None
    assert "Write walk(read, cr3, root, gva, access)" in repr(task("05.E3"))


def test_a_right_function_is_timed_beside_the_engine_outside_of_tests(learning, capsys):
    from lab.test_items_05 import walker

    assert check("05.E3", walker).right

    assert "Wall: your function" in capsys.readouterr().out.splitlines()[-1]


def test_an_unknown_mode_is_one_line_that_names_the_three(monkeypatch, capsys):
    monkeypatch.setenv("HVLAB_MODE", "exam")

    assert check("05.E1", 1).verdict == "unknown"
    assert capsys.readouterr().out == "HVLAB_MODE is 'exam'; it may be learn, teach or test\n"
