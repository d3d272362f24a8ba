"""Lesson 01 as a learner runs it: part by part, twice, before and after the predictions."""

import runpy

import pytest

from hvlab import notebooks
from hvlab.lab import predict as asking
from hvlab.lab.items import every, find

BOOK = notebooks.read(notebooks.shipped()[0].parent / "01-partitions.ipynb")
CELLS = {cell["id"]: cell for cell in BOOK["cells"] if cell["cell_type"] == "code"}
ORDER = list(CELLS)
TRUTH = {"01.present": 1, "01.identity": 19, "01.owner": 20, "01.calls": 2}


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    monkeypatch.setattr(asking, "_asked", {})


def run(folder, *ids):
    """Run cells in order, as one program after the import cell; give back what they left."""
    program = folder / "cells.py"
    program.write_text("\n".join("".join(CELLS[id]["source"]) for id in ("01-import", *ids)), encoding="utf-8")
    return runpy.run_path(str(program))


def between(first, last):
    return ORDER[ORDER.index(first) : ORDER.index(last) + 1]


@pytest.mark.parametrize(
    "first, last",
    [
        ("01-warm-up", "01-warm-up"),
        ("01-predict-present", "01-facts"),
        ("01-predict-identity", "01-identity-facts"),
        ("01-predict-owner", "01-owner-facts"),
        ("01-leaves", "01-mask"),
        ("01-predict-calls", "01-calls-facts"),
        ("01-bit", "01-bit"),
        ("01-inspect", "01-inspect-root"),
        ("01-log", "01-own"),
        ("01-worked", "01-E1"),
        ("01-E2-task", "01-E3"),
        ("01-X1-task", "01-X2"),
        ("01-left-out", "01-left-out"),
    ],
)
def test_each_part_runs_alone_after_the_import_cell_and_twice_alike(first, last, tmp_path, capsys):
    once = (run(tmp_path, *between(first, last)), capsys.readouterr().out)[1]
    twice = (run(tmp_path, *between(first, last)), capsys.readouterr().out)[1]

    assert once == twice


def test_a_learner_who_has_not_answered_sees_no_fact(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HVLAB_MODE", "learn")

    run(tmp_path, "01-calls", "01-calls-facts")

    assert capsys.readouterr().out == "Answer 01.calls first, then run this cell again.\n"


def story_about(id, folder):
    from hvlab.story.system import one_load

    found = {"01.present": ("01-act",), "01.identity": ("01-identity",), "01.owner": ("01-owner",)}
    left = run(folder, *found.get(id, ("01-calls",)))
    if id == "01.identity":
        return one_load(left["machine"])
    return left[{"01.present": "asked", "01.owner": "made", "01.calls": "six"}[id]]


@pytest.mark.parametrize("id", TRUTH)
def test_the_machine_answers_each_question_and_each_wrong_model_is_told_by_its_name(id, tmp_path, monkeypatch):
    monkeypatch.setenv("HVLAB_MODE", "learn")
    story = story_about(id, tmp_path)
    gate = find(id).gate(story)

    assert story.value(gate.fact) == TRUTH[id]
    assert len(gate.wrong) == len(find(id).models)
    assert all(model["value"] != TRUTH[id] and 0 < model["frame"] < len(story) for model in gate.wrong)
    for model in find(id).models:
        asked = asking.again(id)
        value = model.answer(story)
        asked.give(bool(value) if asked.item.kind == "yes" else value, "sure")
        assert f"{model.name}: {model.says}" in str(asked.outcome(story))


def test_every_question_of_the_lesson_is_asked_in_it():
    asked = "".join("".join(cell["source"]) for cell in CELLS.values())

    assert set(TRUTH) == {id for id in every() if id.startswith("01.")}
    assert [id for id in TRUTH if f'predict("{id}")' not in asked] == []


def test_more_rights_change_the_answer_and_not_the_depth(tmp_path, capsys):
    run(tmp_path, "01-bit")

    said = capsys.readouterr().out
    assert "PARTITION_TOO_DEEP" in said and "denies" not in said


def test_the_real_guest_is_told_with_its_numbers():
    shown = "".join(str(output) for output in CELLS["01-log"]["outputs"])

    assert "0x003b_8030_0000_ae7f" in shown and "0xc2c: bits 2, 3, 5, 10, 11" in shown
    assert "create_partitions (32)" in shown and "access_reset_msr (7)" in shown


def test_what_is_stored_gives_no_answer_before_its_gate():
    for id, cell in CELLS.items():
        tags = cell["metadata"].get("tags", [])
        shown = "".join(str(output) for output in cell["outputs"])
        if "story" in tags and "predict(" in "".join(cell["source"]):
            assert "19 table reads" not in shown and "denies" not in shown and "0x8000_0000" not in shown, id
        if "check" in tags:
            assert cell["metadata"]["jupyter"]["outputs_hidden"] is True, id
