"""A fresh copy, Run All, nothing answered: every lesson reaches its end as a learner has it, and gives nothing away."""

import pytest

from hvlab import notebooks
from lab.lesson import Lesson

DRAWN = frozenset({"05-study-tlb", "05-study-tlb-facts", "05-study-pages", "05-study-pages-facts"})  # seconds each
LESSONS = [Lesson(path.stem, DRAWN) for path in notebooks.shipped()]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)
def test_run_all_reaches_the_end_and_every_gate_and_exercise_waits(lesson, tmp_path, monkeypatch, learning, capsys):
    monkeypatch.chdir(tmp_path)
    ids = [id for id in lesson.cells if id not in lesson.drawn and not id.endswith("-import")]

    lesson.run(tmp_path, *ids)

    said = capsys.readouterr().out
    waiting = [id for id in ids if 'check("' in lesson.source(id) and "answer=None" in lesson.source(id)]
    assert waiting and said.count(" waits for ") >= len(waiting)
    asked = [id for id in lesson.questions if f"Answer {id} first, then run this cell again." in said]
    facts = [id for id in lesson.questions if any(f'predict("{id}")' in lesson.source(cell)
                                                   for cell in ids if "tell(" in lesson.source(cell))]  # fmt: skip
    assert set(facts) <= set(asked) and len(facts) >= 2
