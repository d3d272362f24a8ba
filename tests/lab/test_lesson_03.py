"""Lesson 03 as a learner runs it: part by part, twice, before and after the predictions."""

import runpy

import pytest

from hvlab import notebooks
from hvlab.lab import predict as asking
from hvlab.lab.items import every, find
from hvlab.lab.slices import long_call, sweep_slices
from hvlab.story.call import call_story

BOOK = notebooks.read(notebooks.shipped()[0].parent / "03-hypercalls.ipynb")
CELLS = {cell["id"]: cell for cell in BOOK["cells"] if cell["cell_type"] == "code"}
ORDER = list(CELLS)


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    monkeypatch.setattr(asking, "_asked", {})


def run(folder, *ids):
    """Run cells in order, as one program after the import cell; give back what they left."""
    program = folder / "cells.py"
    program.write_text("\n".join("".join(CELLS[id]["source"]) for id in ("03-import", *ids)), encoding="utf-8")
    return runpy.run_path(str(program))


def between(first, last):
    return ORDER[ORDER.index(first) : ORDER.index(last) + 1]


@pytest.mark.parametrize(
    "first, last",
    [
        ("03-warm-up", "03-warm-up"),
        ("03-predict-enable", "03-facts"),
        ("03-order", "03-order"),
        ("03-predict-page", "03-page-facts"),
        ("03-compose", "03-fast"),
        ("03-call", "03-cpl-facts"),
        ("03-predict-rip", "03-rip"),
        ("03-predict-entries", "03-entries-facts"),
        ("03-real", "03-real"),
        ("03-worked", "03-W2"),
        ("03-E1-task", "03-E3"),
        ("03-X1-task", "03-X2"),
        ("03-left-out", "03-left-out"),
    ],
)
def test_each_part_runs_alone_after_the_import_cell_and_twice_alike(first, last, tmp_path, capsys):
    once = (run(tmp_path, *between(first, last)), capsys.readouterr().out)[1]
    twice = (run(tmp_path, *between(first, last)), capsys.readouterr().out)[1]

    assert once == twice


def test_a_learner_who_has_not_answered_sees_no_fact(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HVLAB_MODE", "learn")

    run(tmp_path, "03-act", "03-facts", "03-entries", "03-entries-facts")

    assert capsys.readouterr().out.splitlines() == [
        "Answer 03.enable first, then run this cell again.",
        "Answer 03.entries first, then run this cell again.",
    ]


STORIES = {
    "03.enable": ("03-act", "early"),
    "03.border": ("03-call", "03-border", "across"),
    "03.unmapped": ("03-unmapped", "hole"),
    "03.cpl": ("03-cpl", "program"),
}
TRUTH = {"03.enable": 0, "03.border": 4, "03.unmapped": 0, "03.cpl": 0, "03.page": 13, "03.rip": 0, "03.entries": 28}


def story_about(id, folder):
    if id in STORIES:
        *cells, name = STORIES[id]
        return run(folder, *cells)[name]
    if id == "03.entries":
        return call_story(long_call())
    return call_story(run(folder, {"03.page": "03-page", "03.rip": "03-rip"}[id])["machine"])


@pytest.mark.parametrize("id", TRUTH)
def test_the_machine_answers_each_question_and_each_wrong_model_is_another_answer(id, tmp_path):
    story = story_about(id, tmp_path)
    gate = find(id).gate(story)

    assert story.value(gate.fact) == TRUTH[id]
    assert len(gate.wrong) == len(find(id).models), "each model gives a number of its own here"
    assert all(model["value"] != TRUTH[id] and 0 < model["frame"] < len(story) for model in gate.wrong)
    assert set(TRUTH) == {one for one in every() if one.startswith("03.")}


@pytest.mark.parametrize("id", TRUTH)
def test_a_wrong_answer_is_told_by_its_name(id, tmp_path, monkeypatch):
    monkeypatch.setenv("HVLAB_MODE", "learn")
    story = story_about(id, tmp_path)

    for model in find(id).models:
        asked = asking.again(id)
        value = model.answer(story)
        asked.give(bool(value) if asked.item.kind == "yes" else value, "sure")
        assert f"{model.name}: {model.says}" in str(asked.outcome(story))


def test_the_first_frame_of_each_story_tells_nothing_of_what_follows(tmp_path):
    for id in TRUTH:
        assert story_about(id, tmp_path).describe(0).endswith("is about to begin.")


def test_the_anchors_stand_in_the_lesson():
    shown = {id: "".join(str(output) for output in cell["outputs"]) for id, cell in CELLS.items()}

    assert "0x0014_0019_0000_0003" in shown["03-compose"] and "0x0000_0000_0001_005d" in shown["03-fast"]
    assert "0f 01 c1 c3" in shown["03-order"]
    assert "0x100000003" in shown["03-real"] and shown["03-real"].count("INVALID_CONNECTION_ID") == 4


def test_a_thousand_elements_at_thirty_seven_take_twenty_eight_entries_and_none_twice():
    trace = long_call(1000, 37).trace

    assert sum(1 for _row in trace.of("hypercall_entered")) == 28
    assert [trace.fact(row, "rep") for row in trace.of("rep_done")] == list(range(1000))


def test_a_sweep_says_which_slices_stay_within_the_aim():
    rows = sweep_slices((37, 400, 0), reps=600).rows

    assert [row.entries for row in rows] == [17, 2, 1]
    assert [row.longest <= 50_000 for row in rows] == [True, False, False]


def test_every_question_of_the_lesson_is_asked_in_it():
    asked = "".join("".join(cell["source"]) for cell in CELLS.values())

    assert [id for id in TRUTH if f'predict("{id}")' not in asked] == []


def test_what_is_stored_gives_no_answer_before_its_gate():
    for id, cell in CELLS.items():
        tags = cell["metadata"].get("tags", [])
        shown = "".join(str(output) for output in cell["outputs"])
        if "story" in tags and "predict(" in "".join(cell["source"]):
            assert "INVALID" not in shown and "#GP" not in shown and "#UD" not in shown, id
        if "check" in tags:
            assert cell["metadata"]["jupyter"]["outputs_hidden"] is True, id
