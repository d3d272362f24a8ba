"""A file is told by its bytes; what belongs to a later capability is named as such."""

import gzip
import json

import numpy as np
import pytest

from hvlab.capture import KINDS, describe, load, recognise, samples
from hvlab.errors import BadFile, BadRequest

from . import build

DMESG = "[    0.865112] hv_vmbus: Vmbus version:5.3\n[    1.355607] hv_utils: Registering HyperV Utility Driver\n"
LSVMBUS = (
    "VMBUS ID  1: Class_ID = {525074dc-8985-46e2-8057-a307dc18a502} - [Dynamic Memory]\n\tRel_ID=1, target_cpu=0\n"
)
FTRACE = "          insmod-92      [000] .....    14.450188: vmbus_on_msg_dpc: message_type=1\n"
KVM = "            qemu-104     [000] .....     5.190935: kvm_hv_synic_set_msr: vcpu_id 0 msr 0x40000081 data 0x1\n"
HOST = "99@1795387484.807040:vmbus_recv_message type 14 size 40\n"
BOOT = b"\xeb\x3c\x90mkfs.fat\0" + bytes(498) + b"\x55\xaa"
FOOTER = b"conectix" + bytes(504)

VECTORS_HERE = {
    *("x86_page_access", "x86_pkeys", "ept_permissions", "apic_priority", "apic_sequences", "synic_slots"),
    *("vmbus_ring_hostile", "vmbus_gpa_range", "golden-ring", "golden-control"),
}

TEXTS = [
    ("dmesg", DMESG),
    ("dmesg", "Nov 22 22:45:01 guest kernel: Hyper-V: Host Build 10.0.14393.0-0-0\n"),
    ("lsvmbus", LSVMBUS),
    ("lsvmbus", LSVMBUS.replace("\t", "        ").replace("\n", "   \n")),
    ("ftrace", "# tracer: nop\n#\n" + FTRACE),
    ("ftrace", FTRACE),
    ("host-trace", HOST),
    ("sysfs", "/sys/bus/vmbus:\ntotal 0\ndrwxr-xr-x 2 0 0 0 Nov 22 22:45 devices\n"),
    ("dmesg", "[Mon Nov 30 12:00:00 2026] hv_vmbus: Vmbus version:5.3\n"),
    ("dmesg", "hv_vmbus: Vmbus version:5.3\n"),
    ("lsvmbus", "> VMBUS ID  1: Synthetic mouse\n"),
    ("ftrace", "  insmod-92 [000] 14.450188: vmbus_on_msg_dpc:    msgtype=1\n"),
    ("ftrace", "  insmod-92 [000] ..... 14.4: mine: (hv_post_message+0x0/0xf0 [hv_vmbus]) w0=0x3\n"),
    ("sysfs", "/sys/bus/vmbus/devices/242ff919-07db-4180-9c2e-b86cb68c8c55/id:8\n"),
    ("kvm-trace", KVM),
]
GUESTS = ("dmesg", "lsvmbus", "sysfs", "ftrace", "host-trace", "kvm-trace")
LATER = [
    ("cpu-flags", "kvm=off,hv-relaxed,hv-vpindex,hv-synic,hv-stimer\n"),
    ("notes", "# Real inputs\n\ntext\n"),
    ("notes", "---\ntitle: Text\n---\n"),
    ("vhdx", b"vhdxfile" + bytes(4096)),
    ("vhd-dynamic", FOOTER * 3),
    ("vhd-fixed", BOOT + bytes(8192) + FOOTER),
    ("raw-disk", BOOT + bytes(8192)),
    ("facts", {"topic": "Local APIC", "generated": "", "provenance": {}}),
    ("vmbus-facts", {"source": "", "kind": "dmesg", "facts": []}),
    ("golden-device", {"vectors": [{"name": "x", "size": 256, "hex": ""}]}),
    *((name, {"meta": {"name": name, "n": 0}, "cases": []}) for name in KINDS if "_" in name and not KINDS[name].ready),
]


def written(path, value):
    if isinstance(value, dict):
        value = json.dumps(value, indent=1)
    path.write_bytes(value if isinstance(value, bytes) else value.encode())
    return path


@pytest.mark.parametrize(("kind", "value"), TEXTS)
def test_a_guests_text_is_told_by_its_lines_from_a_file_or_pasted(tmp_path, kind, value):
    path = written(tmp_path / "no_name_helps", value)
    packed = written(tmp_path / "packed", gzip.compress(path.read_bytes()))

    assert recognise(path).name == recognise(packed).name == recognise(value).name == kind
    assert repr(load(path)) == repr(load(packed)) == repr(load(value))
    assert KINDS[kind].phrase in describe(value)


@pytest.mark.parametrize(("kind", "value"), LATER)
def test_a_file_of_a_later_capability_is_named_as_such(tmp_path, kind, value):
    path = written(tmp_path / "no_name_helps", value)
    packed = written(tmp_path / "packed", gzip.compress(path.read_bytes()))

    assert recognise(path).name == recognise(packed).name == kind
    assert KINDS[kind].phrase in describe(path)
    assert KINDS[kind].waits_for in describe(packed)
    with pytest.raises(BadRequest) as caught:
        load(path)
    assert KINDS[kind].phrase in caught.value.found
    assert "address trace" in caught.value.attempt


def test_an_iommu_snapshot_waits_for_the_iommu(tmp_path):
    arrays = {"table_gpa": np.zeros(1, np.uint64), "table_kind": np.array(["root"]), "meta_json": build.as_json({})}
    path = build.save(tmp_path / "any.npz", arrays)

    assert recognise(path).name == "iommu"
    assert describe(path).endswith("a snapshot of an IOMMU (Intel VT-d): comes with the IOMMU capability.")


def test_what_is_shipped_is_told_by_content(tmp_path):
    for name, path in samples().items():
        copy = tmp_path / "no_name_helps"
        copy.write_bytes(path.read_bytes())
        assert recognise(copy).ready, name
        assert recognise(copy) == recognise(path)


@pytest.mark.parametrize(
    "value", [b"#!/bin/sh\n", b"\x7fELF\0\0", b"PK\x03\x04", b"\0" * 600, "a letter\n", b"\x1f\x8b"]
)
def test_an_unknown_file_is_refused_with_what_is_known(tmp_path, value):
    path = written(tmp_path / "odd", value)
    for using in (recognise, describe, load):
        with pytest.raises(BadFile) as caught:
            using(path)
        assert caught.value.expected
    assert "page tables" in caught.value.expected or "zip" in caught.value.expected or "gzip" in caught.value.expected


def test_members_of_no_known_layout_are_refused(tmp_path):
    path = build.save(tmp_path / "odd.npz", {"weights": np.zeros(3), "bias": np.zeros(1)})
    with pytest.raises(BadFile) as caught:
        recognise(path)
    assert (caught.value.where, caught.value.found) == ("zip directory", "members bias, weights")


def test_every_kind_is_here_or_says_what_it_waits_for():
    here = {kind.name for kind in KINDS.values() if kind.ready}

    assert here == {"page-tables", "nested-tables", "address-trace", "lackey", *GUESTS, *VECTORS_HERE}
    for kind in KINDS.values():
        assert kind.ready or kind.says() == f"{kind.phrase}: {kind.waits_for}"


def test_a_kvm_trace_is_loaded_by_its_content_packed_or_not(tmp_path):
    path = written(tmp_path / "no_name_helps", KVM * 3)
    packed = written(tmp_path / "packed", gzip.compress(path.read_bytes()))

    assert len(load(path)) == len(load(packed)) == 3
    assert "SVERSION" in describe(packed)


@pytest.mark.parametrize(("end", "kind"), [(bytes(512), "raw-disk"), (FOOTER, "vhd-fixed")])
def test_a_disk_image_of_any_size_is_told_without_reading_it(tmp_path, end, kind):
    with open(tmp_path / "disk", "wb") as file:
        file.write(BOOT)
        file.seek(1 << 32)
        file.write(end)

    assert recognise(tmp_path / "disk").name == kind
