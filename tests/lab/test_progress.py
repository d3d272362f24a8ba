"""Progress: appended, joined, exported; torn lines are skipped and named; nothing personal is written."""

import csv
import json

import pytest

from hvlab.errors import BadRequest
from hvlab.lab import progress
from hvlab.lab.check import check
from hvlab.lab.hint import hint
from hvlab.lab.predict import predict
from hvlab.lab.progress import BOOK, Row, call_me, learner, note, read, row_of, safe
from hvlab.lab.walks import one_walk
from hvlab.view import show


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_act_is_one_line_with_these_fields_and_no_more(learning, book):
    check("05.E1", [0, 0, 0])

    (row,) = rows(book)
    assert set(row) == {
        *("v", "at", "learner", "item", "kind", "seed", "given", "verdict", "model", "hint", "confidence")
    }
    assert (row["v"], row["learner"], row["item"], row["kind"], row["verdict"]) == (
        1,
        "demo",
        "05.E1",
        "check",
        "wrong",
    )
    assert len(row["seed"]) == 16 and row["given"] == "[0, 0, 0]"


def test_no_path_host_or_name_stands_in_a_row(learning, book, tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "ada.lovelace")
    check("05.X2", f"See {tmp_path.name} of mine")
    hint("05.E1", 1)

    assert "ada.lovelace" not in book.read_text() and str(tmp_path) not in book.read_text()


def test_in_test_mode_the_file_is_neither_read_nor_written(book):
    book.write_text(Row("ada", "", "learner", at="2026-01-01").line() + "\n")

    check("05.E1", [0, 0, 0])

    assert learner() == "demo" and len(rows(book)) == 1 and len(BOOK.memory) == 1


def test_the_learner_is_the_one_asked_for_then_the_last_in_the_file_then_demo(learning, book, monkeypatch, capsys):
    assert learner() == "demo"
    call_me("blue-heron")
    assert learner() == "blue-heron" and "blue-heron" in capsys.readouterr().out
    monkeypatch.setenv("HVLAB_LEARNER", "s17")
    assert learner() == "s17"


@pytest.mark.parametrize("name", ["Ada Lovelace", "", "-x", "a" * 33, "ä", 5])
def test_an_alias_is_short_and_plain(name, learning):
    with pytest.raises(BadRequest, match="letters, digits"):
        call_me(name)


def test_a_torn_line_is_skipped_named_by_its_number_and_left_as_it_is(learning, book):
    note("05.E1", "check", verdict="right")
    with book.open("a") as file:
        file.write('{"v": 1, "learner": "ad')

    note("05.E2", "check", verdict="wrong")

    reading = BOOK.reading()
    assert [row.item for row in reading.rows] == ["05.E1", "05.E2"]
    assert reading.skipped == (("work.jsonl", 2),)
    assert "work.jsonl: line 2 is torn or foreign" in repr(progress.progress())
    assert '{"v": 1, "learner": "ad\n' in book.read_text()


@pytest.mark.parametrize(
    "line",
    ["", "5", "[]", "{}", "[" * 5000, '{"v": 2}',
     Row("a b", "x", "check", at="t").line(), Row("a", "x", "eval", at="t").line(),
     Row("a", "x", "check", at="t").line().replace('"hint": 0', '"hint": true'),
     Row("a", "x", "check", at="t").line().replace("}", ', "path": "/x"}'), "x" * 20000],
)  # fmt: skip
def test_a_foreign_line_is_none_of_ours(line):
    assert row_of(line) is None


def test_two_files_join_and_a_row_that_stands_in_both_stands_once(learning, book, tmp_path):
    note("05.E1", "check", verdict="right")
    other = tmp_path / "other.jsonl"
    other.write_text(book.read_text() + Row("demo", "05.E2", "check", at="2020-01-01", verdict="wrong").line() + "\n")

    assert progress.progress.merge(other) == 1 and progress.progress.merge(other) == 0

    assert [row.item for row in BOOK.reading().rows] == ["05.E2", "05.E1"]
    assert len(read([book, other, tmp_path / "nowhere.jsonl"]).rows) == 2


def test_where_nothing_can_be_written_one_line_says_so_and_work_goes_on(learning, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HVLAB_PROGRESS", str(tmp_path / "no" / "folder.jsonl"))

    note("05.E1", "check", verdict="right")
    note("05.E1", "check", verdict="right")

    assert capsys.readouterr().out.count("Progress cannot be written") == 1
    assert len(BOOK.reading().rows) == 2


def test_over_four_mebibytes_a_new_file_is_begun_and_both_are_read(learning, book, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LARGEST", 300)
    for _ in range(4):
        note("05.E1", "check", verdict="right")

    assert "work-2.jsonl was begun" in capsys.readouterr().out
    assert len(BOOK.reading().rows) == 4 and book.with_name("work-2.jsonl").exists()


def test_the_table_shows_lessons_and_parts(learning):
    for item, verdict in [
        ("05.E1", "wrong"),
        ("05.E1", "right"),
        ("05.E2", "wrong"),
        ("05.R1", "right"),
        ("05.reads", "wrong"),
    ]:
        note(item, "check", verdict=verdict)

    lines = repr(progress.progress()).splitlines()

    assert lines[0].split() == ["lesson", "warm-up", "predictions", "E1", "E2", "E3", "exit"]
    assert lines[1].split() == ["05", "1/1", "0/1", "1/1", "0/1"]


def test_the_export_has_one_row_for_each_item(learning, tmp_path):
    note("05.E1", "check", verdict="wrong", model="forgot-the-last", confidence="sure")
    note("05.E1", "hint", hint=2)
    note("05.E1", "check", verdict="right")

    text = progress.progress.csv(tmp_path / "out.csv")

    (row,) = csv.DictReader(text.splitlines())
    assert (tmp_path / "out.csv").read_text() == text
    assert row == {
        "learner": "demo", "item": "05.E1", "attempts": "2", "right": "1", "first": "wrong", "hints": "2",
        "models": "forgot-the-last", "confidence": "sure",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx"])
def test_no_spreadsheet_takes_a_cell_for_a_formula(text):
    assert safe(text) == f"'{text}" and safe("x=1") == "x=1"


def test_on_binder_a_line_says_how_to_keep_the_file(learning, monkeypatch):
    assert "Binder" not in repr(progress.progress())
    monkeypatch.setenv("BINDER_LAUNCH_HOST", "here")
    assert "progress.merge('hvlab-progress.jsonl')" in repr(progress.progress())


def test_a_prediction_is_kept_with_its_confidence_once_the_machine_has_run(learning, book, monkeypatch):
    from hvlab.lab import predict as asking

    monkeypatch.setattr(asking, "_asked", {})
    predict("05.reads", 8, "sure")
    assert not book.exists()

    show(one_walk(), predict("05.reads"))
    show(one_walk(), predict("05.reads"))

    (row,) = rows(book)
    assert (row["kind"], row["given"], row["verdict"], row["confidence"]) == ("predict", "8", "wrong", "sure")
    assert row["model"] == "one-after-the-other"


def test_a_prediction_in_the_player_is_kept_too(learning, book, monkeypatch):
    from hvlab.lab import predict as asking

    monkeypatch.setattr(asking, "_asked", {})
    player = show(one_walk(), predict("05.reads"))
    player.answer("05.reads", 24, "think")

    assert [(row["verdict"], row["confidence"]) for row in rows(book)] == [("right", "think")]


def test_progress_says_what_it_can():
    assert "progress.csv()" in repr(progress.progress)
