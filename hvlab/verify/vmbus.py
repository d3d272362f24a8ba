"""A recorded VMBus connection against ours: our guest and our host, set up alike, must say the same in the same order.

Taken from the recording as configuration: the guest's memory (page numbers), which versions the host speaks, on which
connections it listens, how it lays out its messages, its devices. Compared: each message of both ends with connection,
length, status and every recorded word, the SynIC's registers, signals, packets with descriptor and words, and the
attributes that the guest's sysfs shows at the end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np

from hvlab.child.kernel import PAGE, Kernel, Places
from hvlab.errors import BadRequest
from hvlab.machine import Machine
from hvlab.verify import balloon
from hvlab.verify.count import Count
from hvlab.verify.vmbus_recorded import Recorded, read_folder
from hvlab.vmbus.host import Host
from hvlab.vmbus.offer import Device
from hvlab.vmbus.pump import rest
from hvlab.vmbus.states import State
from hvlab.wire import vmbus
from hvlab.wire.hypercalls import CODES
from hvlab.wire.tlfs import Msr, Status

ALIGN: Final = 8  # QEMU rounds messages up: VMBUS_MESSAGE_SIZE_ALIGN
BASE: Final = 0x10  # QEMU's connections: 0x10 and the channel's id
BALLOON: Final = "525074dc-8985-46e2-8057-a307dc18a502"
RECEIVED: Final = {15, 1, 4, 10, 6, 2, 12, 24, 17}
FRAME: Final = 0x40  # where the guest's hypercall page lies: it was not recorded
Case = tuple[str, Any, Any]


@dataclass
class Ours:
    """What our two ends did."""

    machine: Machine
    kernel: Kernel
    host: Host
    posted: list[tuple[int, bytes, Status]] = field(default_factory=list)  # by the guest
    answered: list[tuple[int, bytes, Status]] = field(default_factory=list)  # by the host
    rung: list[tuple[int, int, Status]] = field(default_factory=list)
    called: list[tuple[int, int, Status]] = field(default_factory=list)
    trace: Any = None
    boot: Any = None


def recording(folder: str | Path) -> Count:
    """Replay a recorded connection, and compare."""
    there = read_folder(Path(folder))
    ours = play(there)
    return judge([*messages(there, ours), *host_side(there, ours), *machine_side(there, ours), *packets(there, ours)])


# our connection ------------------------------------------------------------------------------------------------------


def configuration(there: Recorded) -> tuple[Places, list[str], tuple[int, ...]]:
    """Return where the guest's pages are, the versions that the host speaks, and the connections that it listens to."""
    pages: dict[int, dict[int, int]] = {}
    for vp, register, value in there.registers():
        pages.setdefault(vp, {})[register] = value >> 12
    inputs = _inputs(there)
    if not pages:
        raise BadRequest(there.name, "no register of a SynIC", "a recording of a guest that booted")
    spare = iter(range(FRAME + 1, FRAME + 64))
    synic = tuple(
        (one[Msr.SIMP], one[Msr.SIEFP], inputs[k] if k < len(inputs) else next(spare))
        for k, (_, one) in enumerate(sorted(pages.items()))
    )
    contact = next((numbers for numbers in there.told("vmbus_initiate_contact")), None)
    if contact is None:
        raise BadRequest(there.name, "no contact", "a trace of the host's end")
    to_child, to_parent, interrupts = (int(number, 16) >> 12 for number in contact[-3:])
    first = next((words["w3"] >> 32 for words in there.sent if words["w0"] == vmbus.GpadlHeader.number), 0)
    count = next((int(numbers[1]) for numbers in there.told("vmbus_gpadl_header")), 0)
    frames = tuple(range(first, first + count))
    versions = [numbers[0] for numbers in there.told("vmbus_initiate_contact")]
    refused = [status for _, _, status in there.hypercalls()].count(int(Status.INVALID_CONNECTION_ID))
    spoken = [one.name for one in vmbus.VERSIONS if vmbus.V2_4 <= one.value <= vmbus.BY_NAME[versions[-1]].value]
    connections = (1,) if refused else (1, 4, int(vmbus.ConnectionId.REDIRECT))
    return Places(FRAME, synic, (interrupts, to_child, to_parent), frames), spoken, connections


def _inputs(there: Recorded) -> list[int]:
    """Return the pages from which posts were made, in the order of their processors."""
    found = dict.fromkeys(gpa >> 12 for code, gpa, _ in there.hypercalls() if code == CODES["PostMessage"])
    return list(found)


def play(there: Recorded) -> Ours:
    """Let our guest and our host do what the recorded ones did: connect, and open what was opened."""
    places, spoken, connections = configuration(there)
    machine = Machine(memory=8 << 20)
    child = machine.child("recorded", (FRAME + 64) * PAGE, vps=len(places.synic), pool=64)
    gpns = {gpn for three in places.synic for gpn in three} | set(places.monitor) | set(places.frames)
    for gpn in sorted(gpns - set(child.partition.pages)):
        machine.vid.add_memory(child.partition, gpn, 1)
    host = machine.vmbus.host(
        child.partition_id,
        connections,
        speaks=spoken,
        connection_base=BASE,
        align=ALIGN,
        selects=False,
    )
    host.answers["balloon"] = balloon.device
    for instance in there.devices:
        host.offer(Device("balloon", BALLOON, instance))
    kernel = machine.boot_kernel(child, places=places)
    kernel.guest.idle = lambda: rest([kernel.service, machine.vmbus.service])
    ours = Ours(machine, kernel, host, boot=machine.trace)
    for box in kernel.boxes:
        box.posted, box.signals = ours.posted, ours.rung
    machine.vmbus.box.posted, machine.vmbus.box.signals = ours.answered, ours.called
    with machine.action():
        _connect(there, ours, len(places.frames))
    ours.trace = machine.trace
    return ours


def _connect(there: Recorded, ours: Ours, pages: int) -> None:
    guest, driver = ours.kernel.guest, balloon.Driver()
    guest.connect()
    guest.request_offers()
    guest.drivers[BALLOON] = driver.take
    for number in sorted(guest.offers):
        guest.cpu = len(guest.boxes) - 1 if len(_inputs(there)) > 1 else 0  # a worker on another processor did it
        split = int(there.sent[-1]["w3"]) & 0xFFFFFFFF if there.sent else pages // 2
        end = guest.open(number, (split, pages - split), 0)
        if end is not None:
            driver.begin(end)
            guest.idle()


# what is compared ----------------------------------------------------------------------------------------------------


def judge(cases: Sequence[Case]) -> Count:
    """Count the cases; what is not there on one side is a disagreement."""
    count = Count()
    agree = np.array([theirs == ours for _, theirs, ours in cases], bool)
    count.add(agree, lambda k: f"{cases[k][0]}: recorded {_shown(cases[k][1])}, found {_shown(cases[k][2])}")
    count.note = (
        "set up as the recording says: page numbers, connections and versions of the host, its padding, its devices; "
        "not compared, because it is timing: when a post found the slot full and was tried again, timer interrupts"
    )
    return count


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:#x}" for name, number in value.items())
    return "nothing" if value is None else str(value)


def words(data: bytes) -> list[int]:
    """Return the words of 64 bits of some bytes, the last one filled up with zeros."""
    data += bytes(-len(data) % 8)
    return [int.from_bytes(data[k : k + 8], "little") for k in range(0, len(data), 8)]


def beside(what: str, theirs: Iterable[Any], ours: Iterable[Any]) -> list[Case]:
    """Set two lists beside each other."""
    return [(f"{what} {k + 1}", *pair) for k, pair in enumerate(zip_longest(theirs, ours))]


def _leading(there: dict[str, int], data: bytes, **more: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return the recorded words that lie inside a message, and the same of ours."""
    found = dict(enumerate(words(data)))
    names = [f"w{k}" for k in found if f"w{k}" in there]
    return (
        {name: there[name] for name in [*more, *names]},
        {**more, **{name: found[int(name[1:])] for name in names}},
    )


def messages(there: Recorded, ours: Ours) -> list[Case]:
    """The guest's own view: what it sent, and what it was told, word by word."""
    cases = list[Case]()
    if there.sent:
        for k, (theirs, mine) in enumerate(zip_longest(there.sent, ours.posted)):
            if theirs is None or mine is None:
                cases.append((f"message {k + 1} of the guest", theirs, mine))
                continue
            connection, data, _ = mine
            cases.append(
                (f"message {k + 1} of the guest", *_leading(theirs, data, conn=connection, mtype=1, len=len(data)))
            )
        for k, (theirs, mine) in enumerate(zip_longest(there.received, ours.answered)):
            pair = (theirs, mine) if theirs is None or mine is None else _leading(theirs, mine[1])
            cases.append((f"message {k + 1} of the host", *pair))
    elif there.calls:
        sent = [name for name in there.calls if name == "hv_post_message"]
        got = [GOT[name] for name in there.calls if name in GOT]
        cases += beside("posts of the guest", [len(sent)], [len(ours.posted)])
        cases += beside(
            "message of the host", got, [int.from_bytes(data[:4], "little") for _, data, _ in ours.answered]
        )
    return cases


GOT: Final = {
    "vmbus_onversion_response": 15, "vmbus_onoffer": 1, "vmbus_onoffers_delivered": 4, "vmbus_ongpadl_created": 10,
    "vmbus_onopen_result": 6, "vmbus_onoffer_rescind": 2, "vmbus_ongpadl_torndown": 12,
}  # fmt: skip


def host_side(there: Recorded, ours: Ours) -> list[Case]:
    """The host's view: what came and what it posted, in one order; then what it says of each."""
    theirs, busy = list[tuple[str, int, int]](), False
    for event, numbers in there.host:
        if event == "vmbus_recv_message":
            theirs.append(("taken", int(numbers[0]), int(numbers[1])))
        elif event == "vmbus_post_msg" and not busy:
            theirs.append(("posted", int(numbers[0]), -(-int(numbers[1]) // ALIGN) * ALIGN))
        elif event == "vmbus_msg_cb":
            busy = numbers[0] == "-11"
    arrived = iter([data for _, data, status in ours.posted if status == Status.SUCCESS])
    said = iter([data for _, data, _ in ours.answered])
    mine = list[tuple[str, int, int]]()
    root = ours.machine.root_vp.number
    for k, name in enumerate(ours.trace.kinds()):
        if int(ours.trace.rows[k, 2]) == root and name in ("channel_message_taken", "channel_message_sent"):
            data = next(arrived if name.endswith("taken") else said)
            what = "taken" if name.endswith("taken") else "posted"
            mine.append((what, int.from_bytes(data[:4], "little"), len(data)))
    return [*beside("message at the host", theirs, mine), *_details(there, ours)]


def _details(there: Recorded, ours: Ours) -> list[Case]:
    """What the host's trace says of contacts, page lists and channels."""
    cases, bodies = list[Case](), [_body(data) for _, data, status in ours.posted if status == Status.SUCCESS]
    contacts = [one for one in bodies if isinstance(one, vmbus.InitiateContact)]
    mine = [
        (
            vmbus.BY_VALUE[one.version].name,
            str(one.target_vp),
            *(hex(gpa) for gpa in (one.parent_to_child, one.child_to_parent, one.interrupt_page)),
        )
        for one in contacts
    ]
    told = [(numbers[0], numbers[1], *numbers[-3:]) for numbers in there.told("vmbus_initiate_contact")]
    cases += beside("contact", told, mine)
    pages = [one.gpns for one in ours.host.state.gpadls.values()]
    lists = [
        (str(one.gpadl_id), str(len(gpns))) for one, gpns in zip(ours.host.state.gpadls.values(), pages, strict=True)
    ]
    cases += beside("page list", there.told("vmbus_gpadl_header"), lists)
    opened = [(str(one.channel_id), str(one.ring), str(one.target_vp)) for one in ours.host.state.channels.values()]
    cases += beside("open channel", there.told("vmbus_open_channel"), opened)
    offered = [str(one.channel_id) for one in ours.host.state.channels.values()]
    cases += beside("offer of channel", [numbers[0] for numbers in there.told("vmbus_send_offer")], offered)
    signalled = [(str(flag),) for _, flag, _ in ours.called]
    return cases + beside("signal to the guest", there.told("vmbus_channel_notify_guest"), signalled)


def _body(data: bytes) -> Any:
    return vmbus.unpack(data)[0]


def machine_side(there: Recorded, ours: Ours) -> list[Case]:
    """KVM's view: the guest's registers in their order, and each post and signal with its answer."""
    trace, cases, mine = ours.trace, list[Case](), list[tuple[int, int, int]]()
    index = {vp.number: vp.index for vp in ours.kernel.vps}
    for k, name in enumerate(ours.boot.kinds()):
        if name == "msr_written" and ours.boot.fact(k, "msr") >= Msr.SCONTROL:
            mine.append((index[int(ours.boot.rows[k, 2])], ours.boot.fact(k, "msr"), ours.boot.fact(k, "value")))
    cases += beside("register of the guest", there.registers(), mine)
    assert trace is not None
    calls = there.hypercalls()
    posts = [(status, gpa) for code, gpa, status in calls if code == CODES["PostMessage"]]
    inputs = {box.vp.number: box.input_gpa for box in ours.kernel.boxes}
    made = [
        (trace.fact(k, "input"), int(trace.rows[k, 2]))
        for k, name in enumerate(trace.kinds())
        if name == "hypercall_entered" and trace.fact(k, "code") == CODES["PostMessage"]
    ]
    guests = [gpa for gpa, actor in made if actor in inputs]
    cases += beside("post", posts, zip([int(status) for _, _, status in ours.posted], guests, strict=True))
    signals = [(gpa, status) for code, gpa, status in calls if code == CODES["SignalEvent"]]
    return cases + beside("signal", signals, [(connection, int(status)) for connection, _, status in ours.rung])


def packets(there: Recorded, ours: Ours) -> list[Case]:
    """Packets of both directions, and what the guest's sysfs shows afterwards."""
    if not there.written and not there.sysfs:
        return []
    ends = list(ours.kernel.guest.ends.values())
    if not ends:
        return [("an open channel", "there", None)]
    end, cases = ends[0], list[Case]()
    for k, (theirs, mine) in enumerate(zip_longest(there.written, _in_ring(ours, end.writer, "packet_written"))):
        if theirs is None or mine is None:
            cases.append((f"packet {k + 1} of the guest", theirs, mine))
            continue
        head, data = mine[:16], mine[16:]
        given = {"len": len(data), "req": words(head)[1], "type": head[0], "flags": int.from_bytes(head[6:8], "little")}
        cases.append((f"packet {k + 1} of the guest", *_leading(theirs, data, **given)))
    for k, (theirs, mine) in enumerate(zip_longest(there.read, _in_ring(ours, end.reader, "packet_read"))):
        if theirs is None or mine is None:
            cases.append((f"packet {k + 1} of the host", theirs, mine))
            continue
        first, second = words(mine[:16])
        cases.append((f"packet {k + 1} of the host", *_leading(theirs, mine[16:], d0=first, d1=second)))
    rung = sum(name == "doorbell_rung" and ours.trace.fact(k, "ring") == 1 for k, name in enumerate(ours.trace.kinds()))
    cases.append(("doorbells of the guest", there.doorbells, rung))
    return cases + _sysfs(there, ours)


def _in_ring(ours: Ours, ring: Any, name: str) -> list[bytes]:
    """Return the packets of one ring as they still lie there, in the order in which they were written or read."""
    found, trace = list[bytes](), ours.trace
    guests = {vp.number for vp in ours.kernel.vps}
    for k, kind in enumerate(trace.kinds()):
        if kind == name and int(trace.rows[k, 2]) in guests:
            data = ring.window.read(PAGE + trace.fact(k, "at"), trace.fact(k, "length"))
            assert isinstance(data, bytes)
            found.append(data)
    return found


def _sysfs(there: Recorded, ours: Ours) -> list[Case]:
    channel = next(iter(ours.kernel.guest.offers.values()))
    end = ours.kernel.guest.ends[channel.channel_id]
    out, into = end.writer.control(), end.reader.control()
    number, size = channel.channel_id, end.writer.size
    rung = len(ours.called)
    mine = {
        "id": str(number),
        "class_id": f"{{{channel.interface}}}",
        "device_id": f"{{{channel.instance}}}",
        "state": "3" if channel.state == State.OPEN else channel.state.name,  # Linux CHANNEL_OPENED_STATE
        "channel_vp_mapping": f"{number}:{channel.target_vp}",
        "out_write_index": str(out.write_index),
        "out_read_index": str(out.read_index),
        "out_intr_mask": str(out.interrupt_mask),
        "in_write_index": str(into.write_index),
        "in_read_index": str(into.read_index),
        "in_intr_mask": str(into.interrupt_mask),
        "out_read_bytes_avail": str(end.writer.used),
        "out_write_bytes_avail": str(size - end.writer.used),
        "in_read_bytes_avail": str(end.reader.used),
        "in_write_bytes_avail": str(end.reader.size - end.reader.used),
        f"channels/{number}/interrupts": str(rung),
        f"channels/{number}/events": str(rung),
        f"channels/{number}/intr_out_empty": str(len(ours.rung)),
        f"channels/{number}/write_avail": str(size - end.writer.used),
        f"channels/{number}/read_avail": str(end.reader.used),
        f"channels/{number}/cpu": str(channel.target_vp),
        f"channels/{number}/subchannel_id": str(channel.offer.sub_channel_index),
        f"channels/{number}/out_full_total": str(end.refused),
    }
    return [(f"sysfs {name}", there.sysfs[name], value) for name, value in mine.items() if name in there.sysfs]
