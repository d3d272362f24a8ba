"""Vector files about the local APIC: priorities, and sequences of steps with the answer after each."""

from typing import Any

import numpy as np

from hvlab.hardware import apic
from hvlab.hypervisor import clockwork
from hvlab.hypervisor.core import SILENT
from hvlab.hypervisor.partition import STATE
from hvlab.hypervisor.virtual_apic import APIC_WRITE
from hvlab.verify.count import Count
from hvlab.wire.apic import Offset

ALL_AUTOMATIC = -1


class OneApic:
    """A local APIC alone, driven by the operations of the event kernel."""

    def __init__(self) -> None:
        self.state, self.mem = np.zeros(1, STATE), np.zeros(1, np.int64)
        self.reset()

    def reset(self) -> None:
        apic.switch_on(self.state, 0, number=0, bus=1)

    @property
    def record(self) -> Any:
        return self.state["apic"][0, 0]

    def do(self, *operations: tuple[int, ...]) -> list[int]:
        """Do operations, each a number and its words for this APIC; return the answers."""
        work, answer = np.zeros((len(operations), clockwork.COLUMNS), np.int64), np.zeros(len(operations), np.int64)
        for row, (operation, *words) in zip(work, operations, strict=True):
            row[1], row[3 : 3 + len(words)] = operation, words
        clockwork.advance(self.state, self.mem, SILENT, work, answer, 0)
        return [int(one) for one in answer]

    def priority(self) -> int:
        return int(apic.ppr(self.record))

    def pending(self) -> int | None:
        vector = int(apic.waiting(self.record))
        return None if vector < 0 else vector

    def vectors(self, name: str) -> list[int]:
        words = self.record[name]
        return [64 * k + bit for k in range(4) for bit in range(64) if int(words[k]) >> bit & 1]


def apic_priority(cases: list[Any]) -> Count:
    """Bring an interrupt of one class into service, set TPR, raise another: is it deliverable, at which PPR?"""
    one, given = OneApic(), []
    for case, _ in cases:
        one.reset()
        steps: list[tuple[int, ...]] = [(int(APIC_WRITE), int(Offset.TPR), case["tpr_class"] << 4)]
        if case["isrv_class"]:
            steps = [(int(clockwork.RAISE), case["isrv_class"] << 4 | 5), (int(clockwork.ACCEPT),), *steps]
        one.do(*steps, (int(clockwork.RAISE), case["irr_class"] << 4 | 3))
        given.append({"ppr": one.priority(), "deliver": one.pending() is not None})
    count = Count()
    count.add(
        np.array([mine == answer for mine, (_, answer) in zip(given, cases, strict=True)], bool),
        lambda k: f"{cases[k][0]}: expected {cases[k][1]}, found {given[k]}",
    )
    return count


def apic_sequences(cases: list[Any]) -> Count:
    """Follow each run step by step, and compare what is left at its end."""
    given = [_first_difference(case) for case in cases]
    count = Count()
    count.add(np.array([not difference for difference in given], bool), lambda k: f"run {cases[k]['id']}: {given[k]}")
    return count


def _first_difference(case: dict[str, Any]) -> str:
    one, ended = OneApic(), list[int]()
    for number, (step, expected) in enumerate(case["steps"]):
        found = {"ret": _step(one, ended, *step), "ppr": one.priority(), "pending": one.pending()}
        if found != expected:
            return f"step {number}, {step}: expected {expected}, found {found}"
    last = {"irr": one.vectors("irr"), "isr": one.vectors("isr"), "tpr": int(one.record["tpr"])}
    last |= {"esr": int(one.record["errors"]), "eoi_broadcast": ended}
    return "" if last == case["final"] else f"at the end: expected {case['final']}, found {last}"


def _step(one: OneApic, ended: list[int], name: str, *words: int) -> int | None:
    """Do one step of a run; `ended` collects the vectors whose end the I/O APIC hears."""
    if name == "raise":
        one.do((int(clockwork.RAISE), *words))
        return None
    if name == "tpr":
        one.do((int(APIC_WRITE), int(Offset.TPR), *words))
        return None
    before = int(one.record["count"]["broadcasts"])
    if name == "ack_autoeoi":  # here the acknowledgement says so, in Hyper-V the interrupt source
        one.record["auto_eoi"][:] = ALL_AUTOMATIC
    (vector,) = one.do((int(clockwork.EOI if name == "eoi" else clockwork.ACCEPT),))
    one.record["auto_eoi"][:] = 0
    if int(one.record["count"]["broadcasts"]) > before:
        ended.append(vector)
    return None if vector < 0 else vector
