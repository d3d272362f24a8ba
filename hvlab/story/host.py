"""The boxes of a Hyper-V host, where they stand in the drawing, and which wires there may be between them.

The routes of the wires are data (`host.json`), made by `hvlab.story.routes`; a test makes them again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.frame import Place

WIDTH: Final = 836
HEIGHT: Final = 434
GUESTS: Final = ("windows", "linux", "unenlightened")
COLUMNS: Final = {  # name: (title, left, width)
    "root": (N_("root partition"), 2, 276),
    "windows": (N_("Windows child"), 288, 176),
    "linux": (N_("Linux child"), 474, 176),
    "unenlightened": (N_("unenlightened child"), 660, 175),
}
USER: Final = (20, 46)  # top and height of each column's user mode
KERNEL: Final = (70, 130)
HYPERVISOR: Final = (232, 96)
HARDWARE: Final = (352, 52)
BOX_HEIGHT: Final = 25
ROWS: Final = {"user": 36, "one": 86, "two": 126, "bus": 166, "calls": 251, "below": 294, "hardware": 371}
BUS: Final = 195  # where the channels run
SDM: Final = "Intel SDM vol. 3A, 4.5; vol. 3C, EPT"
TLFS: Final = "TLFS"
VMBUS: Final = "Linux Documentation/virt/hyperv/vmbus.rst"
LIVES: Final = N_("Life cycle, properties, pools and virtual processors.")
Card = tuple[str, str] | tuple[str, str, str]
VID: Final = "Linux drivers/hv/mshv_root_main.c"


@dataclass(frozen=True)
class Box:
    """A box of the diagram.

    Attributes
    ----------
    name, label
        Unique, such as ``"root.WinHv"``; and what stands in the box.
    card
        The box's name in the glossary.
    lane
        Who runs there: one of `hvlab.story.lanes.LANES`, "" for what no story reaches yet.
    says, where, source
        The card, where the glossary has none.
    """

    name: str
    label: str
    card: str
    x: int
    y: int
    width: int
    lane: str
    says: str
    where: str
    source: str


def _column(column: str) -> list[Box]:
    """The boxes of one partition."""
    title, left, _ = COLUMNS[column]
    user, kernel = (f"{'root' if column == 'root' else 'child'} {mode}" for mode in ("user", "kernel"))
    inside = left + 8
    wide, step = (78, 91) if column == "root" else (70, 90)
    full = 260 if column == "root" else 160
    found = []

    def put(label: str, row: str, at: int, span: int, lane: str, says: str, source: str, card: str = "") -> None:
        width = span if span > 3 else wide + step * (span - 1)
        mode = "user mode" if row == "user" else "kernel mode"
        place = inside + step * at, ROWS[row], width
        found.append(Box(f"{column}.{label}", label, card or label, *place, lane, says, f"{title}, {mode}", source))

    if column == "root":
        put("VMMS", "user", 0, 1, user, N_("The management service: it starts and stops virtual machines."), TLFS)
        worker = N_("One worker process for each virtual machine; its devices stand here.")
        put("VMWP", "user", 1, 1, user, worker, TLFS)
        put("WMI", "user", 2, 1, user, N_("The interface through which tools give their orders."), TLFS, "WMI provider")
    else:
        put("applications", "user", 0, full, user, N_("Programs: they know nothing of the hypervisor."), TLFS)
    put("I/O stack", "one", 0, 1, kernel, "File systems, volumes, protocols: the way of a request.", VMBUS)
    if column == "root":
        put("VSPs", "one", 1, 1, kernel, N_("They serve the children's synthetic devices."), VMBUS)
        put("VID", "one", 2, 1, kernel, N_("The driver that builds partitions and hears of their intercepts."), VID)
        put("drivers", "two", 0, 1, kernel, N_("They know the real devices."), VMBUS)
        put("NT kernel", "two", 1, 2, kernel, N_("The root's own kernel, with page tables of its own."), TLFS)
    elif column == "unenlightened":
        put("drivers", "one", 1, 1, kernel, N_("They drive devices that the worker process imitates."), VMBUS)
    else:
        put("VSCs", "one", 1, 1, kernel, N_("They ask the root's service providers by ring and signal."), VMBUS)
        put("ICs", "two", 0, 1, kernel, N_("Integration components: time, shutdown, heartbeat."), VMBUS)
    if column != "root":
        put("kernel", "two", 1, 1, kernel, N_("The guest's kernel: it writes its own page tables."), SDM)
    if column != "unenlightened":
        caller = "hv core" if column == "linux" else "WinHv"
        put(caller, "bus", 0, 1, kernel, N_("It makes the hypercalls of this partition."), "TLFS, hypercall interface")
        put("VMBus", "bus", 1, 1 if column != "root" else 2, kernel, "Channels: shared memory and signals.", VMBUS)
    return found


def _below() -> list[Box]:
    """The hypervisor and the hardware."""
    calls = {
        "hypercalls": (N_("The one entry for calls; it checks before it acts."), "TLFS, hypercall interface"),
        "MSRs": (N_("Synthetic registers, read and written by RDMSR and WRMSR."), "TLFS, MSRs"),
        "intercepts": (N_("What leaves a guest without being asked for."), "TLFS, intercepts"),
        "APIC": (N_("Each virtual processor's interrupt controller."), "TLFS, virtual interrupt controller"),
        "SynIC": (N_("Messages and event flags between partitions."), "TLFS, inter-partition communication"),
    }
    below = {
        "address management": (0, 307, N_("Second-level tables, and who owns which page."), "TLFS, GPA spaces"),
        "scheduler": (342, 136, N_("It chooses the virtual processor that runs next."), "TLFS, scheduler"),
        "partition manager": (513, 307, LIVES, "TLFS, partitions"),
    }
    hardware = {
        "processors": (N_("They run guests directly and walk both levels of tables."), SDM),
        "memory": (N_("System physical memory: tables, messages and data."), SDM),
        "IOMMU": (N_("It translates what devices ask for."), "Intel VT-d specification"),
        "NIC": (N_("The network card."), VMBUS),
        "disk": (N_("The disk."), VMBUS),
    }
    found = []
    for at, (name, (says, source)) in enumerate(calls.items()):
        found.append(Box(name, name, name, 10 + 171 * at, ROWS["calls"], 136, "hypervisor", says, "hypervisor", source))
    for name, (x, width, says, source) in below.items():
        found.append(Box(name, name, name, 10 + x, ROWS["below"], width, "hypervisor", says, "hypervisor", source))
    for at, (name, (says, source)) in enumerate(hardware.items()):
        lane = {"processors": "processor", "memory": "memory"}.get(name, "")
        found.append(Box(name, name, name, 10 + 171 * at, ROWS["hardware"], 136, lane, says, "hardware", source))
    return found


BOXES: Final[dict[str, Box]] = {
    box.name: box for box in [*(box for column in COLUMNS for box in _column(column)), *_below()]
}


def caller_of(column: str) -> str:
    """Return the box that makes a partition's hypercalls."""
    return f"{column}.{ {'linux': 'hv core', 'unenlightened': 'kernel'}.get(column, 'WinHv') }"


def kernel_of(column: str) -> str:
    """Return the box of a partition's kernel."""
    return "root.NT kernel" if column == "root" else f"{column}.kernel"


def bus_of(column: str) -> str:
    """Return the box of a partition's VMBus; its kernel where there is none."""
    return kernel_of(column) if column == "unenlightened" else f"{column}.VMBus"


def user_of(column: str) -> str:
    """Return the box of a partition's programs."""
    return "root.VMWP" if column == "root" else f"{column}.applications"


def wires() -> list[tuple[str, str]]:
    """Return the pairs of boxes between which recorded events travel, each once."""
    found = [
        ("root.VID", "intercepts"),
        ("processors", "intercepts"),
        ("processors", "memory"),
        ("address management", "memory"),
        ("address management", "processors"),
        ("hypercalls", "memory"),
    ]
    for column in COLUMNS:
        caller, kernel = caller_of(column), kernel_of(column)
        found += [(caller, "hypercalls"), (caller, "MSRs"), (caller, "intercepts")]
        found += [(kernel, "processors"), (user_of(column), "processors")]
    return sorted(set(found))


@cache
def routes() -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return the corners of each wire, from its first box to its second."""
    text = files("hvlab.story").joinpath("host.json").read_text(encoding="utf-8")
    return {(row["from"], row["to"]): [(x, y) for x, y in row["points"]] for row in json.loads(text)["wires"]}


def along_the_bus(one: str, other: str) -> list[tuple[int, int]]:
    """Return the way between two boxes of VMBus: along the line at which channels share memory."""
    ends = [(BOXES[name].x + BOXES[name].width // 2, BOXES[name].y + BOX_HEIGHT) for name in (one, other)]
    return [ends[0], (ends[0][0], BUS), (ends[1][0], BUS), ends[1]]


def places(names: Mapping[str, str], cards: Mapping[str, Card] | None = None) -> list[Place]:
    """Return the boxes as places of a story.

    Parameters
    ----------
    names
        What a column is called: ``{"linux": "web"}``.
    cards
        The glossary's sentence, source and first lesson for a box of the diagram, by `Box.card`.
    """
    unknown = set(names) - set(COLUMNS)
    if unknown:
        raise BadRequest(f"the column {sorted(unknown)[0]!r}", ", ".join(COLUMNS))
    found = []
    for box in BOXES.values():
        column = box.name.partition(".")[0]
        label = _(box.label)
        if column != box.name:
            label = _("{box} of {partition}").format(box=label, partition=names.get(column) or _(column))
        where = ", ".join(_(part) for part in box.where.split(", "))
        says, source, *lesson = (cards or {}).get(box.card, (box.says, box.source))
        found.append(Place(box.name, label, _(says), where, source, *lesson))
    return found
