"""Load any file that hvlab can load, whatever its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from hvlab.capture.accesses import AddressTrace, address_trace, lackey_trace
from hvlab.capture.buslog import BusLog
from hvlab.capture.devices import DeviceList
from hvlab.capture.ftrace import ftrace
from hvlab.capture.golden import golden_messages, golden_ring
from hvlab.capture.guestlog import GuestLog, guest_log
from hvlab.capture.kinds import KINDS, recognise
from hvlab.capture.kvmlog import KvmLog, kvm_log
from hvlab.capture.lsvmbus import lsvmbus
from hvlab.capture.qemulog import qemu_log
from hvlab.capture.source import PASTED, Source, is_text
from hvlab.capture.sysfs import sysfs
from hvlab.capture.tables import NestedTables, PageTables, nested_tables, page_tables
from hvlab.capture.vectors import Vectors, load_vectors
from hvlab.errors import BadRequest

Capture = PageTables | NestedTables | AddressTrace | Vectors | KvmLog | DeviceList | BusLog | GuestLog

LOADERS: Final[dict[str, Callable[[str | os.PathLike[str]], Any]]] = {
    "page-tables": page_tables,
    "nested-tables": nested_tables,
    "address-trace": address_trace,
    "lackey": lackey_trace,
    "kvm-trace": kvm_log,
    "golden-ring": golden_ring,
    "golden-control": golden_messages,
    "lsvmbus": lsvmbus,
    "sysfs": sysfs,
    "dmesg": guest_log,
    "ftrace": ftrace,
    "host-trace": qemu_log,
}


def load(path: Source) -> Capture:
    """The capture in a file or a pasted text. One of a capability still to come is a `BadRequest` that names it."""
    kind = recognise(path)
    if not kind.ready:
        ready = "; ".join(known.phrase for known in KINDS.values() if known.ready)
        raise BadRequest(f"{PASTED if is_text(path) else path} cannot be loaded yet", kind.says(), f"one of: {ready}")
    capture: Capture = LOADERS.get(kind.name, load_vectors)(path)
    return capture
