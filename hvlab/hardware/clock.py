"""The cost model: what each step takes in simulated nanoseconds, with its source or the word "assumed".

Times are there to compare designs, not to predict a machine. A learner sees each cost and can change it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hvlab.errors import BadRequest
from hvlab.kernel import I

# name: (nanoseconds, what it is, source)
TABLE: dict[str, tuple[int, str, str]] = {
    "table_read": (4, "The walker reads one table entry.", "assumed: an entry is found in the second-level data cache"),
    "l2_hit": (2, "The second-level TLB answers.", "assumed: some 7 cycles at 3 GHz, the order of published tables"),
    "memory_write": (4, "The processor sets A or D in an entry.", "assumed: like a read of the entry"),
    "instruction": (
        1,
        "An instruction that runs on the bare processor, in a program of a lesson.",
        "assumed: a few cycles at 3 GHz",
    ),
    "exit": (600, "The processor leaves the guest and comes back.", "assumed: the order of measured VM exits"),
    "hypercall": (200, "The hypervisor decodes and checks a call.", "assumed"),
    "rep": (50, "One element of a rep call.", "assumed; a call is to return after 50 us (TLFS, continuation)"),
    "scrub": (100, "A page is filled with zeros.", "assumed: 4 KiB at some 40 GB/s"),
    "flush": (200, "Cached translations are dropped.", "assumed: the order of INVEPT and INVVPID"),
    "inject": (
        100,
        "An interrupt is put into a guest that is entered.",
        "assumed: one field of the VMCS, and its checks",
    ),
    "entry": (600, "A logical processor goes on with the virtual processor that it ran last.", "assumed: like an exit"),
    "switch": (
        1500,
        "A logical processor changes to another virtual processor.",
        "assumed: registers and control block",
    ),
    "message": (300, "An intercept message is written and its receiver told.", "assumed"),
}
COSTS = [(name, I) for name in TABLE]


def set_costs(state: Any, changes: Mapping[str, int] | None = None) -> None:
    """Write the table into a machine's state, with the learner's changes.

    Raises
    ------
    BadRequest
        For a cost that is not in the table, or one below zero.
    """
    values = {name: nanoseconds for name, (nanoseconds, _, _) in TABLE.items()}
    for name, nanoseconds in (changes or {}).items():
        if name not in values or not 0 <= nanoseconds < 1 << 40:
            raise BadRequest(f"cost {name} = {nanoseconds}", "costs: " + ", ".join(values), "0 or more nanoseconds")
        values[name] = nanoseconds
    for name, nanoseconds in values.items():
        state["cost"][name] = nanoseconds


def costs(state: Any) -> dict[str, int]:
    """Return the costs as the machine has them now."""
    return {name: int(np.asarray(state["cost"][name])[0]) for name in TABLE}
