"""A class: a sheet of seeds from aliases, and a report that says what to teach tomorrow."""

import csv

import pytest

from hvlab import cli
from hvlab.errors import BadFile, HvlabError
from hvlab.lab import classroom, items
from hvlab.lab.deal import hand
from hvlab.lab.progress import Row


def sheet(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_sheet_names_the_seed_that_each_learner_will_get(tmp_path):
    path = sheet(tmp_path, "alias,desk\nada,1\n\nblue-heron,2\n")

    rows = list(csv.DictReader(classroom.seeds(path, "05").splitlines()))

    assert [row["alias"] for row in rows] == ["ada", "blue-heron"]
    assert rows[0]["05.E1 v1"] == hand("05.E1", "ada").seed_text
    assert len(rows[0]) == 1 + len(items.exercises_of("05"))


@pytest.mark.parametrize(
    "text, where",
    [
        ("name\nada\n", "row 1"),
        ("", "row 1"),
        ("alias\nada\nAda Lovelace\n", "row 3, column 1 (alias)"),
        ("desk,alias\n1,ada\n2,ada\n", "row 3, column 2 (alias)"),
        ("desk,alias\n1,ada\n2\n", "row 3, column 2"),
        ("desk,alias\n1,\n", "row 2, column 2 (alias)"),
        ("alias\n", "the list"),
        ('alias\n"ada\n', "the file"),
    ],
)
def test_a_bad_row_is_named_by_number_and_column_and_nothing_is_written(tmp_path, text, where, capsys):
    path = sheet(tmp_path, text)

    with pytest.raises(BadFile) as caught:
        classroom.seeds(path)
    assert caught.value.where == where

    assert cli.main(["class", "seeds", str(path)]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1


def test_a_list_that_is_no_text_or_not_there_is_one_sentence(tmp_path):
    for path in (sheet(tmp_path, "alias\nä\n", "latin-1"), tmp_path / "gone.csv"):
        with pytest.raises(BadFile):
            classroom.aliases(path)
    big = tmp_path / "big.csv"
    big.write_bytes(b"alias\n" + b"a" * classroom.LARGEST)
    with pytest.raises(BadFile, match="at most"):
        classroom.aliases(big)
    with pytest.raises(HvlabError, match="No lesson 99"):
        classroom.seeds(sheet(tmp_path, "alias\nada\n"), "99")


def work(folder):
    """Two learners' files; the second is torn in one line."""
    rows = [
        Row("ada", "05.reads", "predict", verdict="wrong", model="one-after-the-other", confidence="sure", at="1"),
        Row("ada", "05.E1", "check", verdict="wrong", model="forgot-the-last", at="2"),
        Row("ada", "05.E1", "check", verdict="wrong", model="forgot-the-last", at="3"),
        Row("ada", "05.E1", "hint", hint=2, at="4"),
        Row("ada", "05.E1", "check", verdict="right", at="5"),
        Row("bob", "05.E1", "check", verdict="wrong", model="forgot-the-last or iommu-does-it", at="6"),
        Row("bob", "05.reads", "predict", verdict="right", confidence="sure", at="7"),
    ]
    (folder / "ada").mkdir()
    (folder / "ada" / "hvlab-progress.jsonl").write_text("".join(row.line() + "\n" for row in rows[:5]))
    text = "".join(row.line() + "\n" for row in rows[5:])
    (folder / "bob.jsonl").write_text(text.replace("\n", "\n{torn\n", 1))


def test_a_report_counts_attempts_hints_confidence_and_wrong_models(tmp_path):
    work(tmp_path)

    by_item, by_model = classroom.report(tmp_path)

    assert by_item.rows == (
        ("05.E1", "2", "4", "1", "0", "1 x 2", ""),
        ("05.reads", "2", "2", "1", "1", "", "1 of 2"),
    )
    assert by_model.rows == (
        ("forgot-the-last", "05.E1", "2"),
        ("iommu-does-it", "05.E1", "1"),
        ("one-after-the-other", "05.reads", "1"),
    )
    assert by_item.notes == ("bob.jsonl: line 2 is torn or foreign; it was skipped and left as it is.",)


def test_the_command_prints_both_tables(tmp_path, capsys):
    work(tmp_path)

    assert cli.main(["class", "report", str(tmp_path)]) == 0

    said = capsys.readouterr().out
    assert "sure and wrong" in said and "wrong model" in said and said.count("\n\n") == 1


def test_a_folder_without_work_is_one_sentence(tmp_path, capsys):
    assert cli.main(["class", "report", str(tmp_path)]) == 1
    assert "no progress file" in capsys.readouterr().err


def test_the_sheet_is_printed_by_the_command(tmp_path, capsys):
    assert cli.main(["class", "seeds", str(sheet(tmp_path, "alias\nada\n")), "--lesson", "05"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("ada,")
