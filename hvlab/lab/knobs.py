"""What the control registers change: one access under one rule, switched off and on, for every rule at once."""

from dataclasses import dataclass
from typing import Final

from hvlab.hardware.processor import FETCH, READ, USER, WRITE
from hvlab.lab.own_tables import FIRST, PAGE, Builder, bits_of
from hvlab.lab.own_tables import KEY as KEY_BIT
from hvlab.machine import Step
from hvlab.trace.words import say

GVA: Final = 0x7F12_3456_7000
KEY: Final = 5
NO_WRITES: Final = 2 << 2 * KEY  # PKRU: no writes to pages of this key


@dataclass(frozen=True)
class Case:
    """One rule and an access that meets it."""

    knob: str
    page: str
    flags: str
    says: str
    access: int
    key: int = 0
    pkru: int = 0

    def step(self, on: int) -> Step:
        """Make the access with the knob off or on."""
        knobs: dict[str, int] = {self.knob: on, "pkru": self.pkru} | ({"smap": 1} if self.knob == "ac" else {})
        made = Builder(range(FIRST, FIRST << 1, PAGE))
        made.map(GVA, 0x5000, bits_of(self.flags) | self.key << KEY_BIT)
        return made.tables(**knobs).machine().translate(0, GVA, self.access)


CASES: Final = (
    Case("wp", "read-only", "U", "kernel write", int(WRITE)),
    Case("nxe", "no execute", "WUN", "user fetch", int(FETCH | USER)),
    Case("nxe", "no execute", "WUN", "user read", int(READ | USER)),
    Case("smep", "user's", "WU", "kernel fetch", int(FETCH)),
    Case("smap", "user's", "WU", "kernel read", int(READ)),
    Case("ac", "user's", "WU", "kernel read, SMAP on", int(READ)),
    Case("pke", f"key {KEY}", "WU", "user write", int(WRITE | USER), KEY, NO_WRITES),
    Case("pke", f"key {KEY}", "WU", "user read", int(READ | USER), KEY, NO_WRITES),
)
NAMES: Final = {
    "wp": "CR0.WP", "nxe": "EFER.NXE", "smep": "CR4.SMEP", "smap": "CR4.SMAP", "ac": "EFLAGS.AC", "pke": "CR4.PKE",
}  # fmt: skip


@dataclass(frozen=True)
class KnobTable:
    """Each rule: the page, the access, and what comes of it with the knob off and on."""

    rows: tuple[tuple[str, str, str, str, str], ...]

    def __repr__(self) -> str:
        rows = (("knob", "page", "access", "off", "on"), *self.rows)
        wide = [max(len(row[k]) for row in rows) for k in range(5)]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows)


def said(step: Step) -> str:
    """Say what an access came to."""
    return "allowed" if step.ok else f"#PF, {say('hex', step.detail)}"


def every_knob() -> KnobTable:
    """Return what each control bit changes, by one access each."""
    return KnobTable(
        tuple((NAMES[one.knob], one.page, one.says, said(one.step(0)), said(one.step(1))) for one in CASES)
    )
