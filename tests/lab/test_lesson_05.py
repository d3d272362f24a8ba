"""Lesson 05 as a learner runs it: part by part, twice, before and after the prediction."""

import runpy

import pytest

from hvlab import notebooks
from hvlab.lab import predict as asking
from hvlab.lab.items import every

BOOK = notebooks.read(notebooks.shipped()[0].parent / "05-second-level.ipynb")
CELLS = {cell["id"]: cell for cell in BOOK["cells"] if cell["cell_type"] == "code"}
ORDER = list(CELLS)
DRAWN = {
    "05-study-tlb",
    "05-study-tlb-facts",
    "05-study-pages",
    "05-study-pages-facts",
}  # seconds each; nbval runs them


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    monkeypatch.setattr(asking, "_asked", {})


def run(folder, *ids):
    """Run cells in order, as one program after the import cell; give back what they left."""
    program = folder / "cells.py"
    program.write_text("\n".join("".join(CELLS[id]["source"]) for id in ("05-import", *ids)), encoding="utf-8")
    return runpy.run_path(str(program))


def between(first, last):
    return [id for id in ORDER[ORDER.index(first) : ORDER.index(last) + 1] if id not in DRAWN]


@pytest.mark.parametrize(
    "first, last",
    [
        ("05-predict-reads", "05-beside-facts"),
        ("05-predict-large", "05-kvm-facts"),
        ("05-predict-huge", "05-huge"),
        ("05-knob", "05-knob"),
        ("05-cache", "05-cache"),
        ("05-readonly", "05-readonly"),
        ("05-stale", "05-stale"),
        ("05-two", "05-two"),
        ("05-left-out", "05-left-out"),
    ],
)
def test_each_part_runs_alone_after_the_import_cell_and_twice_alike(first, last, tmp_path, capsys):
    once = (run(tmp_path, *between(first, last)), capsys.readouterr().out)[1]
    twice = (run(tmp_path, *between(first, last)), capsys.readouterr().out)[1]

    assert once == twice


def test_a_learner_who_has_not_answered_sees_no_fact(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HVLAB_MODE", "learn")

    run(tmp_path, "05-act", "05-watch", "05-facts")

    assert capsys.readouterr().out == "Answer 05.reads first, then run this cell again.\n"


def test_a_learner_who_answered_by_rote_is_told_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HVLAB_MODE", "learn")
    asking.predict("05.large", 24)
    asking.predict("05.reads", 8, "sure")

    run(tmp_path, "05-act", "05-facts", "05-kvm", "05-kvm-facts")

    said = capsys.readouterr().out
    assert "You said 8, sure. The machine made 24 reads. one-after-the-other:" in said
    assert "You said 24. The machine made 19 reads.\n" in said


def test_the_lesson_finds_what_it_promises(tmp_path, capsys):
    found = run(tmp_path, *between("05-predict-reads", "05-kvm"))

    assert (found["step"].outcome, found["blocked"].outcome, found["unmapped"].outcome) == (
        "ok",
        "ept_violation",
        "page_fault",
    )
    assert (found["real"].spa, found["real"].ok) == (0xE347_1A9, True)
    assert capsys.readouterr().out


def test_reads_of_a_read_only_table_and_forgotten_flushes_are_told(tmp_path, capsys):
    run(tmp_path, "05-readonly", "05-stale", "05-two")

    lines = capsys.readouterr().out.splitlines()
    assert "EPT violation at GPA 0x0001_3b38 (the guest's level-1 table)" in lines[0]
    assert "stale, a flush is owed" in lines[1]
    gpas, spas = zip(*((line.split()[4], line.split()[7]) for line in lines[2:]), strict=True)
    assert len(set(gpas)) == 1 and len(set(spas)) == 2


def test_every_question_of_the_lesson_is_asked_in_it():
    asked = "".join("".join(cell["source"]) for cell in CELLS.values())

    assert [id for id in every() if id.startswith("05.") and f'predict("{id}")' not in asked] == []


def test_what_is_stored_gives_no_answer_before_its_gate():
    """Cells above the facts show the first frame only, and facts are folded."""
    for id, cell in CELLS.items():
        tags = cell["metadata"].get("tags", [])
        shown = "".join(str(output) for output in cell["outputs"])
        if "story" in tags and "predict(" in "".join(cell["source"]):
            assert "table reads" not in shown and "raises" not in shown, id
        if "check" in tags:
            assert cell["metadata"]["jupyter"]["outputs_hidden"] is True, id
