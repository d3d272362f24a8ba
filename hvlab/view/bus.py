"""Pictures of a real guest's VMBus: which channel interrupts which processor, and how a connection was made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from hvlab.capture import busfields as bus
from hvlab.capture.busfields import version_means, version_value
from hvlab.capture.buslog import BusLog
from hvlab.capture.devices import Device, DeviceList, placed
from hvlab.capture.guestlog import GuestLog
from hvlab.capture.handshake import MARKS, MISSING, REFUSED, RETRIED, UNASKED, Row, expected, handshake, summed_up
from hvlab.language import _
from hvlab.view.drawing import Drawing, figure, table

LEFT, RIGHT = 236, 836
ROW: Final = 26
MOST_ROWS: Final = 64
MOST_VPS: Final = 64
GUEST, HOST, WORDS = 190, 430, 466
KEY: Final = 132  # px between the marks that are explained below the steps
STEP: Final = 42
MOST_STEPS: Final = 48
MOST_LINES: Final = 400
LOOKS: Final = {MISSING: "fault dashes", REFUSED: "fault", RETRIED: "signal", UNASKED: "signal dots"}


def parts(capture: DeviceList | BusLog | GuestLog) -> Iterator[tuple[str, list[str], str]]:
    """Yield the parts of a page: a heading, sentences, and pictures or tables as HTML."""
    told = {DeviceList: _of_devices, BusLog: _of_bus, GuestLog: _of_guest}[type(capture)]
    yield from told(capture)  # type: ignore[operator]
    unknown = capture.odd + capture.left if isinstance(capture, GuestLog) else capture.unknown
    if unknown:
        title, shown = _("Lines that have no meaning here"), unknown[:MOST_LINES]
        rows = [[f"{one.line}", one.text] for one in shown]
        more = (
            [_("and {count} more").format(count=f"{len(unknown) - len(shown):,}")] if len(unknown) > len(shown) else []
        )
        yield title, more, table(title, [_("line"), _("as it stands")], rows)


def _of_devices(listed: DeviceList) -> Iterator[tuple[str, list[str], str]]:
    yield _("Devices and channels"), list(listed.findings()), "".join(device_pictures(listed))
    attributes = list(listed.attributes())
    if attributes:
        yield _("Attributes"), attributes, ""


def _of_bus(log: BusLog) -> Iterator[tuple[str, list[str], str]]:
    found = handshake(log)
    yield _("The handshake"), list(summed_up(found)), handshake_lanes(log)
    if found.version is not None:
        yield _("What the version means"), version_means(found.version), ""
    if counts := log.counts():
        rows = [[_(kind), f"{count:,}"] for kind, count in counts.items()]
        title = _("Beside the channel messages")
        yield title, [], table(title, [_("what"), _("times")], rows)


def _of_guest(log: GuestLog) -> Iterator[tuple[str, list[str], str]]:
    yield _("What the kernel found"), repr(log).splitlines(), ""
    if log.events:
        rows = [[f"{one.line}", f"{one.seconds:.6f} s" if one.seconds >= 0 else "", one.says()] for one in log.events]
        title = _("Line by line")
        yield title, [], table(title, [_("line"), _("clock"), _("it says")], rows[:MOST_LINES])
    if log.vmbus:
        yield _("What the version means"), version_means(version_value(log.vmbus)), ""


def device_pictures(listed: DeviceList) -> Iterator[str]:
    """Yield the picture of channels and processors, where there are any, and the table of all devices."""
    if listed.load():
        yield channel_map(listed)
    if listed.devices:
        shown = listed.devices[:MOST_LINES]
        head = [_("VMBus id"), _("device"), _("it serves"), _("driver in Linux"), _("channel → VP")]
        yield table(_("All devices"), head, [_cells(device) for device in shown])
        rows = [[_number(device), device.class_id or "", device.instance] for device in shown]
        if any(row[1] or row[2] for row in rows):
            yield table(_("Their GUIDs"), [_("VMBus id"), _("class"), _("instance")], rows)


def _cells(device: Device) -> list[str]:
    known = device.kind
    driver = (known.driver or _("none")) if known else _("not known here")
    return [_number(device), device.name, device.family, driver, placed(device.channels)]


def _number(device: Device) -> str:
    return str(device.number) if device.number >= 0 else "?"


# --- channels and processors ------------------------------------------------------------------------------------------


def channel_map(listed: DeviceList) -> str:
    """The picture of channels and processors, and the same as a table."""
    of, load = defaultdict(list), listed.load()
    for device in listed.devices:
        for channel in device.channels:
            of[channel.vp].append(f"{channel.relid} ({device.name})")
    told = [[f"VP {vp}", str(count), ", ".join(of[vp])[:200]] for vp, count in list(load.items())[:MOST_LINES]]
    head = [_("processor"), _("channels"), _("which")]
    return figure(draw_channels(listed), head, told, max(0, len(load) - MOST_LINES))


def draw_channels(listed: DeviceList) -> Drawing:
    """A row for each device, a column for each processor, a box for each channel; lopsided devices are marked."""
    shown = [device for device in listed.devices if any(channel.vp >= 0 for channel in device.channels)]
    rows, vps = shown[:MOST_ROWS], min(listed.processors, MOST_VPS)
    uneven = {id(one.device) for one in listed.lopsided()}
    load = listed.load()
    words = _("{devices} devices down, {vps} processors across; a box is a channel. {tale}")
    hatched = _("Hatched: more of a device's channels on one processor than an even spread needs.")
    tale = hatched if uneven else _("No device is lopsided.")
    drawing = Drawing(
        "channels", _("Which channel interrupts which processor"),
        words.format(devices=len(shown), vps=listed.processors, tale=tale), 60 + ROW * (len(rows) + 1),
    )  # fmt: skip
    wide = (RIGHT - LEFT) / max(vps, 1)
    every = max(1, -(-vps // 20))
    for vp in range(vps):
        drawing.path(f"M{LEFT + (vp + 0.5) * wide:.1f} 30V{36 + ROW * len(rows)}", "faint")
        if vp % every == 0:
            drawing.text(LEFT + (vp + 0.5) * wide, 20, f"VP {vp}" if wide > 34 else str(vp), "small middle")
    for k, device in enumerate(rows):
        y = 36 + ROW * k
        drawing.text(LEFT - 10, y + 16, device.name, "small end", 34)
        _boxes(drawing, device, y, wide, vps, id(device) in uneven)
    y = 36 + ROW * len(rows)
    drawing.text(LEFT - 10, y + 24, _("channels in all"), "small end")
    for vp in range(0, vps):
        if wide > 15:
            drawing.text(LEFT + (vp + 0.5) * wide, y + 24, str(load[vp]), "small middle")
    return drawing


def _boxes(drawing: Drawing, device: Device, y: float, wide: float, vps: int, lopsided: bool) -> None:
    """The channels of one device, those of one processor side by side."""
    of = defaultdict(list)
    for channel in device.channels:
        if 0 <= channel.vp < vps:
            of[channel.vp].append(channel)
    most = max((len(channels) for channels in of.values()), default=0)
    for vp, channels in of.items():
        each = min(34.0, (wide - 2) / len(channels))
        marked = lopsided and len(channels) == most
        left = LEFT + (vp + 0.5) * wide - each * len(channels) / 2
        for k, channel in enumerate(channels if each >= 3 else channels[:1]):
            tone = "fault" if marked else "data" if channel.primary else "call"
            across = each if each >= 3 else wide - 2
            drawing.rect(left + k * across, y + 3, across - 1, ROW - 6, f"bar {tone}", "stripes" if marked else "")
            if across >= 20 and not marked:
                drawing.text(left + (k + 0.5) * across, y + 17, str(channel.relid), "small middle")
            elif across >= 20:
                _halo(drawing, left + (k + 0.5) * across, y + 17, str(channel.relid))


def _halo(drawing: Drawing, x: float, y: float, text: str) -> None:
    """A number on a hatched ground."""
    half = 4 + 3.6 * len(text)
    drawing.rect(x - half, y - 12, 2 * half, 15, "halo")
    drawing.text(x, y, text, "small middle")


# --- the handshake ----------------------------------------------------------------------------------------------------


def handshake_lanes(log: BusLog) -> str:
    """The picture of the handshake, and the same as a table."""
    rows, begin = handshake(log).rows, log.messages[0].seconds
    head = [_("after"), _("from"), _("message"), _("mark"), _("the protocol expects"), _("recorded")]
    told = [_row(row, begin) for row in rows[:MOST_LINES]]
    return figure(draw_handshake(log), head, told, max(0, len(rows) - MOST_LINES))


def draw_handshake(log: BusLog) -> Drawing:
    """Two lanes, guest and host; each message an arrow, beside it what the protocol expects there and what came."""
    found = handshake(log)
    begin = log.messages[0].seconds
    shown = found.rows[:MOST_STEPS]
    marks = ", ".join(
        f"{len(found.marked(mark))} {_(mark)}" for mark in (MISSING, REFUSED, RETRIED, UNASKED) if found.marked(mark)
    )
    words = _("{count} steps from top to bottom: the guest at the left, the host at the right. {marks}.")
    words = words.format(count=len(found.rows), marks=marks or _("All as expected"))
    foot = 62 + STEP * len(shown)
    drawing = Drawing("handshake", _("The handshake, beside what the protocol expects"), words, foot + 20)
    for at, (mark, sign) in enumerate(MARKS.items()):
        drawing.text(GUEST + KEY * at, foot + 8, sign, "middle")
        drawing.text(GUEST + KEY * at + 14, foot + 8, _(mark), "small soft", 14)
    for x, name in ((GUEST, _("guest")), (HOST, _("host"))):
        drawing.text(x, 18, name, "title middle")
        drawing.path(f"M{x} 26V{50 + STEP * len(shown)}", "wire")
    drawing.text(158, 18, _("after"), "small soft end")
    drawing.text(WORDS, 18, _("expected, and recorded"), "small soft")
    phase = ""
    for k, row in enumerate(shown):
        y = 50 + STEP * k
        if row.phase != phase:
            phase = row.phase
            drawing.text(6, y + 4, phase, "title", 14)
            drawing.path(f"M6 {y - 17}H{RIGHT}", "faint")
        _arrow(drawing, y, row, begin)
    return drawing


def _arrow(drawing: Drawing, y: float, row: Row, begin: float) -> None:
    look = LOOKS.get(row.mark, "call")
    if row.message:
        drawing.text(158, y + 4, f"{(row.message.seconds - begin) * 1000:,.1f} ms", "small end")
    right = bus.by_guest(row.number)
    start, end = (GUEST + 3, HOST - 3) if right else (HOST - 3, GUEST + 3)
    back = -9 if right else 9
    drawing.path(f"M{start} {y}H{end}", look, 2)
    drawing.path(f"M{end + back} {y - 5}L{end} {y}L{end + back} {y + 5}", look.split()[0], 2)
    drawing.text((GUEST + HOST) / 2, y - 6, bus.name_of(row.number), "small middle", 30)
    if row.mark in (REFUSED, MISSING):
        middle = (GUEST + HOST) / 2
        drawing.path(f"M{middle - 5} {y - 5}l10 10M{middle + 5} {y - 5}l-10 10", "fault", 2)
    drawing.text(HOST + 18, y + 5, MARKS[row.mark], "middle")
    drawing.text(WORDS, y - 5, expected(row.number), "small soft", 62)
    said = row.says if row.mark not in (MISSING, REFUSED, RETRIED, UNASKED) else f"{_(row.mark)}: {row.says}"
    drawing.text(WORDS, y + 11, said, "small", 62)


def _row(row: Row, begin: float) -> list[str]:
    after = f"{(row.message.seconds - begin) * 1000:,.3f} ms" if row.message else ""
    sender = _("guest") if bus.by_guest(row.number) else _("host")
    return [after, sender, bus.name_of(row.number), f"{MARKS[row.mark]} {_(row.mark)}", expected(row.number), row.says]
