"""HvCallInstallIntercept: a parent says what of a child's doings it wants to hear. Source: TLFS, intercepts.

Who has no say: what the hypervisor must do itself (the second level, hypercalls) is never asked for here. An access
mask of 0 takes a request back, whether or not there was one.
"""

import numpy as np

from hvlab.hardware.memory import signed
from hvlab.hypervisor import intercept_table
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept_table import EXECUTE, READ, WRITE
from hvlab.hypervisor.partition import Life
from hvlab.hypervisor.request import Request
from hvlab.wire.intercepts import InterceptType
from hvlab.wire.tlfs import Status

# What may be asked of each kind, and the limit of its parameter. Source: Linux hvgdk_mini.h, hv_intercept_parameters.
ALLOWED = {
    InterceptType.IO_PORT: (READ | WRITE, 1 << 16),
    InterceptType.MSR: (READ | WRITE, 1),
    InterceptType.MSR_INDEX: (READ | WRITE, 1 << 32),
    InterceptType.CPUID: (EXECUTE, 1 << 32),
    InterceptType.EXCEPTION: (EXECUTE, 32),
}


def install(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallInstallIntercept."""
    # CHECK
    given, slot = request.input, request.target
    if hv.state["partition"]["life"][0, slot] != Life.ACTIVE:
        return Status.INVALID_PARTITION_STATE
    if given.intercept_type not in ALLOWED:
        return Status.INVALID_PARAMETER
    mask, limit = ALLOWED[InterceptType(given.intercept_type)]
    if given.access_type & ~mask or given.parameter >= limit:
        return Status.INVALID_PARAMETER
    there = intercept_table.place(hv.state, slot, given.intercept_type, given.parameter)
    k = intercept_table.free(hv.state) if there is None else there
    if given.access_type and k is None:
        return Status.NO_RESOURCES
    # ACT
    if given.access_type:
        hv.state["request"][0, k] = slot, given.intercept_type, signed(given.parameter), given.access_type
    elif there is not None:
        hv.state["request"][0, there] = np.zeros((), hv.state["request"].dtype)
    # RECORD
    words = {"type": given.intercept_type, "parameter": given.parameter, "access": given.access_type}
    hv.tell("intercept_installed", partition=hv.id_of(slot), **words)
    return b""
