"""The site of the shipped lessons: made once in a run of the suite, whichever worker asks first."""

import os
import time
from pathlib import Path

import pytest

from hvlab.notebooks import shipped
from hvlab.view import site

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
        site.write(shipped(), folder)
    finally:
        ended.mkdir()
    return folder
