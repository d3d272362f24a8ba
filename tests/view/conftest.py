"""Says what of the browser's code was not run by Node here."""

import os
import shutil

import pytest

NODE = shutil.which("node")
REQUIRED = os.environ.get("CI") == "true" or os.environ.get("HVLAB_REQUIRE_BROWSER") == "1"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not NODE and not REQUIRED:
        terminalreporter.write_line("not run: the browser's code under Node, because no `node` was found")
