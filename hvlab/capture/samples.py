"""The small real inputs that ship with hvlab. What each is and how it was made: `hvlab/data/SOURCES.md`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hvlab.errors import BadRequest


def samples() -> dict[str, Path]:
    """All shipped inputs: name to path."""
    folder = Path(str(files("hvlab") / "data"))
    found = (path for path in folder.iterdir() if path.name.endswith((".npz", ".json.gz")))
    return {path.name.removesuffix(".npz").removesuffix(".json.gz"): path for path in sorted(found)}


def texts() -> dict[str, Path]:
    """The shipped texts, as a guest or a kernel's tracer printed them: name to path."""
    folder = Path(str(files("hvlab") / "data"))
    found = (path for path in folder.iterdir() if path.name.endswith((".txt", ".txt.gz")))
    return {path.name.removesuffix(".gz").removesuffix(".txt"): path for path in sorted(found)}


def sample(name: str) -> Path:
    """The path of one shipped input, such as `pt_4lvl_pti`, `npt_4lvl`, `sort` or `dmesg_wsl2_host22000`."""
    known = samples() | texts()
    if name not in known:
        raise BadRequest(f"there is no sample named {name}", attempt=", ".join(known))
    return known[name]
