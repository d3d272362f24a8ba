"""The screen in a real JupyterLab: from a run cell to its paint, and what goes to and from the kernel meanwhile."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import benchmarks.screen as screen
from benchmarks.browser import PROBE, SIZE, NotHere, chromium

ROOT = Path(__file__).resolve().parent.parent
IDLE = "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
MAKE = "import sys\nsys.path.insert(0, {root!r})\nfrom benchmarks.screen import walks\nfrom hvlab.view import show\n"
CELLS = {
    "first": ["story = walks(5_000)\nprint('ready')", "show(story, teacher=True)"],
    "whole": [
        "story = walks(100_000)\nprint('ready')",
        "player = show(story, teacher=True)\nplayer.step = len(story) - 1\nplayer",
    ],
    "views": ["player = show(walks(500), teacher=True)\nprint('ready')", "player", "player"],
}
KEYS = """async (count) => {
  const slider = document.querySelector('.hvlab .slider');
  for (let k = 0; k < count; k++) {
    slider.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
    await new Promise((done) => setTimeout(done, 40));
  }
}"""


def write_notebooks(folder: Path) -> None:
    """Write one notebook for each measurement."""
    import nbformat

    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name, (first, *others) in CELLS.items():
        sources = [MAKE.format(root=str(ROOT)) + first, *others]
        cells = [nbformat.v4.new_code_cell(text) for text in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")


@contextmanager
def served(lessons: Mapping[str, Path] | None = None) -> Iterator[str]:
    """Run a JupyterLab with folders of its own on the loopback, and give its address; `lessons` are copied into it."""
    with tempfile.TemporaryDirectory(prefix="hvlab-bench-", ignore_cleanup_errors=True) as name:
        home, work = Path(name), Path(name) / "work"
        work.mkdir()
        write_notebooks(work)
        for copied, path in (lessons or {}).items():
            shutil.copyfile(path, work / copied)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        settings = {
            "ServerApp.token": "",
            "ServerApp.password": "",
            "ServerApp.port": port,
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.root_dir": str(work),
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "LabApp.expose_app_in_browser": True,
            "LabApp.news_url": "",
            "IdentityProvider.token": "",
        }
        words = [sys.executable, "-m", "jupyterlab", *(f"--{key}={value}" for key, value in settings.items())]
        own = {**os.environ, "PYTHONPATH": str(ROOT), **{key: str(home / key) for key in folders}}
        with (home / "log").open("w") as log, subprocess.Popen(words, env=own, stdout=log, stderr=log, cwd=work) as lab:
            try:
                yield answering(f"http://127.0.0.1:{port}", lab, home / "log")
            finally:
                lab.terminate()
                lab.wait(30)


def answering(address: str, lab: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the server answers."""
    for _ in range(480):
        if lab.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2).close()
            return address
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("JupyterLab did not answer: " + log.read_text()[-2000:])


@contextmanager
def notebook(browser: Any, address: str, name: str) -> Iterator[Any]:
    """Open a notebook, run its first cell, and wait until its story is made."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.add_init_script(path=str(PROBE))
    page.traffic = []
    page.on("websocket", lambda one: listen(one, page.traffic))
    try:
        page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
        page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')")
        page.wait_for_function(IDLE)
        run(page, 0)
        page.wait_for_function("() => document.querySelector('.jp-OutputArea-output')?.textContent.includes('ready')")
        page.wait_for_function(IDLE)
        yield page
    finally:
        context.close()


def listen(websocket: Any, traffic: list[bytes]) -> None:
    """Keep what goes through a kernel's channel, in both directions."""

    def keep(payload: Any) -> None:
        traffic.append(payload if isinstance(payload, bytes) else payload.encode())

    if "/channels" in websocket.url:
        websocket.on("framesent", keep)
        websocket.on("framereceived", keep)


def run(page: Any, cell: int) -> None:
    """Run one cell, and let the probe's clock begin."""
    page.evaluate(f"jupyterapp.shell.currentWidget.content.activeCellIndex = {cell}")
    page.evaluate("() => { probe.begin(); jupyterapp.commands.execute('notebook:run-cell') }")


def cell_to_paint(browser: Any, address: str, what: str, times: int) -> list[float]:
    """Return ms from running the cell to its first painted frame, or to the frame that needs every other."""
    found = []
    with notebook(browser, address, what) as page:
        for _ in range(times):
            page.wait_for_timeout(1000)
            run(page, 1)
            page.wait_for_function(f"() => probe.told.{what}")
            found.append(page.evaluate(f"probe.told.{what}"))
    return found


def traffic(browser: Any, address: str) -> tuple[float, float]:
    """Return the bytes that go through the kernel's channel while two views are stepped, and once they rest."""
    with notebook(browser, address, "views") as page:
        for cell in (1, 2):
            run(page, cell)
        page.wait_for_function("() => document.querySelectorAll('.hvlab .caption:not(:empty)').length === 2")
        page.wait_for_function(IDLE)
        page.wait_for_timeout(3000)
        page.traffic.clear()
        page.evaluate(KEYS, 40)
        stepping = sum(map(len, page.traffic))
        page.wait_for_timeout(3000)
        frames = "[...document.querySelectorAll('.hvlab .number')].map((one) => one.value)"
        assert page.evaluate(frames) == ["40", "40"], json.dumps(page.evaluate(frames))
        return float(stepping), float(sum(map(len, page.traffic)) - stepping)


def in_lab(quick: bool) -> Iterator[screen.Found]:
    """Yield what is measured in JupyterLab."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise NotHere("jupyterlab is not installed")
    times = 3 if quick else 11
    with chromium() as browser, served() as address:
        yield screen.FIRST.format("cell run"), cell_to_paint(browser, address, "first", times), "in JupyterLab"
        yield screen.WHOLE.format("cell run"), cell_to_paint(browser, address, "whole", times), "in JupyterLab"
        stepping, resting = traffic(browser, address)
        yield screen.STEPPING.format("JupyterLab"), [stepping], "40 steps, one each 40 ms"
        yield screen.RESTING, [resting / screen.KIB], "one update, both directions"
