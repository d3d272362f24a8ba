"""Marks are made from answers alone: whatever else a file claims gains nothing."""

import json

import pytest

from hvlab import cli
from hvlab.lab.check import check
from hvlab.lab.deal import Dealt
from hvlab.lab.items import find_exercise
from hvlab.lab.marks import answer_of, marks
from hvlab.lab.progress import BOOK, Row, given_text
from hvlab.lab.submit import program
from lab.test_referee import walk

E1, E3 = find_exercise("05.E1"), find_exercise("05.E3")


def hand(learner="ada", number=0):
    return Dealt("05.E1", E1, learner, number)


def truth(held):
    return list(E1.truth(held.world))


def row(held, answer, **more):
    words = {"verdict": "wrong", "seed": held.seed_text, "given": json.dumps(answer), "at": "1"}
    return Row(held.learner, "05.E1", "check", **(words | more))


def off(read, cr3, root, gva, access):
    return "ok", gva


def text(words):
    return json.dumps({"name": "walk", "text": f"def walk(read, cr3, root, gva, access): {words}\n"})


def built(function, learner="ada", **more):
    """The row that a check of a function leaves."""
    words = {"seed": Dealt("05.E3", E3, learner, 0).seed_text, "given": program(function), "at": "1"}
    return Row(learner, "05.E3", "check", **(words | more))


def renamed(item, kind, given):
    return Row("ada", item, kind, seed=hand().seed_text, given=given, at="1")


@pytest.fixture
def room(tmp_path):
    (tmp_path / "list.csv").write_text("alias\nada\nbob\n")

    def points(*rows, name="ada.jsonl", text=None):
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(one.line() + "\n" for one in rows) if text is None else text)
        return {line[0]: line[-1] for line in marks(tmp_path / "work", tmp_path / "list.csv").rows}

    return points


def test_a_right_answer_is_a_point_whatever_the_file_says_about_it(room):
    assert room(row(hand(), truth(hand()))) == {"ada": "1", "bob": "0"}


def test_the_last_answer_counts(room):
    assert room(row(hand(), [0, 0, 0]), row(hand(), truth(hand()), at="2"))["ada"] == "1"
    assert room(row(hand(), truth(hand())), row(hand(), [0, 0, 0], at="2"))["ada"] == "0"


def test_a_further_deal_counts_if_it_was_dealt(room):
    dealt = Row("ada", "05.E1", "again", at="0")

    assert room(dealt, row(hand(number=1), truth(hand(number=1))))["ada"] == "1"
    assert room(row(hand(number=1), truth(hand(number=1))))["ada"] == "0"


def test_a_right_function_is_a_point_whatever_its_own_kernel_said(room):
    assert room(built(walk)) == {"ada": "1", "bob": "0"}


def test_a_check_keeps_the_text_by_which_the_function_is_marked(learning, monkeypatch, room, capsys):
    monkeypatch.setenv("HVLAB_LEARNER", "ada")
    check("05.E3", walk)

    kept = BOOK.reading().rows[-1]

    assert json.loads(kept.given)["name"] == "walk" and "ADDRESS = " in json.loads(kept.given)["text"]
    assert room(kept) == {"ada": "1", "bob": "0"}


def test_there_are_at_least_twenty_five_tricks():
    assert len(TRICKS) >= 25


def test_the_same_seed_makes_the_same_marks_and_is_told(room, tmp_path):
    room(built(walk), built(off, at="2"))
    first, again = (marks(tmp_path / "work", tmp_path / "list.csv", 7) for _time in range(2))

    assert first == again and first.notes[-1] == "Functions were run on worlds of seed 0000000000000007."


def test_files_may_lie_in_a_folder_of_the_alias(room):
    assert room(row(hand(), truth(hand())), name="ada/hvlab-progress.jsonl")["ada"] == "1"


WRONG = [0, 0, 0]
TRICKS = {
    "edited verdict": lambda: [row(hand(), WRONG, verdict="right")],
    "another learner's world": lambda: [row(hand(), truth(hand("bob")), seed=hand("bob").seed_text)],
    "another learner's answer": lambda: [row(hand(), truth(hand("bob")))],
    "a row in another's name": lambda: [row(hand("bob"), truth(hand("bob")))],
    "the seed of a worked run": lambda: [row(hand(), truth(hand().other()), seed=hand().other().seed_text)],
    "a seed of one's own": lambda: [row(hand(), truth(hand()), seed="0" * 16)],
    "no seed": lambda: [row(hand(), truth(hand()), seed="")],
    "not a number": lambda: [row(hand(), None, given="[NaN, NaN, NaN]")],
    "infinity": lambda: [row(hand(), None, given="[Infinity, 1, 1]")],
    "truth values": lambda: [row(hand(), [True, True, True])],
    "an object": lambda: [row(hand(), {"__class__": "Always", "__eq__": True})],
    "a list of all answers": lambda: [row(hand(), [truth(hand()), WRONG])],
    "code": lambda: [row(hand(), None, given="__import__('os')._exit(0)")],
    "deep nesting": lambda: [row(hand(), None, given="[" * 3000)],
    "a number of many digits": lambda: [row(hand(), None, given="[" + "9" * 3900 + ",1,1]")],
    "empty": lambda: [row(hand(), None, given="")],
    "another kind of act": lambda: [renamed("05.E1", "hint", given_text(truth(hand())))],
    "another item": lambda: [renamed("05.X1", "check", "24")],
    "an id that only looks alike": lambda: [renamed("05.E1 ", "check", given_text(truth(hand())))],
    "a function of another world": lambda: [built(walk, seed="0" * 16)],
    "a function's name": lambda: [built(walk, given="walk", verdict="right")],
    "a function that claims to be right": lambda: [built(off, verdict="right")],
    "a function without text": lambda: [built(walk, given='{"name": "walk"}', verdict="right")],
    "a text that is none": lambda: [built(walk, given='{"name": "walk", "text": 5}', verdict="right")],
    "a name that is none": lambda: [built(walk, given='{"name": "import os", "text": "x = 1"}', verdict="right")],
    "a function that ends the process": lambda: [built(walk, given=text("import os; os._exit(0)"), verdict="right")],
    "a function that asks the lab": lambda: [built(walk, given=text("from hvlab import check; return check"))],
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_gains_a_point(trick, room):
    assert room(*TRICKS[trick]()) == {"ada": "0", "bob": "0"}


@pytest.mark.parametrize("text", ["", "{torn", "\0" * 100, "null\n[]\n", '{"v": 1, "points": 99}\n', "x" * 100_000])
def test_a_file_that_is_none_of_ours_gains_nothing_and_ends_nothing(text, room):
    assert room(text=text) == {"ada": "0", "bob": "0"}


def test_a_link_out_of_the_folder_is_not_followed(room, tmp_path):
    outside = tmp_path / "outside.jsonl"
    outside.write_text(row(hand(), truth(hand())).line() + "\n")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "ada.jsonl").symlink_to(outside)

    assert room(name="bob.jsonl", text="")["ada"] == "0"


def test_what_was_answered_can_be_read_again():
    assert answer_of(E1, given_text((1, 2, 3))) == (1, 2, 3)
    assert given_text(b"\x5d\0") == '"5d 00"' and given_text("guest") == '"guest"'


def test_the_command_prints_a_row_for_each_alias(room, tmp_path, capsys):
    room(row(hand(), truth(hand())))

    assert cli.main(["class", "marks", str(tmp_path / "work"), "--list", str(tmp_path / "list.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == "alias" and lines[1].split()[-1] == "1" and lines[2].split()[-1] == "0"
    assert lines[-1].startswith("Functions were run on worlds of seed ")
    assert (
        cli.main(["class", "marks", str(tmp_path / "work"), "--list", str(tmp_path / "list.csv"), "--seed", "x"]) == 1
    )
    assert "16 digits" in capsys.readouterr().err
    assert cli.main(["class", "marks", str(tmp_path / "work")]) == 1
    assert "--list" in capsys.readouterr().err
