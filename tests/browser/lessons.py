"""The shipped lessons as exported pages, and the stories that stand in them."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

from hvlab.notebooks import shipped

LESSONS = {path.name[:2]: f"{path.stem}.html" for path in shipped()}
DATA = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)


def stories(page: Path) -> list[dict[str, Any]]:
    """The scenes of all players of a page, in order."""
    found = DATA.findall(page.read_text(encoding="utf-8"))
    return [json.loads(zlib.decompress(base64.b64decode(json.loads(one))))["scene"] for one in found]
