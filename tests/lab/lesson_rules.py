"""What every lesson owes, as tests that its module imports; `LESSON` and `PARTS` are the module's own.

`PARTS` are pairs of cells: each part, from the first to the last of them, runs alone.
"""


def test_each_part_runs_alone_after_the_import_cell_and_twice_alike(lesson_part, request, tmp_path, capsys):
    once, again = request.module.LESSON.twice(tmp_path, capsys, *lesson_part)

    assert once == again


def test_every_code_cell_belongs_to_a_part_that_was_run_alone(request):
    assert request.module.LESSON.left_alone(request.module.PARTS) == []


def test_every_question_of_the_lesson_is_asked_in_it(request):
    assert request.module.LESSON.unasked() == []
