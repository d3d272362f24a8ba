"""Listings of VMBus devices: lsvmbus in its three forms, and /sys/bus/vmbus/devices."""

import re

from fuzz.texts import REAL, pasted, read, samples, shown
from hvlab.capture.lsvmbus import lsvmbus
from hvlab.capture.sysfs import sysfs
from hvlab.errors import BadFile

ALLOWED = (BadFile,)
MODULES = ("hvlab.capture.lsvmbus", "hvlab.capture.sysfs", "hvlab.capture.devices", "hvlab.capture.source")
WORDS = (
    "VMBUS ID  1: ",
    "Class_ID = {525074dc-8985-46e2-8057-a307dc18a502} - ",
    "Synthetic mouse",
    "\tRel_ID=14, target_cpu=0",
    "\tDevice_ID = {cab064cd-1f31-47d5-a8b4-9d57e320cccd}",
    "\tSysfs path: /sys/bus/vmbus/devices/",
    "4294967295",
    "4095",
    "/sys/bus/vmbus/devices/cab064cd-1f31-47d5-a8b4-9d57e320cccd/",
    "channel_vp_mapping",
    " = ",
    "14:0;17:1;",
    "==> ",
    " <==",
    "channels/14/cpu",
    "subchannel_id",
    "class_id",
    "id = 14;",
    "> ",
)


def seeds():
    yield from samples("lsvmbus_2vcpu_lopsided", "vmbus_sysfs")
    yield (REAL / "connect_sysfs.txt").read_bytes()
    yield b"VMBUS ID  1: [Dynamic Memory]\nVMBUS ID  2: Unknown\n"
    yield b"/sys/bus/vmbus/devices/cab064cd-1f31-47d5-a8b4-9d57e320cccd/channel_vp_mapping:14:0\n"
    yield b"==> /sys/bus/vmbus/devices/cab064cd-1f31-47d5-a8b4-9d57e320cccd/id <==\n14\n"


def one(data: bytes) -> None:
    lines = len(pasted(data).split("\n"))
    for reader in (lsvmbus, sysfs):
        listed = read(reader, data)
        if listed is None:
            continue
        shown(repr(listed))
        channels = [channel for device in listed.devices for channel in device.channels]
        assert len(listed.devices) + len(listed.unknown) <= lines
        assert len({channel.relid for channel in channels}) == len(channels)
        assert sum(listed.load().values()) == sum(channel.vp >= 0 for channel in channels)
        assert all(0 <= channel.relid < 1 << 32 and -1 <= channel.vp < 4096 for channel in channels)
        assert all(re.fullmatch(r"[0-9a-f-]{36}|", device.class_id + device.instance * 0) for device in listed.devices)
        for uneven in listed.lopsided():
            assert uneven.enough < max(uneven.counts.values()) <= len(uneven.device.channels)
