"""What a guest's /sys/bus/vmbus/devices holds, in the forms in which people list it.

``PATH = VALUE;`` and ``PATH:VALUE`` (``grep -r .``) on one line, or ``==> PATH <==`` with the value below (``head``);
links of ``ls -l`` name devices of which nothing else is said. Source: Linux Documentation/ABI/stable/sysfs-bus-vmbus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hvlab.capture.devices import GUID, MOST_VPS, Channel, Device, DeviceList, bare, number_of, once
from hvlab.capture.source import Source, Unknown, lines_of, safe, unknown
from hvlab.errors import BadFile

NAME: Final = rf"({GUID}|vmbus_\d{{1,10}}(?:_\d{{1,10}})?)"
WHERE: Final = (
    rf"/sys/(?:bus/vmbus/devices|devices(?:/[\w:.-]{{1,64}}){{1,8}})/{NAME}/((?:channels/\d{{1,12}}/)?[\w.-]{{1,40}})"
)
LINE: Final = re.compile(rf"{WHERE}(?: = |:)(.{{0,400}})")
ABOVE: Final = re.compile(rf"==> {WHERE} <==")
LINK: Final = re.compile(rf"[l-][rwxst-]{{9}}\S? .* {NAME} -> \S{{1,200}}/{NAME}")
FRAME: Final = re.compile(
    r"/sys/bus/(?:vmbus|acpi)\S{0,80}:?(?: +/sys\S{1,80})?|total \d{1,10}|[dl-][rwxst-]{9}\S? .{1,400}"
)
OWN: Final = ("class_id", "device_id", "id", "channel_vp_mapping")
MOST_DEVICES: Final = 4096


@dataclass
class _Found:
    """What was read of one device so far: values by attribute, channels by relid, and where they stood."""

    facts: dict[str, str] = field(default_factory=dict)
    channels: dict[int, dict[str, str]] = field(default_factory=dict)
    mapping: dict[int, int] = field(default_factory=dict)
    at: int = 0


def sysfs(source: Source) -> DeviceList:
    """Read a listing of /sys/bus/vmbus/devices: a file, or the text itself.

    Raises
    ------
    BadFile
        For a text that names no device, two values for one attribute, a class that its alias contradicts, numbers that
        are too large, or whatever the import gate refuses.
    """
    name, lines = lines_of(source)
    found, odd, above, frames = dict[str, _Found](), list[Unknown](), ("", ""), 0
    for line, said in lines:
        if parts := ABOVE.fullmatch(said):
            above = parts[1].lower(), parts[2]
        elif parts := LINE.fullmatch(said):
            above = "", ""
            _take(name, line, _of(name, line, found, parts[1]), parts[2], parts[3])
        elif parts := LINK.fullmatch(said):
            _of(name, line, found, parts[1])
        elif above[0]:
            _take(name, line, _of(name, line, found, above[0]), above[1], said)
        elif FRAME.fullmatch(said):
            frames += 1
        else:
            odd.append(unknown(line, said))
    if not found and not frames:
        raise BadFile(name, "the text", "no device", "a listing of /sys/bus/vmbus/devices with attributes")
    return DeviceList(once(name, [_device(name, guid, one) for guid, one in found.items()]), tuple(odd))


def _of(file: str, line: int, found: dict[str, _Found], guid: str) -> _Found:
    if len(found) >= MOST_DEVICES:
        raise BadFile(file, f"line {line:,}", "one device more", f"at most {MOST_DEVICES:,} devices")
    return found.setdefault(guid.lower(), _Found(at=line))


def _take(file: str, line: int, device: _Found, attribute: str, value: str) -> None:
    value = safe(value.strip())
    if attribute == "channel_vp_mapping":
        for relid, vp in _pairs(file, line, value):
            if device.mapping.setdefault(relid, vp) != vp:
                raise BadFile(file, f"line {line:,}", f"another processor of channel {relid}", "one for each channel")
        return
    value = value.removesuffix(";")
    facts = device.facts
    if attribute.startswith("channels/"):
        number, attribute = attribute.split("/")[1:]
        facts = device.channels.setdefault(number_of(file, line, "channel", number), {})
    if facts.setdefault(attribute, value) != value:
        raise BadFile(file, f"line {line:,}", f"another {attribute} than before", "each attribute once")


def _pairs(file: str, line: int, value: str) -> Iterator[tuple[int, int]]:
    for pair in value.split(";"):
        parts = re.fullmatch(r" *(\d{1,12}):(\d{1,12}) *", pair)
        if parts:
            relid = number_of(file, line, "channel_vp_mapping", parts[1])
            yield relid, number_of(file, line, "channel_vp_mapping", parts[2], MOST_VPS)
        elif pair.strip():
            raise BadFile(file, f"line {line:,}, channel_vp_mapping", pair, "pairs such as 14:0")


def _device(file: str, guid: str, found: _Found) -> Device:
    facts = found.facts
    class_id, instance = bare(facts.get("class_id", "")), bare(facts.get("device_id", "")) or bare(guid)
    text = facts.get("id", "")
    number = number_of(file, found.at, "id", text) if re.fullmatch(r"\d{1,12}", text) else -1
    channels = []
    for relid in dict.fromkeys([*found.mapping, *found.channels]):
        more = found.channels.get(relid, {})
        vp = found.mapping.get(relid, -1)
        if vp < 0 and re.fullmatch(r"\d{1,12}", cpu := more.get("cpu", "")):
            vp = number_of(file, found.at, f"channel {relid}, cpu", cpu, MOST_VPS)
        sub = more.get("subchannel_id", "0" if relid == number or number < 0 else "?")
        channels.append(Channel(relid, vp, sub == "0", tuple(more.items())))
    said = tuple((name, value) for name, value in facts.items() if name != "id")
    return Device(number, class_id, instance, "" if bare(guid) else guid, tuple(channels), said)
