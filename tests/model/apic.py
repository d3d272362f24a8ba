"""A slow, obvious local APIC, I/O APIC and assist page: sets of numbers, one rule of the manual after the other.

Written from the Intel SDM vol. 3A (local APIC), the 82093AA data sheet and the TLFS (EOI assist).
"""

from __future__ import annotations

from dataclasses import dataclass, field

NMI_VECTOR = 2


def class_of(vector: int) -> int:
    return vector // 16


def may_deliver(tpr_class: int, in_service_class: int, requested_class: int) -> bool:
    """Whether a vector of a class comes through: only above the task's class and above the class in service."""
    return requested_class > tpr_class and requested_class > in_service_class


@dataclass
class LocalApic:
    """One processor's interrupt controller."""

    identity: int
    x2apic: bool = True
    tpr: int = 0
    enabled: bool = True
    ldr: int = 0
    flat: bool = True
    requested: set[int] = field(default_factory=set)
    in_service: set[int] = field(default_factory=set)
    level: set[int] = field(default_factory=set)
    automatic: set[int] = field(default_factory=set)
    collected: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    nmis: int = 0
    in_nmi: bool = False
    waits_for_startup: bool = False
    ended_levels: list[int] = field(default_factory=list)
    assist: bool = False  # the page exists
    no_eoi_required: bool = False  # the bit in it
    owed: bool = False  # the hypervisor set the bit and has not seen what became of it
    exits: int = 0
    saved: int = 0

    # what happens ---------------------------------------------------------------------------------------------------

    def processor_priority(self) -> int:
        highest = max(self.in_service, default=0)
        return self.tpr if class_of(self.tpr) >= class_of(highest) else class_of(highest) * 16

    def pending(self) -> int | None:
        """The vector that would be delivered now."""
        if self.nmis and not self.in_nmi:
            return NMI_VECTOR
        if not self.enabled or not self.requested:
            return None
        best = max(self.requested)
        return best if class_of(best) > class_of(self.processor_priority()) else None

    def arrive(self, vector: int, level: bool = False, automatic: bool = False) -> str:
        if not 16 <= vector <= 255:
            self.collected.add("received illegal vector")
            return "illegal"
        if not self.enabled:
            return "dropped"
        for mark, wanted in ((self.level, level), (self.automatic, automatic)):
            mark.add(vector) if wanted else mark.discard(vector)
        merged = vector in self.requested
        self.requested.add(vector)
        if not merged:
            self._look()
        return "merged" if merged else "waits"

    def nmi(self) -> bool:
        """One may wait while another is handled; before that, two."""
        if self.nmis + self.in_nmi == 2:
            return False
        self.nmis += 1
        self._glance()
        return True

    def end_nmi(self) -> None:
        was, self.in_nmi = self.in_nmi, False
        if was and self.nmis:
            self._glance()

    def take(self) -> int | None:
        vector = self.pending()
        if vector is None:
            return None
        if vector == NMI_VECTOR:
            self.nmis -= 1
            self.in_nmi = True
            return vector
        self.requested.remove(vector)
        if vector in self.automatic:
            self.automatic.remove(vector)
            return vector
        self.in_service.add(vector)
        if self.assist and vector not in self.level and not self.requested:
            self.no_eoi_required = self.owed = True
        return vector

    def end(self) -> int | None:
        """An EOI as the APIC sees it."""
        if not self.in_service:
            return None
        vector = max(self.in_service)
        self.in_service.remove(vector)
        if vector in self.level:
            self.ended_levels.append(vector)
        return vector

    # the assist page -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """The hypervisor looks at the page, because something came to wait."""
        if not self.owed:
            return
        self.owed = False
        if self.no_eoi_required:
            self.no_eoi_required = False
        else:
            self.end()

    def _glance(self) -> None:
        """The hypervisor comes by for another reason: it sees an EOI that took place in the page."""
        if self.owed and not self.no_eoi_required:
            self.owed = False
            self.end()

    def guest_eoi(self) -> bool:
        """The guest ends an interrupt; whether it left the guest for that."""
        if self.no_eoi_required:
            self.no_eoi_required = False
            self.saved += 1
            return False
        if self.owed:
            self.owed = False
            self.end()
        self.end()
        self.exits += 1
        return True

    # who is meant ----------------------------------------------------------------------------------------------------

    def logical(self) -> int:
        return (self.identity // 16 << 16) + (1 << self.identity % 16) if self.x2apic else self.ldr

    def is_meant(self, destination: int, logical: bool, broadcast: int) -> bool:
        if destination == broadcast:
            return True
        if not logical:
            return destination == self.identity
        if self.x2apic:
            same_cluster = destination // 65536 == self.logical() // 65536
            return same_cluster and bool(destination % 65536 & self.logical() % 65536)
        mine = self.ldr >> 24
        if self.flat:
            return bool(destination & mine)
        return destination // 16 == mine // 16 and bool(destination % 16 & mine % 16)

    def reset(self) -> None:
        """INIT: everything but identity and mode is as after power-on, and the processor waits."""
        self.requested, self.in_service, self.level, self.automatic = set(), set(), set(), set()
        self.collected, self.shown, self.tpr, self.ldr, self.flat = set(), set(), 0, 0, True
        self.enabled, self.nmis, self.in_nmi, self.waits_for_startup, self.owed = False, 0, False, True, False


@dataclass
class Pin:
    """One pin of the I/O APIC with its redirection entry."""

    vector: int = 0
    destination: int = 0
    logical: bool = False
    level: bool = False
    masked: bool = True
    asserted: bool = False
    remote_irr: bool = False


class Machine:
    """Local APICs on one bus, with one I/O APIC."""

    def __init__(self, count: int, x2apic: bool = True) -> None:
        self.apics = [LocalApic(k, x2apic) for k in range(count)]
        self.pins = [Pin() for _ in range(24)]

    def line(self, pin: int, asserted: bool) -> None:
        one = self.pins[pin]
        rose, one.asserted = asserted and not one.asserted, asserted
        if one.level or rose:
            self._maybe_send(one, rose)

    def _maybe_send(self, pin: Pin, rose: bool) -> None:
        if pin.masked or (pin.level and (pin.remote_irr or not pin.asserted)) or (not pin.level and not rose):
            return
        answers = [
            apic.arrive(pin.vector, pin.level)
            for apic in self.apics
            if apic.is_meant(pin.destination, pin.logical, 0xFF)
        ]
        if pin.level and any(answer in ("waits", "merged") for answer in answers):
            pin.remote_irr = True

    def program(self, pin: int, vector: int, destination: int, logical: bool, level: bool, masked: bool) -> None:
        one = self.pins[pin]
        one.vector, one.destination, one.logical, one.level, one.masked = vector, destination, logical, level, masked
        if not level:
            one.remote_irr = False
        self._maybe_send(one, rose=False)

    def eoi(self, cpu: int) -> bool:
        """Whether the guest left for it; then the pins hear which level vectors ended."""
        left = self.apics[cpu].guest_eoi()
        ended, self.apics[cpu].ended_levels = self.apics[cpu].ended_levels, []
        for vector in ended:
            again = [pin for pin in self.pins if pin.level and pin.remote_irr and pin.vector == vector]
            for pin in again:
                pin.remote_irr = False
            for pin in again:
                self._maybe_send(pin, rose=False)
        return left

    def ipi(self, sender: int, vector: int, mode: str, destination: int, logical: bool, shorthand: str) -> set[int]:
        """Send one interprocessor interrupt; return who is meant."""
        mine = self.apics[sender]
        if mode in ("fixed", "lowest") and vector < 16:
            mine.collected.add("send illegal vector")
            return set()
        everybody = set(range(len(self.apics)))
        meant = {
            "none": {k for k in everybody if self.apics[k].is_meant(destination, logical, self._all(mine))},
            "self": {sender} if mode == "fixed" else set(),
            "all": everybody,
            "others": everybody - {sender},
        }[shorthand]
        if mode == "lowest":
            able = [k for k in sorted(meant) if self.apics[k].enabled]
            meant_first = sorted(able, key=lambda k: self.apics[k].processor_priority())[:1]
            for k in meant_first:
                self.apics[k].arrive(vector)
            return meant
        for k in sorted(meant):
            if mode == "fixed":
                self.apics[k].arrive(vector)
            elif mode == "nmi":
                self.apics[k].nmi()
            elif mode == "init":
                self.apics[k].reset()
            elif mode == "startup" and self.apics[k].waits_for_startup:
                self.apics[k].waits_for_startup = False
                self.apics[k]._glance()
        return meant

    @staticmethod
    def _all(sender: LocalApic) -> int:
        return 0xFFFFFFFF if sender.x2apic else 0xFF
