"""The lessons as files: their one committed form, refresh, copies for students, and a wrong output is found."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_notebook import Cell, code, notebook, printed, text
from whole_site import whole_run

from hvlab import notebooks
from hvlab.errors import BadFile, BadRequest, HvlabError

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


# ---- the committed form ----


@pytest.fixture
def after_a_run() -> Cell:
    """A notebook as JupyterLab leaves it after a run."""
    widget = {notebooks.VIEW: {"model_id": "1f"}, "text/plain": "Player()", "text/html": ["<figure>\n", "</figure>"]}
    shown = {"output_type": "display_data", "data": widget, "metadata": {"isolated": True}}
    return notebook(
        text("# 00 · A title\n\nwith text", "title"),
        code("1 + 1", outputs=[printed("2\n")], execution={"iopub.status.busy": "2026"}, collapsed=True),
        code("tell()", "check", outputs=[printed("a\n"), printed("b\n")], jupyter={"outputs_hidden": True}),
        code("show()", "story", outputs=[shown]),
        code("x", "check", outputs=[{"output_type": "execute_result", "data": {"text/plain": "3"}, "metadata": {},
                                     "execution_count": 9}]),
        kernelspec={"name": "my-own"}, language_info={"name": "python", "version": "3.11.7"}, widgets={"state": {}},
        hvlab={"number": "00"},
    )  # fmt: skip


def test_only_tagged_cells_keep_their_outputs_and_their_position(after_a_run: Cell) -> None:
    cells = notebooks.normalise(after_a_run)["cells"]

    assert [cell.get("execution_count") for cell in cells] == [None, None, 2, 3, 4]
    assert [len(cell.get("outputs", [])) for cell in cells] == [0, 0, 1, 1, 1]
    assert cells[4]["outputs"][0]["execution_count"] == 4


def test_pieces_of_one_print_become_one(after_a_run: Cell) -> None:
    cells = notebooks.normalise(after_a_run)["cells"]

    assert cells[2]["outputs"] == [printed("a\nb\n")]


def test_what_belongs_to_one_run_goes_and_what_the_author_wrote_stays(after_a_run: Cell) -> None:
    result = notebooks.normalise(after_a_run)

    assert result["metadata"] == {
        "hvlab": {"number": "00"}, "kernelspec": notebooks.KERNEL, "language_info": {"name": "python"},
    }  # fmt: skip
    assert result["cells"][2]["metadata"] == {"tags": ["check"], "jupyter": {"outputs_hidden": True}}
    assert result["cells"][1]["metadata"] == {}
    assert result["cells"][3]["outputs"][0]["metadata"] == {}
    assert set(result["cells"][3]["outputs"][0]["data"]) == {"text/plain", "text/html"}
    assert [cell["id"] for cell in result["cells"]] == [cell["id"] for cell in after_a_run["cells"]]


def test_an_output_that_is_only_a_widget_is_not_stored() -> None:
    bare = {"output_type": "display_data", "data": {notebooks.VIEW: {"model_id": "1f"}}, "metadata": {}}

    assert notebooks.normalise(notebook(code("show()", "story", outputs=[bare])))["cells"][0]["outputs"] == []


def test_an_error_shown_on_purpose_keeps_its_words_without_colours_and_paths() -> None:
    error = {"output_type": "error", "ename": "BadRequest", "evalue": "no VP 7", "traceback": ["\x1b[31m/home/me/x.py"]}

    stored = notebooks.normalise(notebook(code("vp(7)", "check", outputs=[error])))["cells"][0]["outputs"]

    assert stored[0]["traceback"] == ["BadRequest: no VP 7"]


def test_doing_it_twice_changes_nothing_more(after_a_run: Cell) -> None:
    untouched = copy.deepcopy(after_a_run)

    once = notebooks.text_of(notebooks.normalise(after_a_run))
    twice = notebooks.text_of(notebooks.normalise(json.loads(once)))

    assert twice == once
    assert after_a_run == untouched


def test_the_first_use_of_a_word_of_the_lesson_carries_its_card() -> None:
    book = notebook(text("# 00 · GPA"), text("A GPA, and `GPA`."), text("A GPA."), hvlab={"terms": ["GPA"]})

    once = notebooks.normalise(book)
    said = [cell["source"] for cell in once["cells"]]

    assert said[0] == "# 00 · GPA" and said[2] == "A GPA."
    assert re.fullmatch(r'A <abbr title="guest physical address: [^"]+">GPA</abbr>, and `GPA`\.', said[1])
    assert notebooks.normalise(once) == once


def test_the_committed_text_is_what_the_notebook_library_writes(after_a_run: Cell) -> None:
    import nbformat

    ours = notebooks.text_of(notebooks.normalise(after_a_run))

    assert nbformat.writes(nbformat.reads(ours, as_version=4)) + "\n" == ours


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "JSON"), ("[]", "4.5"), ('{"nbformat": 3}', "4.5"), ('{"nbformat": 4, "cells": [{}]}', "an id of ours")],
)
def test_a_file_that_is_no_notebook_of_ours_is_named_with_what_is_wrong(
    tmp_path: Path, content: str, says: str
) -> None:
    path = tmp_path / "00-odd.ipynb"
    path.write_text(content)

    with pytest.raises(BadFile, match=f"00-odd.*{says}"):
        notebooks.read(path)


# ---- refresh ----


def test_refresh_stores_what_a_fresh_kernel_prints_in_test_mode_and_then_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "00-small.ipynb"
    run = code("import os\nprint(os.environ['HVLAB_MODE'], 6 * 7)", "check")
    path.write_text(json.dumps(notebook(code("print('not stored')"), run)))

    first, second = notebooks.refresh(path), notebooks.refresh(path)

    assert (first, second) == ("00-small.ipynb: 1 stored cells, renewed", "00-small.ipynb: 1 stored cells, unchanged")
    assert notebooks.read(path)["cells"][1]["outputs"] == [{**printed(""), "text": ["test 42\n"]}]


def test_refresh_of_a_notebook_that_fails_says_where_and_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "00-small.ipynb"
    path.write_text(json.dumps(notebook(code("1 / 0", "check"))))
    before = path.read_text()

    with pytest.raises(HvlabError, match=r"00-small.*ZeroDivisionError"):
        notebooks.refresh(path)
    assert path.read_text() == before


def test_without_a_run_only_the_form_is_renewed_and_the_outputs_stay(tmp_path: Path) -> None:
    path = tmp_path / "00-small.ipynb"
    book = notebook(code("print(1 / 0)", "check", outputs=[printed("as it was\n")], collapsed=True), text("A text."))
    path.write_text(json.dumps(book))

    first, second = notebooks.refresh(path, run=False), notebooks.refresh(path, run=False)

    assert (first, second) == ("00-small.ipynb: 1 stored cells, renewed", "00-small.ipynb: 1 stored cells, unchanged")
    cell = notebooks.read(path)["cells"][0]
    assert cell["outputs"] == [{**printed(""), "text": ["as it was\n"]}] and cell["metadata"] == {"tags": ["check"]}


# ---- copies for students ----


def test_a_copy_never_overwrites_what_a_student_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    lessons = [ours / "00-a.ipynb", ours / "01-b.ipynb"]
    for lesson in lessons:
        lesson.write_text("ours")
    monkeypatch.setattr(notebooks, "shipped", lambda: lessons)

    first = notebooks.copy(theirs)
    (theirs / "01-b.ipynb").write_text("my answers")
    second = notebooks.copy(theirs)

    assert [done for _, done in first] == ["copied", "copied"]
    assert [done for _, done in second] == ["already there", "kept yours, which differs"]
    assert (theirs / "01-b.ipynb").read_text() == "my answers"


def test_from_a_wheel_the_lessons_come_first_and_the_lab_asks_for_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, desk = tmp_path / "site" / "hvlab", tmp_path / "desk"
    (package / "_notebooks").mkdir(parents=True)
    desk.mkdir()
    (package / "_notebooks" / "00-a.ipynb").write_text("ours")
    monkeypatch.setattr(notebooks, "HERE", package)

    with pytest.raises(BadRequest, match=r"hvlab notebooks"):
        notebooks.start_page(desk)
    notebooks.copy(desk)

    assert notebooks.start_page(desk) == (desk, "00-a.ipynb")


def test_a_checkout_is_served_whole_with_its_first_lesson() -> None:
    root, page = notebooks.start_page(Path("/"))

    assert root == ROOT
    assert page == (f"notebooks/{LESSONS[0].name}" if LESSONS else "")


# ---- a stored output is compared ----


def nbval(path: Path) -> list[bool]:
    """Whether each code cell of a notebook agrees with what it stores, in a run as the suite runs it."""
    run = [sys.executable, "-m", "pytest", "-q", "-rA", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run += ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", "tests/sanitize.cfg", "--rootdir", str(ROOT)]
    said = subprocess.run([*run, str(path)], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    cells = re.findall(r"^(PASSED|FAILED) .*::Cell (\d+)", said, re.MULTILINE)
    return [result == "PASSED" for result, _ in sorted(cells, key=lambda cell: int(cell[1]))]


def test_a_stored_output_that_is_not_what_the_cell_prints_fails(tmp_path: Path) -> None:
    says = "SPA 0x1dc4_f000, 3 us simulated, wall 12.5 ms, <Machine at 0x7f00aa>\n"
    stored = {
        says: True,
        says.replace("12.5 ms", "7 s").replace("7f00aa", "55ee"): True,  # another wall time, another object
        says.replace("f000", "e000"): False,  # a wrong address
        says.replace("3 us", "4 us"): False,  # a wrong simulated time
        "": False,
    }
    cells = [code(f"print({says[:-1]!r})", "check", outputs=[printed(words)] if words else []) for words in stored]
    path = tmp_path / "00-small.ipynb"
    book = notebook(code("print('ran, not compared')"), *cells)
    for number, cell in enumerate(book["cells"]):
        cell["id"] = f"00-{number}"
    path.write_text(notebooks.text_of(notebooks.normalise(book)))

    assert nbval(path) == [True, *stored.values()]


def corrupted(lesson: Cell) -> Cell:
    """The lesson up to its first stored cell that prints text, with one digit of that text changed."""
    for number, cell in enumerate(lesson["cells"]):
        for output in cell.get("outputs", []):
            words = "".join(output.get("text", ""))
            if found := re.search(r"\d", words):
                digit = str((int(found.group()) + 1) % 10)
                output["text"] = words[: found.start()] + digit + words[found.end() :]
                return {**lesson, "cells": lesson["cells"][: number + 1]}
    raise AssertionError("no stored cell prints a number")


def test_a_corrupted_output_of_a_real_lesson_fails(tmp_path: Path) -> None:
    for lesson in LESSONS[:1]:
        path = tmp_path / lesson.name
        path.write_text(json.dumps(corrupted(notebooks.read(lesson))))

        *before, last = nbval(path)

        assert all(before) and not last
    assert len(LESSONS[:1]) == bool(LESSONS)


def test_every_lesson_prints_what_it_stores_also_without_nbval(tmp_path_factory: pytest.TempPathFactory) -> None:
    ran = whole_run(tmp_path_factory)
    for path in LESSONS:
        stored, printed_now = (said(notebooks.read(one)) for one in (path, ran / path.name))

        assert printed_now == {**printed_now, **stored}, path.name
        assert stored, path.name


def said(book: Cell) -> dict[str, str]:
    """Cell id to the text that a stored cell prints, measured times taken out."""
    cells = [cell for cell in notebooks.normalise(book)["cells"] if "check" in cell["metadata"].get("tags", ())]
    words = {cell["id"]: "".join(out.get("text", "") for out in cell["outputs"]) for cell in cells}
    return {name: re.sub(r"wall \d+(\.\d+)? ?\w+", "wall TIME", text) for name, text in words.items()}
