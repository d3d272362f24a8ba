"""The form of a lesson: each rule finds its breach in a small notebook, and every lesson keeps them all."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_notebook import Cell, code, notebook, printed, text

from hvlab import notebooks

LESSONS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
PARTS = ["title", "warm-up", "question", "predict", "act", "watch", "bytes", "modify", "exercise", "exit", "left-out"]
MARKS = {"check", "story", "own", "raises-exception", "nbval-check-output"}
NEEDED = {"title", "question", "predict", "act", "watch"}
ABOUT = {"number", "theme", "minutes", "needs", "boxes", "terms", "errata"}
LONGEST_CELL, LONGEST_FUNCTION, MOST_WORDS = 8, 5, 60


def part(cell: Cell) -> str:
    return next((tag for tag in cell["metadata"].get("tags", ()) if tag in PARTS), "")


def tags(cell: Cell) -> set[str]:
    return set(cell["metadata"].get("tags", ()))


def source(cell: Cell) -> str:
    return "".join(cell["source"])


def problems(book: Cell, name: str) -> list[str]:
    """What is wrong with a lesson, as sentences; none for a good one."""
    kinds = (about, numbering, imports, lengths, known_tags, order, gates, stored, prose)
    return [problem for kind in kinds for problem in kind(book, name)]


def about(book: Cell, name: str) -> Iterator[str]:
    known = set(book["metadata"].get("hvlab", {}))
    if known != ABOUT:
        yield f"metadata hvlab: {sorted(known ^ ABOUT)} missing or unknown"
    elif f"{book['metadata']['hvlab']['number']:0>2}-" != name[:3]:
        yield "metadata hvlab: another number than the file's name"
    if "widgets" in book["metadata"]:
        yield "widget state is stored"


def numbering(book: Cell, name: str) -> Iterator[str]:
    ids = [cell["id"] for cell in book["cells"]]
    if len(set(ids)) < len(ids) or not all(one.startswith(name[:3]) for one in ids):
        yield f"cell ids: each once, each beginning with {name[:3]}"
    first = book["cells"][0]
    if part(first) != "title" or not source(first).startswith(f"# {name[:2]} · "):
        yield f"the first cell is the title: # {name[:2]} · and a sentence"


def imports(book: Cell, name: str) -> Iterator[str]:
    if not source(book["cells"][1]).startswith("from hvlab import "):
        yield "the second cell imports from hvlab"
    for cell in book["cells"][2:]:
        if cell["cell_type"] == "code" and re.search(r"^\s*(import|from) ", source(cell), re.MULTILINE):
            yield f"{cell['id']}: an import outside the second cell"


def lengths(book: Cell, name: str) -> Iterator[str]:
    for cell in book["cells"]:
        lines = source(cell).splitlines() if cell["cell_type"] == "code" else []
        if len(lines) > LONGEST_CELL:
            yield f"{cell['id']}: {len(lines)} lines"
        if any(re.match(r"\s*[%!]|class ", line) for line in lines):
            yield f"{cell['id']}: a magic or a class"
        defined = [k for k, line in enumerate(lines) if line.startswith("def ")]
        if defined and len(lines) - defined[0] > LONGEST_FUNCTION and part(cell) != "exercise":
            yield f"{cell['id']}: a long function"


def known_tags(book: Cell, name: str) -> Iterator[str]:
    for cell in book["cells"]:
        if unknown := tags(cell) - set(PARTS) - MARKS:
            yield f"{cell['id']}: unknown tags {sorted(unknown)}"
        if len(tags(cell) & set(PARTS)) > 1:
            yield f"{cell['id']}: two parts in one cell"


def order(book: Cell, name: str) -> Iterator[str]:
    met = list(dict.fromkeys(part(cell) for cell in book["cells"] if part(cell)))
    if met != sorted(met, key=PARTS.index):
        yield f"parts in another order: {met}"
    if lacking := NEEDED - set(met):
        yield f"parts missing: {sorted(lacking)}"


def gates(book: Cell, name: str) -> Iterator[str]:
    asked, before = False, ""
    for cell in book["cells"]:
        asked = asked or part(cell) == "predict"
        if part(cell) == "watch" != before:
            if not asked:
                yield f"{cell['id']}: nothing was predicted before it"
            asked = False
        before = part(cell) or before


def stored(book: Cell, name: str) -> Iterator[str]:
    for cell in book["cells"]:
        if tags(cell) & notebooks.STORED and "nbval-check-output" not in tags(cell):
            yield f"{cell['id']}: stored, without nbval-check-output"
        if "check" in tags(cell) and not cell["metadata"].get("jupyter", {}).get("outputs_hidden"):
            yield f"{cell['id']}: its facts are not folded (jupyter.outputs_hidden)"
        said = json.dumps(cell.get("outputs", []))
        if re.search(r"/home/|/Users/|/tmp/|[A-Z]:\\\\|\\u001b\[", said):
            yield f"{cell['id']}: a path or a colour is stored"
        if '"output_type": "error"' in said and "raises-exception" not in tags(cell):
            yield f"{cell['id']}: an error is stored"


def prose(book: Cell, name: str) -> Iterator[str]:
    words = 0
    for cell in book["cells"][2:]:
        if cell["cell_type"] == "code":
            words = 0
            continue
        shown = re.sub(r"\]\([^)]*\)|<[^>]*>|`", " ", source(cell))
        words += len(re.findall(r"\w[\w'’-]*", shown))
        if words > MOST_WORDS:
            yield f"{cell['id']}: {words} words between two code cells"
        if found := re.search(r"\b(simply|of course|just)\b", shown, re.IGNORECASE):
            yield f"{cell['id']}: {found.group()!r}"


def good() -> Cell:
    about = dict.fromkeys(ABOUT, "") | {"number": "00"}
    cells = [
        text("# 00 · A sentence", "title"), code("from hvlab import Machine"), text("A question?", "question"),
        code("predict()", "predict"), code("act()", "act"), code("show()", "watch", "story", "nbval-check-output"),
        code("tell()", "watch", "check", "nbval-check-output", jupyter={"outputs_hidden": True}),
    ]  # fmt: skip
    for number, cell in enumerate(cells):
        cell["id"] = f"00-{number}"
    return notebook(*cells, hvlab=about)


def spoil(number: int, **change: Any) -> Cell:
    book = good()
    book["cells"][number].update(change)
    return book


def test_a_good_lesson_has_no_problems() -> None:
    assert problems(good(), "00-small") == []


@pytest.mark.parametrize(
    ("book", "says"),
    [
        ({**good(), "metadata": {}}, "metadata hvlab"),
        ({**good(), "metadata": {**good()["metadata"], "widgets": {}}}, "widget state"),
        (spoil(3, id="00-2"), "each once"),
        (spoil(0, source="# Zero"), "the title"),
        (spoil(1, source="import os"), "the second cell"),
        (spoil(4, source="import os"), "outside the second cell"),
        (spoil(4, source="a\n" * 9), "9 lines"),
        (spoil(4, source="%matplotlib inline"), "a magic"),
        (spoil(4, source="def f():\n" + "    a\n" * 5), "a long function"),
        (spoil(4, metadata={"tags": ["act", "nbval-skip"]}), "unknown tags"),
        (spoil(4, metadata={"tags": ["question"]}), "parts missing"),
        (spoil(2, metadata={"tags": ["left-out"]}), "another order"),
        (spoil(3, metadata={"tags": ["question"]}), "nothing was predicted"),
        (spoil(5, metadata={"tags": ["watch", "story"]}), "without nbval-check-output"),
        (spoil(6, metadata={"tags": ["watch", "check", "nbval-check-output"]}), "not folded"),
        (spoil(6, outputs=[printed("in /home/me")]), "a path"),
        (spoil(6, outputs=[{"output_type": "error", "ename": "E"}]), "an error"),
        (spoil(2, source="word " * 61), "61 words"),
        (spoil(2, source="It is simply so."), "'simply'"),
    ],
)
def test_each_rule_of_a_lesson_finds_its_breach(book: Cell, says: str) -> None:
    assert [problem for problem in problems(book, "00-small") if says in problem]


def test_every_lesson_keeps_the_rules() -> None:
    found = {path.name: problems(notebooks.read(path), path.name) for path in LESSONS}

    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_every_lesson_is_committed_in_the_one_form() -> None:
    for path in LESSONS:
        book = notebooks.read(path)

        assert notebooks.text_of(notebooks.normalise(book)) == path.read_text("utf-8"), f"run: hvlab refresh {path}"
    assert all(re.fullmatch(r"\d\d[a-z]?-[a-z0-9-]+\.ipynb", path.name) for path in LESSONS)
