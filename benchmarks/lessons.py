"""What a lesson costs its reader: from Run to the first story, and the memory of its kernel after the last cell."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import benchmarks.screen as screen
from benchmarks.browser import SIZE, NotHere, chromium
from benchmarks.notebook import IDLE, PROBE, ROOT, served

CELL_SECONDS = 300
MEMORY = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))"
RUN_TO = """(cell) => {
  const app = jupyterapp;
  app.shell.currentWidget.content.activeCellIndex = cell;
  probe.begin();
  app.commands.execute('notebook:run-all-above').then(() => app.commands.execute('notebook:run-cell'));
}"""


def paths() -> dict[str, Path]:
    """Return the lessons by their numbers."""
    return {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def first_story(path: Path) -> int:
    """Return the place of the cell that shows a lesson's first story."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return next(
        k for k, cell in enumerate(cells)
        if "story" in cell["metadata"].get("tags", []) and "show(" in "".join(cell["source"])
    )  # fmt: skip


def paint(browser: Any, address: str, name: str, cell: int) -> float:
    """Open a lesson that no kernel has run, run it up to a cell, and return the seconds until its story is painted."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.add_init_script(path=str(PROBE))
    try:
        page.goto(f"{address}/lab/tree/{name}?reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
        page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('notebook:run-all-above')")
        page.wait_for_function(IDLE)
        page.wait_for_timeout(2000)
        page.evaluate(RUN_TO, cell)
        page.wait_for_function("() => probe.told.first")
        found = float(page.evaluate("probe.told.first")) / 1000
        page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        return found
    finally:
        context.close()


def stories(quick: bool) -> Iterator[screen.Found]:
    """Yield, for each lesson, the seconds from Run to its first story, in kernels that have run nothing."""
    times = 1 if quick else 3
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "hvlab", "warm"], cwd=ROOT, env=own, stdout=subprocess.DEVNULL, check=True)
    copies = {f"{number}-{k}.ipynb": path for number, path in paths().items() for k in range(times)}
    with chromium() as browser, served(copies) as address:
        for number, path in paths().items():
            cell = first_story(path)
            found = [paint(browser, address, f"{number}-{k}.ipynb", cell) for k in range(times)]
            yield screen.LESSON_FIRST.format(number), found, "all cells above it included, compiled code from the cache"


def kernels(quick: bool) -> Iterator[screen.Found]:
    """Yield, for each lesson, the memory of its kernel when every cell has run as a learner's fresh copy does."""
    if not Path("/proc/self/status").exists():
        raise NotHere("no /proc to read memory from")
    for number, path in paths().items():
        yield screen.LESSON_MEMORY.format(number), [memory(path) / screen.KIB], "a fresh copy, nothing answered"


def memory(path: Path) -> float:
    """Run a lesson from top to bottom in learn mode, and return the kernel's resident memory in KiB."""
    try:
        import nbformat
        from nbclient import NotebookClient
    except ImportError as missing:
        raise NotHere(f"{missing.name} is not installed") from None
    book = nbformat.read(path, as_version=4)
    book.cells.append(nbformat.v4.new_code_cell(MEMORY))
    with tempfile.TemporaryDirectory(prefix="hvlab-bench-") as folder:
        own = {**os.environ, "PYTHONPATH": str(ROOT), "HVLAB_MODE": "learn", "HVLAB_PROGRESS": f"{folder}/work.jsonl"}
        client = NotebookClient(book, timeout=CELL_SECONDS, resources={"metadata": {"path": folder}})
        client.execute(env=own)
    return float("".join(output["text"] for output in book.cells[-1]["outputs"] if output.get("name") == "stdout"))
