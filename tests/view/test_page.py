"""A notebook becomes one page: its text, code and outputs, its players alive, and no script but ours."""

import base64
import json
import re
import zlib

import nbformat
import pytest

from hvlab.errors import BadFile
from hvlab.view.page import lesson, notebook_html
from view.conftest import tiny_notebook


def test_a_notebook_that_is_run_has_players_that_step_and_output_that_is_clean(tmp_path):
    text = notebook_html(tiny_notebook(tmp_path))

    stories = [
        json.loads(zlib.decompress(base64.b64decode(packed)))
        for packed in re.findall(r'<script type="application/json">"([A-Za-z0-9+/=]+)"</script>', text)
    ]
    assert [len(story["scene"]["gates"]) for story in stories] == [1, 0]
    assert not any(story["teacher"] or story["answers"] for story in stories)
    assert "<h1>A tiny lesson</h1>" in text and "<title>A tiny lesson</title>" in text
    assert "mode test" in text
    assert "<script>" not in text and "onerror" not in text.split("</style>")[1].split("<script")[0]
    assert 'alt="four dots"' in text


def test_what_a_question_waits_for_is_folded_and_says_so_and_other_facts_are_folded_without(tmp_path):
    text = notebook_html(tiny_notebook(tmp_path))

    labels = re.findall(r"<summary>([^<]*)</summary><pre>(\w+)", text)
    assert ("What the machine says", "mode") in labels and ("What the machine says (answer first)", "twenty") in labels


def test_without_running_it_the_page_holds_what_is_stored(tmp_path):
    text = notebook_html(tiny_notebook(tmp_path), execute=False)

    assert "A tiny lesson" in text and "mode test" not in text


def test_links_and_markup_in_a_notebook_are_harmless(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell(
            "[a](javascript:hit()) [b](https://example.org) <script>hit()</script> ![c](http://example.org/x.png)"
        )
    ]
    output = nbformat.v4.new_output(
        "display_data", {"text/html": "<b onclick='hit()'>x</b><iframe src='//e'></iframe>"}
    )
    failed = nbformat.v4.new_output("error", ename="E<b>", evalue="\x1b[31mred", traceback=[])
    cells.append(nbformat.v4.new_code_cell("'<b>'", outputs=[output, failed]))
    path = tmp_path / "evil.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)

    text = notebook_html(path, execute=False).split("<main>")[1].split("</main>")[0]

    assert "javascript:" not in text and "<script" not in text and "onclick" not in text and "<iframe" not in text
    assert "example.org/x.png" not in text and 'href="https://example.org"' in text
    assert "E&lt;b&gt;: red" in text


def test_the_first_use_of_a_word_shows_its_card_and_each_part_can_be_linked_to(tmp_path):
    texts = ["# 01 · GPA\n\nA GPA.", "## One *part*\n\nA GPA < 5.", "## Another\n\n`<abbr>`"]
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    path = tmp_path / "01-small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"hvlab": {"terms": ["GPA"]}}), path)

    made = lesson(path, execute=False)

    assert re.findall(r'<abbr title="guest physical address: [^"]+">GPA</abbr>', "".join(made.cells)) != []
    assert "".join(made.cells).count("<abbr") == 1 and "GPA &lt; 5" in made.cells[1] and "&lt;abbr&gt;" in made.cells[2]
    assert made.headings == (("part-1", "One part"), ("part-2", "Another"))
    assert '<h2 id="part-1">One <em>part</em></h2>' in made.cells[1]


def test_what_is_no_notebook_or_does_not_run_is_named(tmp_path):
    for name, content in (("a.ipynb", "{"), ("b.ipynb", "[]")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(BadFile, match="a notebook"):
            notebook_html(tmp_path / name, execute=False)
    with pytest.raises(BadFile, match="can be read"):
        notebook_html(tmp_path / "missing.ipynb")
    path = tmp_path / "fails.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), path)
    with pytest.raises(BadFile, match="ZeroDivisionError"):
        notebook_html(path)
