"""The real world in: page tables, nested tables, address traces and vector files, behind one import gate."""

from hvlab.capture.accesses import (
    FETCH,
    LETTERS,
    LOAD,
    MODIFY,
    STORE,
    AddressTrace,
    address_trace,
    lackey_trace,
)
from hvlab.capture.counts import (
    NestedSummary,
    Region,
    SlotUse,
    Space,
    Summary,
    TablesSummary,
    TraceSummary,
    VectorsSummary,
)
from hvlab.capture.describe import describe, tell
from hvlab.capture.kinds import KINDS, Kind, recognise
from hvlab.capture.load import Capture, load
from hvlab.capture.samples import sample, samples
from hvlab.capture.summary import summary
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
    nested_tables,
    page_tables,
)
from hvlab.capture.vectors import Vectors, load_vectors

__all__ = [
    "FETCH",
    "KINDS",
    "LETTERS",
    "LOAD",
    "MODIFY",
    "NOWHERE",
    "STORE",
    "AddressTrace",
    "Capture",
    "Control",
    "Cpu",
    "Kind",
    "Leaves",
    "NestedSummary",
    "NestedTables",
    "PageTables",
    "Probes",
    "Region",
    "Registers",
    "Rights",
    "Slot",
    "SlotUse",
    "Space",
    "Summary",
    "TablesSummary",
    "TraceSummary",
    "Vectors",
    "VectorsSummary",
    "address_trace",
    "describe",
    "lackey_trace",
    "load",
    "load_vectors",
    "nested_tables",
    "page_tables",
    "recognise",
    "sample",
    "samples",
    "summary",
    "tell",
]
