"""How often a real guest was left, as far as KVM's Hyper-V trace points tell: a count for each kind.

Each ``kvm_hv_*`` line is one event. Which of them are exits: a hypercall, and a write to a synthetic register by the
guest itself. Source: Linux arch/x86/kvm/trace.h, hyperv.c.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from hvlab.capture.gate import content, text_lines
from hvlab.errors import BadFile

EVENT: Final = re.compile(r"\s(kvm_hv_\w{1,40}):(?: |$)(.*)$")
BY_HOST: Final = re.compile(r"\bhost 1\b")
EXITS: Final = {
    "kvm_hv_hypercall": "HYPERCALL",
    "kvm_hv_synic_set_msr": "MSR: SynIC",
    "kvm_hv_stimer_set_config": "MSR: timer, how",
    "kvm_hv_stimer_set_count": "MSR: timer, when",
}


@dataclass(frozen=True)
class ExitLog:
    """A histogram.

    Attributes
    ----------
    exits : tuple
        (reason, how often), the most frequent first.
    others : tuple
        (trace point, how often): events that are no exit, among them what the host does for the guest.
    """

    exits: tuple[tuple[str, int], ...]
    others: tuple[tuple[str, int], ...]

    def __repr__(self) -> str:
        rows = [(name, count) for part in (self.exits, self.others) for name, count in part]
        wide = max((len(name) for name, _count in rows), default=0)
        lines = [f"{name:<{wide}}  {count:6}" for name, count in self.exits]
        return "\n".join([*lines, "no exits:", *(f"{name:<{wide}}  {count:6}" for name, count in self.others)])


def exit_log(path: str | os.PathLike[str]) -> ExitLog:
    """Count the exits of a trace, packed by gzip or not.

    Raises
    ------
    BadFile
        If no line is a Hyper-V trace point of KVM.
    """
    exits, others = Counter[str](), Counter[str]()
    for line in text_lines(path, content(path)):
        found = EVENT.search(line)
        if found is None:
            continue
        name, rest = found[1], found[2]
        if name in EXITS and not BY_HOST.search(rest):
            exits[EXITS[name]] += 1
        else:
            others[name + (" (by the host)" if name in EXITS else "")] += 1
    if not exits and not others:
        raise BadFile(path, "the text", "no line of kvm_hv_*", "a trace of KVM's Hyper-V trace points")
    return ExitLog(_sorted(exits), _sorted(others))


def _sorted(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda row: (-row[1], row[0])))
