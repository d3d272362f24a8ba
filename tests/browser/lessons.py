"""The shipped lessons as exported pages: each is made once in a run of the suite, whichever worker asks first."""

import base64
import json
import re
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

from hvlab.notebooks import shipped

LESSONS = {path.name[:2]: path for path in shipped()}
WAIT = 240  # seconds for another worker's export
DATA = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)


def exported(number: str, folder: Path) -> Path:
    """The page of a lesson in a folder that all workers share; made by the one that comes first."""
    out, claim = folder / f"lesson-{number}.html", folder / f"lesson-{number}.claim"
    try:
        claim.mkdir()
    except FileExistsError:
        until = time.monotonic() + WAIT
        while not out.exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert out.exists(), f"the worker that began the page of lesson {number} did not finish it"
    else:
        _export(number, out)
    assert out.stat().st_size, f"the page of lesson {number} could not be made"
    return out


def _export(number: str, out: Path) -> None:
    """Write the page, or an empty file if that fails: nobody shall wait for it."""
    part = out.with_suffix(".part")
    # In a process of its own: this one may already drive a browser, whose loop must not wait for a kernel's.
    command = [sys.executable, "-m", "hvlab", "html", str(LESSONS[number]), "--out", str(part)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=WAIT)
    if ran.returncode:
        out.touch()
        raise AssertionError(ran.stderr)
    part.replace(out)


def stories(page: Path) -> list[dict[str, Any]]:
    """The scenes of all players of a page, in order."""
    found = DATA.findall(page.read_text(encoding="utf-8"))
    return [json.loads(zlib.decompress(base64.b64decode(json.loads(one))))["scene"] for one in found]
