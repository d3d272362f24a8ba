"""The real world in: page tables, nested tables, address traces and vector files, behind one import gate."""

from hvlab.capture.accesses import FETCH, LETTERS, LOAD, MODIFY, STORE, AddressTrace
from hvlab.capture.tables import (
    NOWHERE,
    Control,
    Cpu,
    Leaves,
    NestedTables,
    PageTables,
    Probes,
    Registers,
    Rights,
    Slot,
)

__all__ = [
    "FETCH",
    "LETTERS",
    "LOAD",
    "MODIFY",
    "NOWHERE",
    "STORE",
    "AddressTrace",
    "Control",
    "Cpu",
    "Leaves",
    "NestedTables",
    "PageTables",
    "Probes",
    "Registers",
    "Rights",
    "Slot",
]
