"""What must always hold of interrupts: I10, from the bits of the local APICs.

Of its first part, that a remapped interrupt reaches only its own processor and vector, there is nothing to look at yet:
no device's interrupts are remapped.
"""

from typing import Any

from hvlab.hypervisor.core import Hypervisor
from hvlab.wire.apic import LOWEST_VECTOR


def _vectors(words: Any) -> list[int]:
    return [64 * k + bit for k in range(4) for bit in range(64) if int(words[k]) >> bit & 1]


def check_interrupts(machine: Any) -> list[str]:
    """I10: no vector below 16 waits, one class is in service once at most, and every interrupt is accounted for."""
    hv: Hypervisor = getattr(machine, "hv", machine)
    found = list[str]()
    for vp in range(hv.state["apic"].shape[1]):
        found += check_apic(hv.state["apic"][0, vp], vp)
    return found


def check_apic(record: Any, vp: int = 0) -> list[str]:
    """I10 of one local APIC.

    At acceptance a vector's class is above those in service, so that two of one class are never in service together.
    """
    irr, isr, count = _vectors(record["irr"]), _vectors(record["isr"]), record["count"]
    found = [
        f"I10: vector {v:#x} is in {name} of VP {vp}"
        for name, vectors in (("IRR", irr), ("ISR", isr))
        for v in vectors
        if v < LOWEST_VECTOR
    ]
    classes = [v >> 4 for v in isr]
    found += [f"I10: VP {vp} has two of class {c:x} in service" for c in sorted(set(classes)) if classes.count(c) > 1]
    known = int(count["delivered"]) + int(count["coalesced"]) + int(count["lost"]) + len(irr)
    if known != int(count["raised"]):
        found.append(f"I10: VP {vp} was raised {int(count['raised'])} interrupts, {known} are accounted for")
    return found
