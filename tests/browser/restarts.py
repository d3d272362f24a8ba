"""Fifty kernel restarts with three live players of two views each: nothing is left behind (SAFETY: life cycle).

`python -m tests.browser.restarts [TIMES]` from the checkout; the suite does the same with few. After each restart the
old views still step; then every cell is run again, and the new players take the place of the old ones.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

import nbformat  # noqa: E402

from browser.conftest import FLAGS  # noqa: E402
from browser.jupyter import ROOT, command, open_notebook, own_errors, restart, server, wait_idle  # noqa: E402
from conftest import browser_found  # noqa: E402

PLAYERS, VIEWS = 3, 2
SETTLED = 10  # cycles from which on sizes say something: the first ones also load what is loaded once
TIMES = 50
MOST_GROWTH = 0.05  # of the kernel's memory
MOST_HEAP = 384 * 2**10  # bytes of the page, each time: Lab keeps the state of each model; a module each is a MiB more
BOOK = "jupyterapp.shell.currentWidget"
SHOWN = "document.querySelectorAll('.hvlab .caption:not(:empty)').length"
FRAMES = "[...document.querySelectorAll('.hvlab .number')].map((one) => Number(one.value))"
# Not by a pointer: that makes a cell active, and Lab keeps the toolbar of each cell that was.
LAST = """[...document.querySelectorAll('.hvlab button')].filter((one) => /Last/.test(one.textContent))
  .forEach((one) => one.click())"""
CELLS = [
    f"import sys\nsys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]!r}\nfrom story.counter import counter\n"
    "from hvlab.view import show",
    *(f"player{k} = show(counter(20, gates=()))\nplayer{k}" for k in range(PLAYERS)),
    *(f"player{k}" for k in range(PLAYERS)),
    "import comm\nrss = next((line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')), 0)\n"
    "len(comm.get_comm_manager().comms), int(rss)",
]
LOST = """function () {
  const seen = (one) => { try { return one.classList.contains('hvlab') && !one.isConnected } catch { return false } };
  return this.filter(seen).length;
}"""


@dataclass(frozen=True)
class Held:
    """What is alive after a cycle: in the page and in the kernel.

    Attributes
    ----------
    heap : int
        Bytes of the page. It grows a little: the notebook keeps the state of each model that a restart has cut off,
        in case that its view is opened anew: three widgets that are empty cost 0.14 MiB each time, three players 0.16.
        The player's code, which a browser never lets go, is there once.
    lost : int
        Players that no page shows any more and that somebody still holds.
    comms, kernel_comms : int
    kernel : int
        KiB of the kernel.
    """

    heap: int
    lost: int
    comms: int
    kernel_comms: int
    kernel: int


def write(folder: Path) -> None:
    """Write the notebook with the players."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "players.ipynb")


def run_all(page: Any) -> None:
    """Run every cell, and wait until the last one is done and each view stands."""
    command(page, "notebook:run-all-cells")
    last = f"{BOOK}.content.widgets.at(-1).model"
    page.wait_for_function(f"() => {last}.executionState === 'idle' && {last}.outputs.length === 1", timeout=60_000)
    page.wait_for_function(f"() => {SHOWN} === {PLAYERS * VIEWS}")


def held(page: Any, devtools: Any) -> Held:
    """Measure what is alive once the browser has thrown away what is not."""
    for _ in range(3):
        devtools.send("HeapProfiler.collectGarbage")
    kind = devtools.send("Runtime.evaluate", {"expression": "HTMLElement.prototype"})["result"]["objectId"]
    every = devtools.send("Runtime.queryObjects", {"prototypeObjectId": kind})["objects"]["objectId"]
    asked = {"functionDeclaration": LOST, "objectId": every, "returnByValue": True}
    lost = devtools.send("Runtime.callFunctionOn", asked)["result"]["value"]
    devtools.send("Runtime.releaseObject", {"objectId": every})
    found = {one["name"]: int(one["value"]) for one in devtools.send("Performance.getMetrics")["metrics"]}
    comms = page.evaluate(f"{BOOK}.sessionContext.session.kernel._comms.size")
    told = page.evaluate(f"{BOOK}.content.widgets.at(-1).model.outputs.get(0).toJSON().data['text/plain']")
    in_kernel, kernel = map(int, told.strip("()").split(", "))
    return Held(found["JSHeapUsedSize"], int(lost), int(comms), in_kernel, kernel)


def cycles(page: Any, times: int) -> Iterator[Held]:
    """Restart so often; after each restart old views step, and new ones replace them."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    wait_idle(page)
    run_all(page)
    for _ in range(times):
        restart(page)
        page.evaluate(LAST)
        page.wait_for_function(f"() => {FRAMES}.every((k) => k > 0)")
        run_all(page)
        page.wait_for_function(f"() => {FRAMES}.every((k) => k === 0)")
        yield held(page, devtools)


def lived(times: int, folder: Path, browser: Any) -> tuple[list[Held], list[str]]:
    """Do it all in a JupyterLab of its own; return what was held after each cycle, and the errors of the console."""
    (folder / "work").mkdir()
    write(folder / "work")
    with server(folder, HVLAB_MODE="learn", HVLAB_LEARNER="ada") as address:
        context = browser.new_context(viewport={"width": 1280, "height": 2000}, reduced_motion="reduce")
        context.set_default_timeout(90_000)
        page = context.new_page()
        page.errors = []
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        open_notebook(page, address, "players.ipynb")
        found = list(cycles(page, times))
        errors = own_errors(page)
        context.close()
        return found, errors


def main(times: int) -> int:
    """Say what each cycle left; the code is 1 if something grows or an error is logged."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="hvlab-restarts-") as name, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_found(), args=FLAGS)
        found, errors = lived(times, Path(name), browser)
        browser.close()
    for number, one in enumerate(found, 1):
        sizes = f"page {one.heap / 2**20:6.2f} MiB, kernel {one.kernel / 2**10:6.1f} MiB"
        print(f"{number:3}  {sizes}, comms {one.comms} and {one.kernel_comms}, lost players {one.lost}")
    wrong = broken(found, errors)
    print("\n".join(wrong) or "nothing is left behind")
    return int(bool(wrong))


def broken(found: list[Held], errors: list[str]) -> list[str]:
    """Say what is left behind, in a sentence for each."""
    first, last = found[0], found[-1]
    wrong = [f"the console says: {one}" for one in errors]
    wrong += [f"{last.lost} players are held that no page shows"] if last.lost else []
    counts = {(one.comms, one.kernel_comms) for one in found}
    wrong += [f"comms: {sorted(counts)}"] if counts != {(2 * PLAYERS, 2 * PLAYERS)} else []  # a widget and its layout
    if len(found) < SETTLED:
        return wrong
    each = (last.heap - first.heap) / (len(found) - 1)
    wrong += [f"the page grows by {each / 2**20:.2f} MiB each time"] if each > MOST_HEAP else []
    grown = last.kernel / first.kernel - 1 if first.kernel else 0
    return wrong + ([f"the kernel has grown by {grown:.1%}"] if grown >= MOST_GROWTH else [])


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else TIMES))
