"""What every test of this checkout shares: notebooks run in test mode, and nothing is left out without being said.

Three marks name what a test needs. Where the need is not met the test is not run, and the last lines of the suite say
so; where it is required (HVLAB_REQUIRE_BROWSER, HVLAB_REQUIRE_PLAN, or CI for the browser) the test runs and fails.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HVLAB_MODE"] = "test"  # the kernels of the notebooks inherit it

PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
ELSEWHERE = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
# Two workers share the suite file by file. What takes long begins first, so that none of it is left for the end.
LONG = (
    "tests/browser/test_lab.py",
    "tests/browser/test_restarts.py",
    "tests/browser/test_lessons_",
    "tests/browser/",
    "tests/lab/test_items_",
    "tests/test_",
    "tests/view/",
    "notebooks/",
)


def browser_found() -> str | None:
    """Return the program of a Chromium, Chrome or Edge: $HVLAB_BROWSER, one on PATH, or one in its usual place."""
    chosen = os.environ.get("HVLAB_BROWSER")
    found = [chosen] if chosen else [shutil.which(name) for name in PROGRAMS]
    return next((path for path in [*found, *ELSEWHERE] if path and Path(path).exists()), None)


def asked_for(*names: str) -> bool:
    return any(os.environ.get(name, "").lower() not in ("", "0", "false") for name in names)


def not_here() -> Iterator[tuple[str, str]]:
    """Yield each mark whose need is not met, with the reason."""
    if browser_found() is None and not asked_for("HVLAB_REQUIRE_BROWSER", "CI"):
        yield "browser", "no Chromium, Chrome or Edge was found"
    if importlib.util.find_spec("repo2docker") is None and not asked_for("HVLAB_REQUIRE_PLAN"):
        yield "plan", "repo2docker is not installed (the ci extra brings it)"
    if asked_for("NUMBA_DISABLE_JIT"):
        yield "compiled", "the compiler is switched off"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = {mark for mark, _ in not_here()}
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in missing)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: next((k for k, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for mark, reason in not_here():
        terminalreporter.write_line(f"not run: the tests marked {mark}, because {reason}")


@pytest.fixture(scope="session")
def browser_program() -> str:
    """The browser that is already on this machine; a test that asks for it is marked ``browser``."""
    program = browser_found()
    assert program, "no Chromium, Chrome or Edge: install one, or name it in HVLAB_BROWSER"
    return program
