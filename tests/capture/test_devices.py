"""Listings of VMBus devices in the forms in which people paste them, and what is refused."""

import re
from itertools import product

import pytest

from hvlab.capture.devices import Channel, Device, DeviceList
from hvlab.capture.lsvmbus import lsvmbus
from hvlab.capture.samples import sample
from hvlab.capture.sysfs import sysfs
from hvlab.errors import BadFile

AZURE = sample("lsvmbus_azure_8vcpu").read_text()
SYSFS = sample("vmbus_sysfs").read_text()
GUID = "01234567-89ab-cdef-0123-456789abcdef"
NET = "f8615163-df3e-46c5-913f-f2d2f965ed0e"


def bare(listed):
    return [(one.number, one.class_id, one.instance, one.channels) for one in listed.devices]


# --- lsvmbus ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "paste",
    [
        lambda text: text.expandtabs(8),
        lambda text: re.sub("$", "   ", text, flags=re.MULTILINE),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: re.sub("^", "> ", text, flags=re.MULTILINE),
        lambda text: re.sub("^", "| > ", text, flags=re.MULTILINE),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.upper().replace("CLASS_ID", "Class_ID").replace("DEVICE_ID", "Device_ID")
        .replace("SYSFS PATH: /SYS/BUS/VMBUS/DEVICES", "Sysfs path: /sys/bus/vmbus/devices")
        .replace("REL_ID", "Rel_ID").replace("TARGET_CPU", "target_cpu"),
    ],
)  # fmt: skip
def test_a_listing_means_the_same_however_it_was_pasted(paste):
    listed = lsvmbus(paste(AZURE))

    assert bare(listed) == bare(lsvmbus(AZURE)) and listed.unknown == ()


def test_v_leaves_out_the_instances_and_a_plain_listing_leaves_out_all_but_the_names():
    once = re.sub(r"\t(?:Device_ID|Sysfs).*\n", "", AZURE)
    plain = "".join(
        f"VMBUS ID {number}: {name}\n" for number, name in re.findall(r"VMBUS ID (..): Class.* - (.*)", AZURE)
    )

    assert [one.channels for one in lsvmbus(once).devices] == [one.channels for one in lsvmbus(AZURE).devices]
    assert {one.instance for one in lsvmbus(once).devices} == {""}
    assert [one.kind for one in lsvmbus(plain).devices] == [one.kind for one in lsvmbus(AZURE).devices]
    assert {one.channels for one in lsvmbus(plain).devices} == {()}


def test_a_name_that_three_classes_share_names_none_of_them():
    (device,) = lsvmbus("VMBUS ID  3: [Reserved system device]\n").devices

    assert device.kind is None and device.name == "[Reserved system device]" and device.family == "unknown class"


def test_an_unknown_class_and_unknown_lines_are_shown_as_they_stand():
    text = f"$ lsvmbus -v\nVMBUS ID  9: Class_ID = {{{GUID}}} - Unknown\n\tRel_ID=9, target_cpu=0\n\tRel_ID=x\nbye\n"
    listed = lsvmbus(text)

    assert [(one.line, one.text) for one in listed.unknown] == [(1, "$ lsvmbus -v"), (4, "Rel_ID=x"), (5, "bye")]
    assert (
        GUID in repr(listed) and "3 lines have no meaning here:" in repr(listed) and "line 4: Rel_ID=x" in repr(listed)
    )


def test_channels_under_a_device_line_that_is_not_understood_are_not_given_to_the_device_before():
    text = "VMBUS ID  1: Synthetic mouse\nVMBUS ID  2: Class_ID = {x} - Odd\n\tRel_ID=7, target_cpu=0\n"
    listed = lsvmbus(text)

    assert [one.channels for one in listed.devices] == [()]
    assert [one.line for one in listed.unknown] == [2, 3]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("nothing\nhere\n", "VMBUS ID"),
        ("VMBUS ID  1: Synthetic mouse\n" * 2, "VMBus id 1 2 times"),
        ("VMBUS ID  1: Synthetic mouse\n\tRel_ID=1, target_cpu=0\n\tRel_ID=1, target_cpu=1\n", "channel 1 2 times"),
        ("VMBUS ID  1: Synthetic mouse\n\tRel_ID=4294967296, target_cpu=0\n", "line 2, Rel_ID"),
        ("VMBUS ID  1: Synthetic mouse\n\tRel_ID=1, target_cpu=4096\n", "line 2, target_cpu"),
        ("VMBUS ID 99999999999: Synthetic mouse\n", "line 1, VMBUS ID"),
        ("VMBUS ID  1: Synthetic mouse\n" + "x" * 5000, "4,096 bytes"),
        ("VMBUS ID  1: \udc80\n", "UTF-8"),
        ("\n" * 100_001, "100,000 lines"),
    ],
)
def test_a_listing_that_contradicts_itself_or_is_too_large_is_refused_with_its_place(text, where):
    with pytest.raises(BadFile, match=re.escape(where)):
        lsvmbus(text)


# --- lopsided --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vps", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lopsided_means_that_another_spread_would_load_the_busiest_processor_less(vps, channels):
    others = Device(90, channels=tuple(Channel(100 + vp, vp) for vp in range(vps)))  # so that all are named
    spreads = list(product(range(vps), repeat=channels))
    best = min(max(map(spread.count, spread)) for spread in spreads)
    for spread in spreads:
        device = Device(1, channels=tuple(Channel(k + 1, vp, k == 0) for k, vp in enumerate(spread)))
        found = [one.device.number for one in DeviceList((device, others)).lopsided()]
        assert found == ([1] if max(map(spread.count, spread)) > best else [])


# --- sysfs -----------------------------------------------------------------------------------------------------------


def as_grep(text):
    """The same attributes as `grep -r .` prints them: one line for each line of a file."""
    found = re.findall(r"^(/sys\S+) = (.*);$", text, flags=re.MULTILINE)
    return "".join(f"{path}:{one}\n" for path, value in found for one in value.split(";") if one)


def as_head(text):
    found = re.findall(r"^(/sys\S+) = (.*);$", text, flags=re.MULTILINE)
    return "\n".join(f"==> {path} <==\n" + value.replace(";", "\n") + "\n" for path, value in found)


def by_bus(text):
    return text.replace("/sys/bus/vmbus/devices/", "/sys/devices/LNXSYSTM:00/LNXSYBUS:00/VMBUS:00/")


@pytest.mark.parametrize(
    "form", [as_grep, as_head, lambda text: as_grep(by_bus(text)), lambda text: by_bus(as_head(text))]
)
def test_attributes_mean_the_same_in_each_form_of_a_listing(form):
    listed, known = sysfs(form(SYSFS)), sysfs(SYSFS)

    assert bare(listed) == bare(known) and listed.unknown == ()
    assert [one.facts for one in listed.devices] == [one.facts for one in known.devices]


def test_each_attribute_stands_with_its_meaning_and_an_unknown_one_without():
    text = repr(sysfs(SYSFS.replace("vendor = ", "brand_new = ")))

    assert "state = 3  (opened)" in text and "numa_node = 0  (the memory node" in text
    assert re.search(r"^  brand_new = 0x1414$", text, flags=re.MULTILINE)
    known = [line for line in repr(sysfs(SYSFS)).splitlines() if " = " in line]
    assert len(known) == 30 and all(line.endswith(")") for line in known)


def test_channels_of_a_device_come_from_its_mapping_or_from_their_own_folders():
    at = f"/sys/bus/vmbus/devices/{GUID}"
    mapped = sysfs(f"{at}/id = 14;\n{at}/class_id = {{{NET}}};\n{at}/channel_vp_mapping = 14:0;17:1;\n")
    folders = sysfs(f"{at}/id:14\n{at}/class_id:{{{NET}}}\n{at}/channels/14/cpu:0\n{at}/channels/17/cpu:1\n")

    for listed in (mapped, folders):
        (device,) = listed.devices
        assert [(one.relid, one.vp, one.primary) for one in device.channels] == [(14, 0, True), (17, 1, False)]
        assert device.kind.key == "net" and device.instance == GUID


def test_a_device_of_which_only_a_link_is_listed_is_there():
    line = f"lrwxrwxrwx 1 root root 0 Jun 1 00:00 {GUID} -> ../../../devices/LNXSYSTM:00/VMBUS:00/{GUID}\n"
    (device,) = sysfs("/sys/bus/vmbus/devices:\n" + line).devices

    assert (device.instance, device.number, device.channels) == (GUID, -1, ())


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("id = 2;\n", "another id"),
        ("channel_vp_mapping = 1:1;\n", "another processor of channel 1"),
        ("channel_vp_mapping = x;\n", "pairs such as"),
        ("channel_vp_mapping = 7:4096;\n", "channel_vp_mapping"),
        ("channels/99999999999/cpu = 0;\n", "channel"),
    ],
)
def test_a_listing_of_two_minds_is_refused(more, where):
    with pytest.raises(BadFile, match=where):
        sysfs(f"{SYSFS}\n/sys/bus/vmbus/devices/24da39c7-2b19-41df-bd5b-cd179ab13ba0/{more}")


def test_controls_and_direction_marks_of_a_hostile_listing_are_not_shown():
    at = f"/sys/bus/vmbus/devices/{GUID}"
    texts = [
        repr(lsvmbus("VMBUS ID  1: \u202eevil\x1b[31m\n\x1b[2Jx\n")),
        repr(sysfs(f"{at}/driver_override = \u202e\x1b[31m;\n\x1b[2Jx\n")),
    ]

    assert not any(mark in text for text in texts for mark in ("\u202e", "\x1b"))
