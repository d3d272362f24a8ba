"""What parents asked to hear of, and how often each virtual processor left the guest: records in the one state.

SIMPLER THAN REAL: one table of 64 requests for the whole machine; a real hypervisor keeps bitmaps of each partition's.
"""

from enum import IntEnum
from typing import Any

import numpy as np

from hvlab.hardware.processor import VPS
from hvlab.kernel import I

REQUESTS = 64
REQUEST = [
    ("owner", I),  # slot of the child; 0: a free place
    ("type", I),
    ("parameter", I),
    ("access", I),  # InterceptAccess
]


class Reason(IntEnum):
    """Why a virtual processor left the guest."""

    MEMORY = 0
    HYPERCALL = 1
    CPUID = 2
    MSR = 3
    IO = 4
    HLT = 5
    EXCEPTION = 6


EXITS = ("exits", I, (VPS, len(Reason)))
READ, WRITE, EXECUTE = 1, 2, 4


def place(state: Any, slot: int, kind: int, parameter: int) -> int | None:
    """Return the number of a child's request, or None."""
    table = state["request"][0]
    found = np.flatnonzero((table["owner"] == slot) & (table["type"] == kind) & (table["parameter"] == parameter))
    return int(found[0]) if slot and len(found) else None


def free(state: Any) -> int | None:
    """Return the first free place, or None."""
    found = np.flatnonzero(state["request"]["owner"][0] == 0)
    return int(found[0]) if len(found) else None


def wanted(state: Any, slot: int, kind: int, parameter: int, access: int) -> bool:
    """Whether the parent of the partition in `slot` wants to hear of this access."""
    k = place(state, slot, kind, parameter)
    return k is not None and bool(int(state["request"]["access"][0, k]) & access)


def forget_partition(state: Any, slot: int) -> None:
    """Drop what was asked about a partition."""
    for k in np.flatnonzero(state["request"]["owner"][0] == slot).tolist():
        state["request"][0, k] = np.zeros((), state["request"].dtype)
