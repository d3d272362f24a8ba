"""What `lsvmbus` prints in a guest: plain, with -v, and with -vv.

``VMBUS ID %2s: NAME``; -v adds the class and ``Rel_ID=R, target_cpu=V`` lines; -vv adds the instance and the path.
Source: Linux tools/hv/lsvmbus.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from hvlab.capture.devices import GUID, MOST_VPS, Channel, Device, DeviceList, number_of, once
from hvlab.capture.source import Source, Unknown, lines_of, safe, unknown
from hvlab.errors import BadFile

HEADER: Final = re.compile(rf"VMBUS ID {{1,3}}(\d{{1,12}}): (?:Class_ID = \{{({GUID})\}} - )?(.{{1,120}})")
CHANNEL: Final = re.compile(r"Rel_ID=(\d{1,12}), target_cpu=(\d{1,12})")
INSTANCE: Final = re.compile(rf"Device_ID = \{{({GUID})\}}")
SYSFS: Final = re.compile(r"Sysfs path: (/sys/bus/vmbus/devices/[\w-]{1,64})")


def lsvmbus(source: Source) -> DeviceList:
    """Read the output of `lsvmbus`: a file, or the text itself.

    Raises
    ------
    BadFile
        For a text without a device, one that names a device or a channel twice, numbers that are too large, or whatever
        the import gate refuses.
    """
    name, lines = lines_of(source)
    devices, odd = list[Device](), list[Unknown]()
    here = False  # whether detail lines belong to the last device: not after a device line that is not understood
    for line, said in lines:
        if said.startswith("VMBUS ID"):
            device = _device(name, line, said)
            here = device is not None
            if device:
                devices.append(device)
                continue
        elif here and (more := _detail(name, line, said, devices[-1])):
            devices[-1] = more
            continue
        odd.append(unknown(line, said))
    if not devices:
        raise BadFile(name, "the text", "no line that begins with VMBUS ID", "what lsvmbus prints")
    return DeviceList(once(name, devices), tuple(odd))


def _device(file: str, line: int, said: str) -> Device | None:
    parts = HEADER.fullmatch(said)
    if parts is None or (parts[2] is None and parts[3].startswith("Class_ID")):
        return None
    number = number_of(file, line, "VMBUS ID", parts[1])
    return Device(number, (parts[2] or "").lower(), label=safe(parts[3]))


def _detail(file: str, line: int, said: str, device: Device) -> Device | None:
    """The last device with what this line adds, None if the line is no detail of one."""
    if parts := CHANNEL.fullmatch(said):
        relid = number_of(file, line, "Rel_ID", parts[1])
        vp = number_of(file, line, "target_cpu", parts[2], MOST_VPS)
        return replace(device, channels=(*device.channels, Channel(relid, vp, relid == device.number)))
    if (parts := INSTANCE.fullmatch(said)) and not device.instance:
        return replace(device, instance=parts[1].lower())
    if parts := SYSFS.fullmatch(said):
        named = parts[1].rsplit("/", 1)[1].lower()
        return device if named in (device.instance, "") or "_" in named else None
    return None
