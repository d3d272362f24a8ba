"""Lesson 00, exercises: one read crosses four worlds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hvlab.lab.answer import Listed, Number, Plain, Word
from hvlab.lab.exercise import Exercise, Wrong, in_own_words
from hvlab.lab.items.e00_class import E3
from hvlab.lab.items.e00_gap import E2
from hvlab.lab.items.e00_order import E1
from hvlab.lab.items.e00_runs import Work, work
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.host import BOXES

__all__ = ["EXERCISES", "SHORTS"]

# boxes ---------------------------------------------------------------------------------------------------------------

WORLDS: Final = ("root user", "root kernel", "child user", "child kernel", "hypervisor", "hardware")
ASKED: Final = tuple(
    name
    for name in BOXES
    if name.partition(".")[0] not in ("linux", "unenlightened") and not name.endswith(("I/O stack", "VMBus", "WinHv"))
)  # those whose label stands once on the map
IN_CHILD: Final = tuple(name for name in ASKED if name.startswith("windows."))
FOOLING: Final = ("root.VID", "root.VSPs", "root.VMMS", "root.VMWP")  # of the root, and taken for the hypervisor


@dataclass(frozen=True)
class Place(Word):
    """One of the worlds; what is wanted is said shortly, the task names them all."""

    def wants(self) -> str:
        return _("a place such as '{example}'").format(example=self.choices[1])


def world_of(name: str) -> str:
    """Return the world in which a box of the diagram stands: its partition and its privilege."""
    where = BOXES[name].where
    if where in ("hypervisor", "hardware"):
        return where
    partition, mode = where.split(", ")
    return f"{partition.split()[0].replace('Windows', 'child')} {mode.removesuffix(' mode')}"


def boxes(count: int) -> Callable[[Draw], tuple[str, ...]]:
    """Return a maker that draws so many boxes, one of them of the root and often taken for the hypervisor."""

    def make(draw: Draw) -> tuple[str, ...]:
        first, child = draw.pick(FOOLING), draw.pick(IN_CHILD)
        rest = [name for name in ASKED if name not in (first, child)]
        return tuple(draw.shuffled([first, child, *draw.sample(rest, count - 2)]))

    return make


def renamed(change: Callable[[str], str]) -> Callable[[tuple[str, ...]], Plain]:
    """Return a wrong model: another world for some boxes."""
    return lambda world: tuple(change(name) for name in world)


def placing(id: str, kind: str, count: int) -> Exercise:
    """Return the question where so many boxes stand."""
    return Exercise(
        id=id, version=1, kind=kind, shape=Listed(Place(WORLDS), count, "box"), make=boxes(count),
        ask=lambda world: _("Where does each of these boxes stand: {boxes}? Give a list of {count}, each one of "
                            "{worlds}.").format(
            boxes=", ".join(BOXES[name].label for name in world), count=count, worlds=", ".join(WORLDS)
        ),
        truth=renamed(world_of),
        tested=N_("some boxes of the map; a child is one with Windows in it"),
        hints=(
            N_("Look for the box on the map: in which column, and in which row of that column?"),
            N_("Sub-goal: sort out first what lies below all columns. That is the hypervisor or the hardware."),
        ),
        wrong=(
            Wrong(
                "all-of-it-is-the-hypervisor",
                N_("the hypervisor is the layer below all partitions. What serves children is in the root."),
                "partition-create",
                renamed(lambda name: "hypervisor" if name in FOOLING else world_of(name)),
            ),
            Wrong(
                "kernel-is-the-hypervisor",
                N_("each partition has a kernel of its own; the hypervisor has a privilege above all of them."),
                "partition-create",
                renamed(lambda name: "hypervisor" if world_of(name).endswith("kernel") else world_of(name)),
            ),
            Wrong(
                "one-root-for-all",
                N_("a child's programs and kernel run in the child's own partition, not in the root."),
                "partition-create",
                renamed(lambda name: world_of(name).replace("child", "root")),
            ),
        ),
        steps=lambda world: [f"{BOXES[name].label}: {world_of(name)}" for name in world],
    )  # fmt: skip


# counting ------------------------------------------------------------------------------------------------------------


def counting(id: str, kind: str) -> Exercise:
    """Return the question how often control enters the hypervisor."""
    return Exercise(
        id=id, version=1, kind=kind, shape=Number(high=999), make=work,
        ask=lambda world: _(
            "A child reads {loads} words of a page that it has, and a word in each of {touches} pages that its parent "
            "gives when they are first touched. It executes CPUID {cpuids} times and makes {calls} hypercalls. How "
            "often does control enter the hypervisor? The parent makes two calls for each page that it gives."
        ).format(loads=world.loads, touches=world.touches, cpuids=world.cpuids, calls=world.calls),
        truth=lambda world: world.entered(),
        tested=N_("one piece of work; not tested: interrupts and timers"),
        hints=(
            N_("What does each thing need: nothing, an exit, or an exit and calls of the parent?"),
            N_("Sub-goal: write down the entries for one first touch, the parent's calls included."),
        ),
        wrong=(
            Wrong(
                "every-load-exits",
                N_("the processor translates a load by itself; only what is missing makes it leave the guest."),
                "ept-walk",
                lambda world: world.entered() + world.loads,
            ),
            Wrong(
                "the-hypervisor-gives-the-page",
                N_("the hypervisor has no page to give: the parent gives one, and its calls enter as well."),
                "intercept-message",
                lambda world: world.touches + world.cpuids + world.calls,
            ),
            Wrong(
                "only-calls-enter",
                N_("a CPUID leaves the guest too, as does an access to what is not mapped."),
                "discovery",
                lambda world: world.calls,
            ),
        ),
        steps=told_work,
    )  # fmt: skip


def told_work(world: Work) -> list[str]:
    return [
        _("{count} loads of a page that is there: 0 entries").format(count=world.loads),
        _("{count} first touches: {entries} exits, and {more} calls of the parent").format(
            count=world.touches, entries=world.touches, more=2 * world.touches
        ),
        _("{count} CPUID instructions: {count} exits").format(count=world.cpuids),
        _("{count} hypercalls: {count} entries; in all {all}").format(count=world.calls, all=world.entered()),
    ]


BOXES_EXERCISE: Final = placing("00.boxes", "compute", 6)
SHORTS: Final = (placing("00.short.boxes", "recall", 4), counting("00.short.enters", "recall"))
X1: Final = counting("00.X1", "exit")
X2: Final = in_own_words(
    "00.X2",
    N_(
        "The overview says: all access of a child to memory goes through VMBus or the hypervisor. Correct the sentence."
    ),
)

EXERCISES: Final = (BOXES_EXERCISE, E1, E2, E3, X1, X2)
