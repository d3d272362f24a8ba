"""What the screen costs: the main thread's work for a step, the way to the first paint, bytes, nodes and heap.

Times of a step are CPU time of the page's main thread, from Chromium's own trace: from the key to the frame that shows
what it did. Times to a paint are what a clock shows, so they want a quiet machine. The stories are a walk of four by
four levels, and walks of the addresses that a real program used.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.browser import NotHere, chromium, opened, show, widget_page
from benchmarks.clock import Row
from benchmarks.world import real_trace
from hvlab.hardware import processor
from hvlab.machine import Machine
from hvlab.story.storyboard import Storyboard
from hvlab.story.walk import WalkLens, story_of
from hvlab.trace.journal import Trace
from hvlab.view import export
from hvlab.view.esm import STATIC, css, join, source
from hvlab.view.still import still_html

ROOT = Path(__file__).resolve().parent.parent
PAUSE_MS = 100  # between two steps: the fill of a cell still moves when the next one comes
KIB, MIB = 1024, 1024 * 1024
STORIES = ("4x4 walk", "500 events", "100,000 events")
WORK, DRAWING = "screen: step to paint, main thread, p95 ms, {}", "screen: step, handler + style + layout, p95 ms, {}"
FIRST, WHOLE = "screen: {} to first paint, 5,000 events, ms", "screen: {} to every frame, 100,000 events, ms"
STEPPING = "screen: bytes moved by stepping, {}"
RESTING = "screen: bytes at rest, step shared by two views, JupyterLab, KiB"
EVENTS_500, EVENTS_100K = "screen: storyboard, 500 events, KiB", "screen: storyboard, 100,000 events, MiB"
MODULE, JOINED = "screen: largest .mjs, KiB", "screen: joined module of the widget, KiB"
SHEET = "screen: style sheet, KiB"
PAGE, NODES = "screen: HTML export, 500 events, KiB", "screen: SVG nodes of one picture, most of all"
HEAP, IDLE = "screen: heap growth of 12 players, MiB", "screen: timers and animation frames of 12 idle players"
LESSON_FIRST = "screen: lesson {}, Run to its first story, s"
LESSON_MEMORY = "screen: lesson {}, kernel memory after its last cell, MiB"
LESSONS = [path.name[:2] for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
MOST = {
    **{WORK.format(name): 16.0 for name in STORIES},
    **{DRAWING.format(name): 8.0 for name in STORIES},
    FIRST.format("page open"): 150,
    WHOLE.format("page open"): 600,
    FIRST.format("cell run"): 150,
    WHOLE.format("cell run"): 600,
    STEPPING.format("exported page"): 0,
    STEPPING.format("JupyterLab"): 0,
    RESTING: 2.5,
    EVENTS_500: 30,
    EVENTS_100K: 3,
    MODULE: 40,
    JOINED: 64,
    SHEET: 12,
    PAGE: 100,
    NODES: 1500,
    HEAP: 40,
    IDLE: 0,
    **{LESSON_FIRST.format(number): 2 for number in LESSONS},
    **{LESSON_MEMORY.format(number): 300 for number in LESSONS},
}
Found = tuple[str, list[float], str]
Measure = Callable[[], Iterator[Found]]


# ---- the stories


@cache
def square() -> Storyboard:
    """Return the first story of the lesson: one access through four guest levels by four second levels."""
    machine = Machine()
    guest = machine.child("web")
    guest.enable_paging({0x7F12_3456_7000: 0x5000}, root_gpn=16)
    return story_of(machine.translate(guest.vp, 0x7F12_3456_7ABC))


@cache
def walks(frames: int) -> Storyboard:
    """Return so many frames of the translations that sqlite's own addresses need, four by four levels, caches on."""
    world = real_trace("sqlite", frames)
    state, mem, fault, spa = world.copy()
    rows = np.zeros((32 * frames, 10), np.int64)
    state["rows"] = 0
    processor.run(state, mem, rows, 0, world.gva, world.access, fault, spa)
    lens, whole = WalkLens(), Trace(rows[: int(state["rows"][0])])
    last = list(islice(lens.groups(whole), frames))[-1][-1]
    story = lens.story(Trace(whole.rows[: last + 1]), title=f"{frames:,} events of sqlite")
    assert len(story) == frames
    return story


def story(name: str) -> Storyboard:
    """Return a story by the name that rows carry."""
    return square() if name == STORIES[0] else walks(int(name.split()[0].replace(",", "")))


# ---- what needs no browser


def sizes() -> Iterator[Found]:
    """Yield bytes: of stories as they are sent, of our modules and style sheet, of an exported page."""
    short, long = walks(500), walks(100_000)
    for name, one, unit in ((EVENTS_500, short, KIB), (EVENTS_100K, long, MIB)):
        yield name, [len(one.to_bytes()) / unit], f"its scene as JSON: {len(json.dumps(one.scene)) / KIB:.3g} KiB"
    yield MODULE, [max(len(source(path.name).encode()) for path in STATIC.glob("*.mjs")) / KIB], ""
    yield JOINED, [len(join("widget.mjs").encode()) / KIB], ""
    yield SHEET, [len(css().encode()) / KIB], ""
    yield PAGE, [len(export.html(short).encode()) / KIB], ""


# ---- steps


def work_of_steps(events: list[dict[str, Any]], counted: list[bool]) -> tuple[list[float], list[float]]:
    """Return ms of main-thread work of each step, and those of handler, style and layout, from a trace of Chromium.

    A step is all tasks from the one that hears its key to the first one that gives a frame to the compositor.
    """
    whole = [event for event in events if event["ph"] == "X" and "tdur" in event]
    keys = sorted((one for one in whole if type_of(one) == "keydown"), key=lambda one: one["ts"])
    assert len(keys) == len(counted), f"{len(counted)} keys were pressed and {len(keys)} were heard"
    thread = keys[0]["pid"], keys[0]["tid"]
    mine = sorted((one for one in whole if (one["pid"], one["tid"]) == thread), key=lambda one: one["ts"])
    total, drawing = [], []
    for key, taken in zip(keys, counted, strict=True):
        if not taken:
            continue
        commit = next(one for one in mine if one["name"] == "Commit" and one["ts"] > key["ts"])
        tasks = [one for one in mine if one["name"] == "RunTask" and end(one) >= key["ts"] and one["ts"] < commit["ts"]]
        inside = [one for one in mine if end(key) <= one["ts"] < commit["ts"]]
        late = [one for one in inside if one["name"] in ("UpdateLayoutTree", "Layout")]
        total.append(max(sum(one["tdur"] for one in tasks), key["tdur"]) / 1000)
        drawing.append((key["tdur"] + sum(one["tdur"] for one in late)) / 1000)
    return total, drawing


def type_of(event: dict[str, Any]) -> str:
    """Return the type of a dispatched event, "" for anything else."""
    return str(event.get("args", {}).get("data", {}).get("type", "")) if event["name"] == "EventDispatch" else ""


def end(event: dict[str, Any]) -> int:
    """Return when an event of the trace was over."""
    return int(event["ts"]) + int(event["dur"])


def steps(browser: Any, page: Any, count: int) -> tuple[list[float], list[float]]:
    """Step with the right arrow so often, from the middle of the story, and return the work of each step."""
    last = int(page.locator(".hvlab .number").get_attribute("max"))
    page.wait_for_function("() => document.querySelector('.hvlab .goto').textContent.trim().length > 2")
    page.locator(".hvlab .slider").focus()
    counted, k = [], 0
    start = 0 if last < count else last // 2
    go(page, start)
    page.wait_for_function(f"() => Number(document.querySelector('.hvlab .number').value) === {start}")
    page.locator(".hvlab .slider").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(500)
    browser.start_tracing(page=page, categories=["devtools.timeline", "disabled-by-default-devtools.timeline"])
    k = start
    while sum(counted) < count:
        counted.append(k < last)
        page.keyboard.press("ArrowRight" if k < last else "Home")
        k = k + 1 if k < last else 0
        page.wait_for_timeout(PAUSE_MS)
    return work_of_steps(json.loads(browser.stop_tracing())["traceEvents"], counted)


def go(page: Any, k: int) -> None:
    """Go to a frame by its number."""
    page.locator(".hvlab .number").first.fill(str(k))
    page.locator(".hvlab .number").first.press("Enter")


# ---- pages


def in_pages(quick: bool) -> Iterator[Found]:
    """Yield what a browser shows of exported pages, and of players with a stand-in for the notebook's model."""
    with chromium() as browser, tempfile.TemporaryDirectory(prefix="hvlab-bench-") as name:
        folder = Path(name)
        for title in STORIES:
            with opened(browser, exported(folder, story(title))) as page:
                total, drawing = steps(browser, page, 20 if quick else 100)
                note = f"{len(total)} steps, median {{:.3g}}"
                yield WORK.format(title), total, note.format(median(total))
                yield DRAWING.format(title), drawing, note.format(median(drawing))
        times = 3 if quick else 11
        yield FIRST.format("page open"), painted(browser, exported(folder, walks(5_000)), "first", times), ""
        last = exported(folder, walks(100_000), step=99_999)
        yield WHOLE.format("page open"), painted(browser, last, "whole", times), "shown at its last frame"
        yield STEPPING.format("exported page"), [moved(browser, exported(folder, walks(500)))], ""
        yield NODES, [nodes(browser, folder)], ""
        yield from many(browser, folder)


def exported(folder: Path, shown: Storyboard, step: int = 0) -> Path:
    """Write the exported page of a story, open at a frame."""
    path = folder / f"{len(shown)}-{step}.html"
    still = still_html(shown, 0, export.STILL_ROWS, picture=False)
    stage = export.stage_of(export.data_of(shown, teacher=True) | {"step": step}, still)
    path.write_text(export.page(shown.title, stage), encoding="utf-8")
    return path


def painted(browser: Any, path: Path, what: str, times: int) -> list[float]:
    """Return ms from the start of opening a page to its first painted frame, or to the one that needs every frame."""
    found = []
    for _ in range(times):
        with opened(browser, path) as page:
            page.wait_for_function(f"() => probe.told.{what}")
            found.append(page.evaluate(f"probe.told.{what}"))
    return found


def moved(browser: Any, path: Path) -> float:
    """Return how many bytes an exported page asks for or sends while it is stepped."""
    with opened(browser, path) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.locator(".hvlab .slider").focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(500)
        assert page.locator(".hvlab .number").input_value() == "20"
        return float(sum(map(len, asked)))


def nodes(browser: Any, folder: Path) -> float:
    """Return the most SVG nodes that one picture has at any of its frames."""
    most = 0
    with opened(browser, exported(folder, square())) as page:
        for k in range(len(square())):
            go(page, k)
            most = max(most, page.evaluate("document.querySelectorAll('.hvlab .picture *').length"))
    return float(most)


def many(browser: Any, folder: Path) -> Iterator[Found]:
    """Yield the heap that 12 players add, each with its own model, and what runs in two seconds when none is used."""
    with opened(browser, widget_page(folder), ready=".ready") as page:
        page.wait_for_function("() => window.widget")
        before = heap(page)
        for _ in range(12):
            show(page, walks(500))
        page.wait_for_timeout(1500)
        assert page.locator(".hvlab").count() == 12
        yield HEAP, [(heap(page) - before) / MIB], "500 events each"
        runs = "probe.told.timers + probe.told.frames"
        begun = page.evaluate(runs)
        page.wait_for_timeout(2000)
        yield IDLE, [page.evaluate(runs) - begun], "in two seconds"


def heap(page: Any) -> float:
    """Return the bytes of the page's JavaScript heap after all garbage is gone."""
    session = page.context.new_cdp_session(page)
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    used = float(session.send("Runtime.getHeapUsage")["usedSize"])
    session.detach()
    return used


# ---- rows


def row(name: str, values: list[float], note: str) -> Row:
    """Return the row of a budget: the 95th percentile of steps, the median of paints, or the one value there is."""
    found = float(np.percentile(values, 95)) if "p95" in name else float(median(values))
    return Row(name, found, float(min(values)), float(max(values)), target(name), found <= MOST[name], note)


def target(name: str) -> str:
    """Return the target of a row as the table has it."""
    return f"<= {MOST[name]:g}"


def everything(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield one row for each screen budget that is wanted; what could not be measured says why and is not met."""
    for measure, names in groups(quick):
        if not any(map(wanted, names)):
            continue
        try:
            for found in measure():
                if wanted(found[0]):
                    yield row(*found)
        except NotHere as missing:
            for name in filter(wanted, names):
                yield Row(name, None, None, None, target(name), False, f"not measured: {missing}")


def groups(quick: bool) -> list[tuple[Measure, list[str]]]:
    """Return each way of measuring with the names of the rows that it yields."""
    from benchmarks.lessons import kernels, stories
    from benchmarks.notebook import in_lab

    counted = [EVENTS_500, EVENTS_100K, MODULE, JOINED, SHEET, PAGE]
    notebook = [name for name in MOST if "cell run" in name or "JupyterLab" in name]
    first, memory = ([name.format(number) for number in LESSONS] for name in (LESSON_FIRST, LESSON_MEMORY))
    pages = [name for name in MOST if name not in [*counted, *notebook, *first, *memory]]
    return [
        (sizes, counted), (lambda: in_pages(quick), pages), (lambda: in_lab(quick), notebook),
        (lambda: stories(quick), first), (lambda: kernels(quick), memory),
    ]  # fmt: skip
