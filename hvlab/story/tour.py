"""A walk through the house before anything moves: every box of the diagram, with its partition and its privilege.

No run stands behind this story, and it draws no wire and no token: it names places, and they are those of `BOXES`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hvlab.language import N_, _
from hvlab.story.frame import Fact, Frame, Kind
from hvlab.story.gate import Gate
from hvlab.story.host import BOXES, VID, VMBUS, Card, places
from hvlab.story.hostmap import host_map
from hvlab.story.steps import Step
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import enums

ASKED: Final = {1: "root.WinHv", 2: "root.VID", 4: "root.VMBus", 8: "partition manager"}  # by their bits in `inside`
PRIVILEGES: Final = {
    1: N_("user mode"),
    2: N_("kernel mode"),
    3: N_("the hypervisor's, the highest"),
    4: N_("none: hardware"),
    5: N_("user and kernel mode"),
}
PARTITIONS: Final = {
    1: N_("none: below all of them"),
    2: N_("root partition"),
    3: N_("child partition"),
    4: N_("root and child"),
}


@dataclass(frozen=True)
class Stop:
    """One step of the walk: some boxes, their partition and privilege by number, a sentence, its source."""

    name: str
    boxes: tuple[str, ...]
    partition: int
    privilege: int
    says: str
    source: str


STOPS: Final = (
    Stop(
        "hardware",
        ("processors", "memory", "IOMMU", "NIC", "disk"),
        1, 4,
        N_("The hardware: one machine for all. Its processors run the programs of every partition directly."),
        "Intel SDM vol. 3C, introduction to VMX",
    ),
    Stop(
        "entries",
        ("hypercalls", "MSRs", "intercepts", "APIC", "SynIC"),
        1, 3,
        N_("The hypervisor, upper row: here calls, special registers, faults, interrupts and messages are handled."),
        "TLFS",
    ),
    Stop(
        "managers",
        ("address management", "scheduler", "partition manager"),
        1, 3,
        N_("The hypervisor, lower row: who has which memory, who runs next, which partitions there are."),
        "TLFS, partitions",
    ),
    Stop(
        "root_system",
        ("root.NT kernel", "root.drivers", "root.I/O stack"),
        2, 2,
        N_("The root partition, kernel mode: an operating system with the drivers of the real devices."),
        VMBUS,
    ),
    Stop(
        "root_builders",
        ("root.VID", "root.WinHv"),
        2, 2,
        N_("The root, kernel mode: VID builds the other partitions; WinHv makes the hypercalls for it."),
        VID,
    ),
    Stop(
        "root_services",
        ("root.VMMS", "root.VMWP", "root.WMI"),
        2, 1,
        N_("The root, user mode: WMI takes orders, VMMS manages, one VMWP works for each virtual machine."),
        "Microsoft, Hyper-V architecture",
    ),
    Stop(
        "child",
        ("windows.applications", "windows.kernel", "windows.I/O stack", "windows.WinHv"),
        3, 5,
        N_("A child partition: programs in user mode, and below them a kernel of their own, which calls by WinHv."),
        "TLFS, partitions",
    ),
    Stop(
        "channels",
        ("windows.VSCs", "windows.VMBus", "root.VMBus", "root.VSPs"),
        4, 2,
        N_("VMBus joins two partitions: a VSC in the child asks, a VSP in the root serves."),
        VMBUS,
    ),
    Stop(
        "integration",
        ("windows.ICs",),
        3, 2,
        N_("ICs, integration components: time, shutdown and heartbeat, agreed with services in the root."),
        VMBUS,
    ),
    Stop(
        "linux",
        tuple(name for name in BOXES if name.startswith("linux.")),
        3, 5,
        N_("A Linux child has the same boxes; hv core is its part that calls the hypervisor."),
        "Linux drivers/hv",
    ),
    Stop(
        "unenlightened",
        tuple(name for name in BOXES if name.startswith("unenlightened.")),
        3, 5,
        N_("An unenlightened child knows nothing of Hyper-V; its drivers drive devices that the root's VMWP plays."),
        VMBUS,
    ),
)  # fmt: skip


def tour(name: str = "", cards: Mapping[str, Card] | None = None, gates: Sequence[Gate] = ()) -> Storyboard:
    """Return the walk through the house.

    Parameters
    ----------
    name
        What the Windows child is called.
    cards
        The glossary's sentence and source for a box, by `Box.card`.
    """
    drawn = host_map([_step(number, stop) for number, stop in enumerate(STOPS)], name)
    frames, inside = [], 0
    for number, (stop, values) in enumerate(zip(STOPS, drawn.values, strict=True)):
        inside |= sum(bit for bit, box in ASKED.items() if box in stop.boxes and BOXES[box].lane == "hypervisor")
        quiet = {name: 0 if name.startswith("count") else value for name, value in values.items()}
        facts = {**quiet, "partition": stop.partition, "privilege": stop.privilege, "inside": inside, "stop": number}
        frames.append(Frame(kind=stop.name, facts=facts, src=stop.boxes[0]))
    return Storyboard.from_frames(
        _("The house of Hyper-V: every box, its partition and its privilege"),
        frames,
        kinds=[Kind(stop.name, _(stop.says), (), (), stop.source, "", "W") for stop in STOPS],
        facts=[
            Fact("partition", _("Partition"), "enum:house", True),
            Fact("privilege", _("Privilege"), "enum:mode", True),
            Fact("inside"),
            Fact("stop"),
            *drawn.facts,
        ],
        pictures=[replace(drawn.picture, alt={"fact": "stop", "cases": _twins(name), "else": ""})],
        gates=gates,
        places=places({"windows": name} if name else {}, cards),
        enums=enums("windows", name) | {"house": _words(PARTITIONS), "mode": _words(PRIVILEGES)},
        about=_("Nothing runs here. A click on a box opens its card, with the steps that name it."),
    )


def _words(names: Mapping[int, str]) -> dict[int, str]:
    return {0: "", **{number: _(text) for number, text in names.items()}}


def _twins(name: str) -> dict[str, str]:
    """The picture in words, step by step: the boxes that are lit."""
    labels = {place.name: place.label for place in places({"windows": name} if name else {})}
    told = _("Lit: {boxes}.")
    return {str(at): told.format(boxes=", ".join(labels[box] for box in stop.boxes)) for at, stop in enumerate(STOPS)}


def _step(number: int, stop: Stop) -> Step:
    """A step in which nothing travels."""
    lane = BOXES[stop.boxes[0]].lane
    return Step((), 0, stop.name, {}, "", stop.boxes[0], "", "W", 0, None, number, lane, (), number, (), stop.boxes)
