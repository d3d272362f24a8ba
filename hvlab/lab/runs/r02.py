"""Runs of lesson 02 by their tokens: a text for the serial port, and a string from the disk."""

from typing import Final

from hvlab.lab.runs import Scenario
from hvlab.lab.seed import Draw
from hvlab.lab.tiny import child_with_devices, hello, identify, run_tiny
from hvlab.language import N_
from hvlab.root.vdev.ide import Ide
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens
from hvlab.tokens import Knob
from hvlab.trace.journal import Trace

WHOLE: Final = Knob("w", "whole", (0, 1), 1)
COUNT: Final = Knob("n", "count", (4, 8, 16, 32), 4)


def text(seed: int, count: int) -> Trace:
    """A child writes drawn letters to the serial port."""
    draw = Draw(seed)
    return run_tiny(hello(bytes(draw.between(65, 90) for _k in range(count)))).trace


def disk(seed: int, count: int, whole: int) -> Trace:
    """A child reads the beginning of the answer of a disk of a drawn size by one instruction."""
    child = child_with_devices(whole=bool(whole))
    for device in child.worker.bus.devices:
        if isinstance(device, Ide):
            device.identity.sectors = 16 * 63 * Draw(seed).between(100, 16000)  # so many cylinders: the second word
    return run_tiny(identify(count), child).trace


def told(trace: Trace, token: str) -> Storyboard:
    """Tell such a run on map and lanes."""
    return SystemLens().story(trace, "What leaves a guest, and who answers", token=token)


SCENARIOS: Final = (
    Scenario(
        "serial-text",
        N_("A child writes letters to an emulated serial port, one exit each."),
        (COUNT,),
        lambda seed, knobs: text(seed, knobs["count"]),
        told,
    ),
    Scenario(
        "disk-string",
        N_("A child reads from an emulated disk by one repeated instruction."),
        (COUNT, WHOLE),
        lambda seed, knobs: disk(seed, knobs["count"], knobs["whole"]),
        told,
    ),
)
