"""A child's kernel that is ready to call the hypervisor, and an input block for it: a lesson's cells begin here."""

from typing import Final

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Vp
from hvlab.machine import Machine
from hvlab.wire.hypercalls import FlushRange, FlushVirtualAddress
from hvlab.wire.tlfs import FlushFlags, GuestOsId, GvaRange, HypercallMsr, Msr

CALL_PAGE: Final = 0x10
FIRST_PAGE: Final = 0x7F12_3456_7
MOST: Final = 509  # elements of 8 bytes behind a header of 24, in one page


def established(machine: Machine, name: str = "web") -> Vp:
    """Return the virtual processor of a child whose kernel has said who it is and has placed its hypercall page."""
    kernel = machine.child(name).vp
    with machine.action():
        kernel.wrmsr(Msr.GUEST_OS_ID, GuestOsId.encode(vendor=1, os=4, major=10, build=20348))
        kernel.wrmsr(Msr.HYPERCALL, HypercallMsr.encode(enable=1, gpn=CALL_PAGE))
    return kernel


def flush_block(pages: int) -> bytes:
    """Return the input of FlushVirtualAddressList: a header of 24 bytes, then 8 bytes for each page.

    Raises
    ------
    BadRequest
        For more elements than a page holds, or none.
    """
    if not 0 < pages <= MOST:
        raise BadRequest(f"a block for {pages} pages", "", f"1 to {MOST}: it has to lie in one page of memory")
    header = FlushVirtualAddress.encode(flags=FlushFlags.encode(all_processors=1))
    return header + b"".join(FlushRange.encode(range=GvaRange.encode(gvn=FIRST_PAGE + k)) for k in range(pages))
