"""Signals that are only noted in a page, and made later: the monitor page with its 128 triggers.

The guest sets a bit instead of entering the hypervisor; whoever watches the page makes the signal, at the latest when
the trigger's latency is over. Source: Linux drivers/hv/channel.c, vmbus_setevent; wire.monitor; TLFS, HV_MONITOR_PAGE.

SIMPLER THAN REAL: the hypervisor looks at the page itself; here the root does so in its name, through its own mapping
of the page, and only when a latency is over.
SIMPLER THAN REAL: every trigger that has a channel is watched (its armed bit is not asked).
"""

from dataclasses import dataclass, field
from typing import Final

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault, Vp
from hvlab.wire.monitor import MonitorPage
from hvlab.wire.struct import Struct

GROUPS: Final = 4
TRIGGERS: Final = 32 * GROUPS
UNIT: Final = 100  # nanoseconds


def offset_of(kind: type[Struct], name: str) -> int:
    """Return where a field of a structure begins."""
    return next(field.offset for field in kind.fields if field.name == name)


def place(trigger: int) -> int:
    """Return where in the page the word of a trigger's group stands."""
    return offset_of(MonitorPage, "trigger_group") + 8 * (trigger // 32)


def set_trigger(vp: Vp, page_gpa: int, trigger: int, channel: int) -> bool:
    """Let a guest note a signal; whether the bit was not set yet."""
    word, at = _word(vp, page_gpa, trigger), offset_of(MonitorPage, "latency") + 2 * trigger
    found = vp.read_gpa(page_gpa + at, 2)
    latency = 0 if isinstance(found, Fault) else int.from_bytes(found, "little")
    bit = 1 << trigger % 32
    if not word & bit:
        vp.write_gpa(page_gpa + place(trigger), (word | bit).to_bytes(8, "little"))
    vp.tell("trigger_set", channel=channel, trigger=trigger, latency=latency * UNIT)
    return not word & bit


def _word(vp: Vp, page_gpa: int, trigger: int) -> int:
    data = vp.read_gpa(page_gpa + place(trigger), 8)
    if isinstance(data, Fault):
        raise BadRequest(f"the monitor page at GPA {page_gpa:#x}", data.kind, "a page of its own")
    return int.from_bytes(data, "little")


@dataclass
class Watch:
    """Who looks at a guest's monitor page: plain data.

    Attributes
    ----------
    gpa : int
        The page, by the root's address; 0: none.
    since : dict
        For each trigger that was seen set, since when, in nanoseconds.
    """

    gpa: int = 0
    pages: list[int] = field(default_factory=list)  # both pages, by the guest's numbers
    triggers: dict[int, tuple[int, int]] = field(default_factory=dict)  # trigger -> channel, latency
    since: dict[int, int] = field(default_factory=dict)

    def notice(self, vp: Vp, now: int) -> None:
        """Note which triggers are set: their latency runs from now on."""
        for trigger in self.triggers if self.gpa else ():
            if _word(vp, self.gpa, trigger) >> trigger % 32 & 1:
                self.since.setdefault(trigger, now)

    def due(self) -> int | None:
        """Return when the page must be looked at."""
        times = [since + self.triggers[t][1] * UNIT for t, since in self.since.items() if t in self.triggers]
        return min(times, default=None)

    def look(self, vp: Vp, now: int) -> list[int]:
        """Clear all triggers that are set, and return their channels: each is a signal now."""
        found = list[int]()
        for trigger, (channel, _) in self.triggers.items() if self.gpa else ():
            word = _word(vp, self.gpa, trigger)
            if word >> trigger % 32 & 1:
                vp.write_gpa(self.gpa + place(trigger), (word & ~(1 << trigger % 32)).to_bytes(8, "little"))
                waited = now - self.since.pop(trigger, now)
                vp.tell("trigger_found", channel=channel, trigger=trigger, waited=waited)
                found.append(channel)
        return found
