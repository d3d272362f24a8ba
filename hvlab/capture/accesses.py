"""Address traces: what a real program fetched, loaded and stored, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FETCH, LOAD, STORE, MODIFY = range(4)
LETTERS = "ILSM"


@dataclass(frozen=True, eq=False)
class AddressTrace:
    """Accesses in program order: `kind[i]` (FETCH, LOAD, STORE, MODIFY), `size[i]` bytes at `gva[i]`.

    `gva` is int64, so that upper-half addresses are negative, as the engine keeps them. `note` says when only the
    first part of a longer recording was taken. `meta` is what the recorder wrote down, counts among it.
    """

    file: str
    name: str
    kind: NDArray[np.uint8]
    size: NDArray[np.uint16]
    gva: NDArray[np.int64]
    note: str
    meta: dict[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.gva)
