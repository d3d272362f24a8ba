"""The player in a real JupyterLab: it runs, keeps to itself, survives a restart, and its still figure is shown."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from story.counter import GATE, counter

from browser.conftest import keep
from hvlab.view import show

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
LATER = "Gate('later', 20, 'How far does it count?', 'int', 'count')"
CELLS = [
    "import sys\nsys.path[:0] = {paths!r}\nfrom story.counter import GATE, counter\nfrom hvlab.story.gate import Gate\n"
    "from hvlab.view import show",
    f"player = show(counter(gates=[GATE, {LATER}]), teacher=False)\nplayer",
    "player",
    "print('python has', player.answers, player.step)",
]
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
FRAMES = "[...document.querySelectorAll('.hvlab .number')].map((one) => Number(one.value))"
QUIET = ("favicon", "lsp", "ResizeObserver", "translations")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own: own folders, loopback, no token, closed at the end."""
    home = tmp_path_factory.mktemp("lab")
    work = home / "work"
    work.mkdir()
    write_notebooks(work)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")}
    settings = {"ServerApp.token": "", "ServerApp.password": "", "ServerApp.port": port, "ServerApp.ip": "127.0.0.1",
                "ServerApp.root_dir": str(work), "ServerApp.open_browser": False, "ServerApp.allow_root": True,
                "LabApp.expose_app_in_browser": True, "LabApp.news_url": "", "IdentityProvider.token": ""}  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in settings.items())]
    log = (home / "log").open("w")
    server = subprocess.Popen(
        command, env={**os.environ, **own, "HVLAB_MODE": "learn"}, stdout=log, stderr=log, cwd=work
    )
    try:
        yield wait_for(f"http://127.0.0.1:{port}", server, home / "log")
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def wait_for(address, server, log):
    for _ in range(240):
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2).close()
            return address
        except OSError:
            time.sleep(0.25)
    raise AssertionError("JupyterLab did not answer within a minute: " + log.read_text()[-3000:])


def write_notebooks(folder):
    paths = [str(ROOT), str(ROOT / "tests")]
    cells = [nbformat.v4.new_code_cell(source.replace("{paths!r}", repr(paths))) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), folder / "live.ipynb")
    data, _ = show(counter())._repr_mimebundle_()
    del data["application/vnd.jupyter.widget-view+json"]
    stored = nbformat.v4.new_code_cell("show(counter())", execution_count=1)
    stored.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
    nbformat.write(nbformat.v4.new_notebook(cells=[stored], metadata=KERNEL), folder / "stored.ipynb")


@pytest.fixture
def page(chromium, lab):
    """A page at the size of a projector, whose errors are collected."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.errors = []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.open_notebook = lambda name: open_notebook(page, lab, name)
    yield page
    context.close()


def open_notebook(page, lab, name):
    page.goto(f"{lab}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
    page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')")


def command(page, name, arguments=None):
    """Run a command of Lab without waiting for what it returns."""
    page.evaluate(f"() => {{ window.jupyterapp.commands.execute({name!r}, {json.dumps(arguments or {})}) }}")


def frames(page):
    return page.evaluate(FRAMES)


def wait_frames(page, wanted):
    page.wait_for_function(f"() => JSON.stringify({FRAMES}) === '{wanted}'")


def test_the_player_lives_in_jupyterlab(page):
    page.open_notebook("live.ipynb")
    page.wait_for_function("() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    command(page, "notebook:run-all-cells")
    page.wait_for_function("() => document.querySelectorAll('.hvlab .caption:not(:empty)').length === 2")
    page.wait_for_function("() => document.body.textContent.includes('python has')")
    assert page.evaluate("getComputedStyle(document.querySelector('.hvlab')).colorScheme") == "light"

    # two views of one model follow each other
    first = page.locator(".hvlab").first
    first.get_by_role("button", name="Next", exact=True).click()
    wait_frames(page, "[1,1]")

    # letters stay in the player: no cell is added, cut or run
    cells = page.locator(".jp-Cell").count()
    for key in "abdxzm0":
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == cells and frames(page) == [1, 1]

    # a prediction made in the browser opens both views and reaches Python
    page.keyboard.press("End")
    wait_frames(page, f"[{GATE.frame},{GATE.frame}]")
    keep(page, "lab-gate")
    field = first.locator(".gate input[type=text]")
    field.click()
    page.keyboard.type("26")
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    wait_frames(page, "[20,20]")
    page.locator(".jp-CodeCell .cm-content").last.click()
    page.keyboard.press("Shift+Enter")
    page.wait_for_function("() => document.body.textContent.includes(\"python has {'counter.writes': {'value': '26'\")")
    assert "Kernel not connected" not in first.inner_text()

    # the theme is followed by its ground
    command(page, "apputils:change-theme", {"theme": "JupyterLab Dark"})
    page.wait_for_selector(".hvlab.dark")
    keep(page, "lab-dark")

    # after a restart everything goes on but what needs the kernel, and that is said
    command(page, "notebook:restart-kernel")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.wait_for_function("() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'")
    first = page.locator(".hvlab").first
    first.get_by_role("button", name="Back", exact=True).click()
    assert frames(page)[0] == 19
    first.get_by_role("button", name="Next", exact=True).click()
    first.locator(".gate input[type=text]").fill("20")
    first.get_by_role("button", name="Answer", exact=True).click()
    first.get_by_role("button", name="Last", exact=True).click()
    assert frames(page)[0] == len(counter()) - 1
    page.wait_for_function("() => document.querySelector('.gates').textContent.includes('Kernel not connected')")
    assert [error for error in page.errors if not any(word in error for word in QUIET)] == []


def test_a_stored_lesson_shows_its_figure_where_nothing_is_trusted(page):
    page.open_notebook("stored.ipynb")

    picture = page.locator(".jp-OutputArea img")
    picture.wait_for()

    assert picture.get_attribute("alt").startswith("Digits 0, 0, 0")
    assert picture.evaluate("node => node.naturalWidth") == 844
    assert page.locator(".hvlab").count() == 0 and "Error displaying" not in page.inner_text("body")
    page.locator(".jp-OutputArea summary").click()
    assert page.locator(".jp-OutputArea tbody tr").count() == GATE.frame + 1
    keep(page, "lab-stored")
