"""The site of the shipped lessons, and the run that it was made from: once in a suite, whichever worker asks first."""

import os
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat
import pytest

from hvlab.notebooks import shipped
from hvlab.view import page, site

WAIT = 400  # seconds for another worker's site


def whole_site(factory: pytest.TempPathFactory) -> Path:
    """The folder of the site; all workers share it, and the one that comes first makes it."""
    own = factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, claim, ended = (shared / name for name in ("site", "site.claim", "site.ended"))
    try:
        claim.mkdir()
    except FileExistsError:
        until = time.monotonic() + WAIT
        while not ended.exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert (folder / "index.html").exists(), "the worker that began the site did not finish it"
        return folder
    try:
        with patch.object(page, "_run", keeping(shared / "site.run")):
            site.write(shipped(), folder)
    finally:
        ended.mkdir()
    return folder


def whole_run(factory: pytest.TempPathFactory) -> Path:
    """The folder of the lessons as they ran for the site."""
    return whole_site(factory).with_name("site.run")


def keeping(folder: Path) -> Any:
    """Run a lesson as its page wants it, and keep what came of it."""
    run = page._run
    folder.mkdir()

    def kept(notebook: Any, path: Path, timeout: int) -> None:
        run(notebook, path, timeout)
        (folder / path.name).write_text(nbformat.writes(notebook), encoding="utf-8")

    return kept
