"""One browser a file, one page a test, opened from file:// as a reader would; no page may log an error."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from whole_site import whole_site

from browser.lessons import LESSONS
from hvlab.story.storyboard import Storyboard
from hvlab.view import export

GOLDEN = Path(__file__).parents[1] / "golden"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",  # one process less for each page: a seventh of its time
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = ".hvlab .caption:not(:empty)"


@pytest.fixture(scope="module")
def chromium(browser_program: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a file in a fresh context; at the end no page may have logged an error or thrown one."""
    contexts, errors = [], []

    def opened(path: Path, expect_errors: bool = False, ready: str = READY, script: str = "", **options: Any) -> Any:
        context = chromium.new_context(
            **{"viewport": {"width": 876, "height": 720}, "reduced_motion": "reduce"} | options
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        if not expect_errors:
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector(ready)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def open_story(open_page: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Export a story and open it."""

    def opened(story: Storyboard, teacher: bool = False, **options: Any) -> Any:
        path = tmp_path / f"story{len(list(tmp_path.iterdir()))}.html"
        export.html(story, path, teacher=teacher)
        return open_page(path, **options)

    return opened


@pytest.fixture(scope="session")
def lesson_page(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a lesson, by its number; the site is made once for all tests of a run."""
    return lambda number: whole_site(tmp_path_factory) / LESSONS[number]


def frame(page: Any) -> int:
    """The frame on show."""
    return int(page.locator(".hvlab .number").input_value())


def kept(name: str, told: str) -> None:
    """Compare what is heard with the committed text; HVLAB_REFRESH=1 renews it, to be read as a difference."""
    path = GOLDEN / f"{name}.aria.txt"
    if os.environ.get("HVLAB_REFRESH"):
        path.write_text(told, encoding="utf-8")
    assert told == path.read_text(encoding="utf-8")


def keep(page: Any, name: str) -> None:
    """Keep a screenshot where HVLAB_SHOTS names a folder: to be looked at, never compared."""
    folder = os.environ.get("HVLAB_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
