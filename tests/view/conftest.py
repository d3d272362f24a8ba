"""Says what of the browser's code was not run by Node here."""

import os
import shutil
from pathlib import Path

import pytest

NODE = shutil.which("node")
REQUIRED = os.environ.get("CI") == "true" or os.environ.get("HVLAB_REQUIRE_BROWSER") == "1"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not NODE and not REQUIRED:
        terminalreporter.write_line("not run: the browser's code under Node, because no `node` was found")


CELLS = [
    ("markdown", "# A tiny lesson\n\nA *counter* with `code` and a table.\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
    ("code", "import sys\nsys.path[:0] = {paths!r}\nfrom story.counter import counter\nfrom hvlab.view import show"),
    ("code", "show(counter())"),
    ("hidden", "import os\nprint('mode', os.environ['HVLAB_MODE'])"),
    ("hidden", "print('twenty')  # tell(story, predict('00.load'))"),
    ("code", "from IPython.display import HTML, SVG, display\ndisplay(HTML('<b>x</b><img src=x onerror=hit()>'))"),
    ("code", "dot = '<svg xmlns=\"http://www.w3.org/2000/svg\"/>'\n"
             "display({{'image/svg+xml': dot}}, raw=True, metadata={{'alt': 'four dots'}})"),
    ("code", "show(counter(30, gates=()))"),
]  # fmt: skip


def tiny_notebook(folder: Path) -> Path:
    """A notebook with two players, a hidden output and some hostile markup."""
    import nbformat

    root = Path(__file__).parents[2]
    paths = [str(root), str(root / "tests")]
    cells = []
    for kind, source in CELLS:
        if kind == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(source))
            continue
        cells.append(nbformat.v4.new_code_cell(source.format(paths=paths)))
        if kind == "hidden":
            cells[-1].metadata["jupyter"] = {"outputs_hidden": True}
    path = folder / "tiny.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path
