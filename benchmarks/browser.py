"""A browser without a window, driven as the tests drive it: pages from files, with `probe.js` in each of them."""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hvlab.story.storyboard import Storyboard
from hvlab.view.esm import css, join

PROBE = Path(__file__).with_name("probe.js")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZE = {"width": 1280, "height": 720}
SHOWN = ".hvlab .caption:not(:empty)"


class NotHere(Exception):
    """Something that a measurement needs is not on this machine."""


def program() -> str:
    """Return the browser of this machine: $HVLAB_BROWSER, or one on the path."""
    chosen = os.environ.get("HVLAB_BROWSER")
    for name in [chosen] if chosen else PROGRAMS:
        if found := shutil.which(name):
            return found
    raise NotHere("no browser")


@contextmanager
def chromium() -> Iterator[Any]:
    """Open a browser without a window; NotHere says what is missing."""
    path = program()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NotHere("playwright is not installed") from None
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, path: Path, ready: str = SHOWN) -> Iterator[Any]:
    """Open a file in a context of its own, with the probe in it."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.add_init_script(path=str(PROBE))
    try:
        page.goto(path.as_uri())
        page.wait_for_selector(ready)
        yield page
    finally:
        context.close()


def widget_page(folder: Path) -> Path:
    """Write a page that holds the widget's module and nothing else, as a notebook has it before the first player."""
    path = folder / "widget.html"
    code = join("widget.mjs").replace("export default", "window.widget =").replace("</", "<\\/")
    head = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>x</title><style>{css()}</style>'
    path.write_text(
        f'{head}<body><p class="ready">Ready.</p><script type="module">{code}</script></body></html>', "utf-8"
    )
    return path


def show(page: Any, story: Storyboard, step: int = 0, views: int = 1) -> None:
    """Show a story in a page with the widget's module, by a model that stands in for anywidget's."""
    packed = base64.b64encode(story.to_bytes()).decode()
    page.wait_for_function("() => window.widget")
    page.evaluate("probe.show", [json.dumps(story.scene), packed, step, views])
