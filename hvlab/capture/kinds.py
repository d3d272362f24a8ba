"""What a file is, told from its bytes and never from its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from hvlab.capture.gate import JSON_CAP, content, directory, head, json_value, tail
from hvlab.capture.source import Source, bytes_of, is_text
from hvlab.capture.tables import NESTED_RULES, PAGE_TABLE_RULES
from hvlab.errors import BadFile, plain
from hvlab.language import N_, _


@dataclass(frozen=True)
class Kind:
    """One kind of file: its short name, what it is in words, and the capability that it waits for ("" when it is here).

    `oracle` tells whether such a file comes with answers of its own to compare with.
    """

    name: str
    phrase: str
    waits_for: str = ""
    oracle: bool = False

    @property
    def ready(self) -> bool:
        """Whether hvlab can load it today."""
        return not self.waits_for

    def says(self) -> str:
        """What it is, and what it waits for, in English as messages are."""
        return f"{self.phrase}: {self.waits_for}" if self.waits_for else self.phrase

    def sentence(self, name: str) -> str:
        """The same of a file, as a sentence in the reader's language."""
        if self.waits_for:
            waits = _("{name} is {what}: {waits_for}.")
            return waits.format(name=name, what=_(self.phrase), waits_for=_(self.waits_for))
        return _("{name} is {what}.").format(name=name, what=_(self.phrase))


IOMMU: Final = N_("comes with the IOMMU capability")
OWNERSHIP: Final = N_("comes with the page sharing and DMA ownership capability")
DEVICES: Final = N_("comes with the SynIC and device capability")
STORAGE: Final = N_("comes with the storage capability")
SHOWN: Final = 1 << 16  # bytes of a text that are looked at
NOTHING: Final = N_("to read, with nothing to compare")

KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("page-tables", "a snapshot of a guest's page tables", oracle=True),
        Kind("nested-tables", "a snapshot of nested page tables (a second level)", oracle=True),
        Kind("address-trace", "an address trace"),
        Kind("lackey", "an address trace in the text form of valgrind lackey"),
        Kind("x86_page_access", "a vector file of x86-64 page access rights", oracle=True),
        Kind("x86_pkeys", "a vector file of x86-64 protection keys", oracle=True),
        Kind("ept_permissions", "a vector file of EPT permissions", oracle=True),
        Kind("apic_priority", "a vector file of APIC priorities", oracle=True),
        Kind("apic_sequences", "a vector file of APIC sequences", oracle=True),
        Kind("synic_slots", "a vector file of SynIC message slots", oracle=True),
        Kind("vmbus_ring_hostile", "a vector file of hostile VMBus ring packets", oracle=True),
        Kind("vmbus_gpa_range", "a vector file of VMBus GPA ranges", oracle=True),
        Kind("vtd_dma", "a vector file of VT-d DMA translation", IOMMU, True),
        Kind("vtd_ir", "a vector file of VT-d interrupt remapping", IOMMU, True),
        Kind("page_ownership", "a vector file of a page-ownership model", OWNERSHIP, True),
        Kind("golden-ring", "a file of operations on one VMBus ring, with the bytes after each", oracle=True),
        Kind("golden-control", "a file of VMBus channel messages as bytes", oracle=True),
        Kind("golden-device", "device and SynIC messages as bytes", DEVICES, True),
        Kind("iommu", "a snapshot of an IOMMU (Intel VT-d)", IOMMU, True),
        Kind("vmbus-facts", "facts taken from a log of a Hyper-V guest", NOTHING),
        Kind("dmesg", "a kernel log of a Hyper-V guest"),
        Kind("lsvmbus", "a listing of VMBus devices by lsvmbus"),
        Kind("ftrace", "an ftrace recording of VMBus events"),
        Kind("kvm-trace", "a KVM trace of Hyper-V hypercalls and SynIC", oracle=True),
        Kind("host-trace", "a trace of the host's end of VMBus"),
        Kind("sysfs", "the VMBus devices in a guest's sysfs"),
        Kind("cpu-flags", "the Hyper-V switches of an emulator's processor", NOTHING),
        Kind("vhd-fixed", "a fixed VHD disk image", STORAGE),
        Kind("vhd-dynamic", "a dynamic VHD disk image", STORAGE),
        Kind("vhdx", "a VHDX disk image", STORAGE),
        Kind("raw-disk", "a raw disk image with a boot sector", STORAGE),
        Kind("facts", "reference facts", NOTHING),
        Kind("notes", "a Markdown text", NOTHING),
    )
}
IOMMU_MEMBERS: Final = {
    *("table_gpa", "table_kind", "table_data", "regs_json", "contexts", "irte_index", "irte", "irte_count"),
    *("xlate", "xlate_last", "ir_msi", "ir_irte_get", "ir_remap", "interrupts", "meta_json"),
}
TRACE_MEMBERS: Final = {"kind", "size", "delta_planes", "meta_json"}
LAYOUTS: Final[tuple[tuple[str, set[str]], ...]] = (
    ("address-trace", TRACE_MEMBERS),
    ("iommu", IOMMU_MEMBERS),
    ("nested-tables", set(NESTED_RULES)),
    ("page-tables", set(PAGE_TABLE_RULES)),
)
MARKS: Final = {
    "address-trace": "delta_planes",
    "iommu": "table_kind",
    "nested-tables": "ncr3",
    "page-tables": "table_gpa",
}
LOOSE: Final = rb"^(?:[>|] ?)*[ \t]*"  # how a line of a pasted text may begin
TASK: Final = LOOSE + rb"\S.{0,80}-\d+ +(?:\( *[\d-]+\) +)?\[\d{3,4}\] +(?:[\w.#]{2,10} +)?\d+\.\d+: +"
DATE: Final = rb"(?:<\d+>|\w{1,8} *:\w{1,8} *: )?(?:\[ *\d+\.\d{6}\]|\[\w{3} \w{3} .{16}\]|.{0,80} kernel: )"
TEXTS: Final = tuple(
    (name, re.compile(pattern, re.MULTILINE))
    for name, pattern in (
        ("lackey", rb"\A(?:(?:==|--)[^\n]{0,4096}\n|\r?\n)*(?:I  | [LSM] )[0-9a-fA-F]{1,16},\d{1,4}\r?$"),
        ("lsvmbus", LOOSE + rb"VMBUS ID {1,3}\d+: "),
        ("kvm-trace", rb"^ *\S{1,80} +\[\d{3}\] \S{2,8} +\d+\.\d+: kvm_hv_"),
        ("ftrace", rb"\A# tracer: |" + TASK + rb"(?:vmbus_|hv_|\w+: \((?:vmbus|hv)_)"),
        ("host-trace", LOOSE + rb"(?:\d+@\d+\.\d+:(?:vmbus|hv)_\w+ |vmbus_(?:recv_message|post_msg) type )"),
        ("sysfs", LOOSE + rb"(?:==> )?/sys/(?:bus/(?:vmbus|acpi/devices/VMBUS)|devices/\S{1,200}VMBUS:)"),
        ("dmesg", LOOSE + DATE + rb".{0,160}(?:hv_[a-z]+|[Hh]yper-?[Vv])\b"),
        ("dmesg", LOOSE + rb"(?:Hyper-?V: |Hypervisor detected: |hv_[a-z]+: )"),
        ("cpu-flags", rb"\A[\w=-]{1,80}(?:,[\w=-]{1,80})*,hv-\w[\w,=-]*\s*\Z"),
        ("notes", rb"\A(?:# \S|---\r?\n\w+: )"),
    )
)
PASTABLE: Final = ("lsvmbus", "sysfs", "dmesg", "ftrace", "host-trace", "kvm-trace")


def recognise(path: Source) -> Kind:
    """Which kind of file this is, gzipped or not; a file of no known kind is a `BadFile` that lists the known ones.

    A text with a line break is no name of a file: it is what somebody pasted.
    """
    if is_text(path):
        return _pasted(path)
    file, start = str(path), head(path)
    if not start:
        raise BadFile(file, "the file", "0 bytes", f"one of: {_known()}")
    if start.startswith(b"PK\x03\x04") or start.startswith(b"PK\x05\x06"):
        return KINDS[_archive(file, content(path))]
    if start.startswith(b"vhdxfile"):
        return KINDS["vhdx"]
    if start.startswith(b"conectix"):
        return KINDS["vhd-dynamic"]
    if re.match(rb"\s*(?:\{|\[(?! *\d+\.\d{6}\]|\w{3} \w{3} ))", start):
        return KINDS[_json(file, content(path))]
    if b"\0" not in start:
        for name, shape in TEXTS:
            if shape.search(start):
                return KINDS[name]
    elif start[510:512] == b"\x55\xaa" or tail(path).startswith(b"conectix"):
        return KINDS["vhd-fixed" if tail(path).startswith(b"conectix") else "raw-disk"]
    raise BadFile(file, "the file", f"bytes that begin {start[:16]!r}", f"one of: {_known()}")


def _pasted(source: Source) -> Kind:
    file, data = bytes_of(source)
    for name, shape in TEXTS:
        if name in PASTABLE and shape.search(data[:SHOWN]):
            return KINDS[name]
    raise BadFile(file, "the text", f"a text that begins {data[:16]!r}", f"one of: {_known(PASTABLE)}")


def _archive(file: str, data: bytes) -> str:
    """The kind of an npz file, by its members: each kind has one that no other has."""
    names = set(directory(file, data))
    for name, _members in LAYOUTS:
        if MARKS[name] in names:
            return name
    closest = max(LAYOUTS, key=lambda layout: len(layout[1] & names))
    raise BadFile(file, "zip directory", f"members {_some(names)}", f"members such as {_some(closest[1])}")


def _json(file: str, data: bytes) -> str:
    if len(data) > JSON_CAP:
        raise BadFile(file, "the JSON text", f"{len(data):,} bytes", f"at most {JSON_CAP:,} bytes")
    value: Any = json_value(file, data)
    if isinstance(value, dict):
        meta = value.get("meta")
        if isinstance(meta, dict) and isinstance(meta.get("name"), str):
            if meta["name"] in KINDS:
                return str(meta["name"])
            raise BadFile(file, "meta.name", plain(meta["name"], 60), f"vectors named {_vector_names()}")
        if {"ops", "data_bytes", "initial"} <= value.keys():
            return "golden-ring"
        if isinstance(rows := value.get("vectors"), list) and rows and isinstance(rows[0], dict):
            return "golden-control" if "message" in rows[0] else "golden-device"
        if {"topic", "provenance"} <= value.keys():
            return "facts"
        if {"source", "kind", "facts"} <= value.keys():
            return "vmbus-facts"
    found = f"fields {_some(value)}" if isinstance(value, dict) else f"a {type(value).__name__}"
    raise BadFile(file, "the JSON text", found, f"one of: {_known()}")


def _some(names: Iterable[str]) -> str:
    listed = sorted(plain(name, 30) for name in names)
    return ", ".join(listed[:6]) + (", …" if len(listed) > 6 else "") if listed else "none"


def _vector_names() -> str:
    return ", ".join(kind.name for kind in KINDS.values() if "_" in kind.name)


def _known(names: Iterable[str] = ()) -> str:
    ready = [kind.phrase for kind in KINDS.values() if kind.ready and (not names or kind.name in names)]
    return "; ".join(ready) + ("" if names else "; or one of a later capability")
