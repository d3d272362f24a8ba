"""The small real inputs that the package ships, opened without any code of the package."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parents[2] / "hvlab" / "data"


def path_of(stem: str) -> Path:
    """Return the shipped file of this name, whatever its endings are."""
    found = [path for path in sorted(FOLDER.rglob(f"{stem}.*")) if path.suffix in (".gz", ".json", ".npz")]
    assert found, f"no file {stem}.* below {FOLDER.name}/"
    return found[0]


def vectors(stem: str) -> dict[str, Any]:
    """Return a vector file: its `meta` and `cases` or `packed`."""
    path = path_of(stem)
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return dict(json.loads(raw))


def arrays(stem: str) -> dict[str, np.ndarray]:
    """Return the arrays of a snapshot."""
    path = path_of(stem)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened, np.load(opened) as snapshot:
        return {name: snapshot[name] for name in snapshot.files}


def table_pages(spas: np.ndarray, words: np.ndarray) -> dict[int, list[int]]:
    """Return table pages as memory of the model."""
    return {int(spa) >> 12: page for spa, page in zip(spas, words.tolist(), strict=True)}
