"""Hypercalls that KVM recorded while it served a real guest: the kernel's trace points ``kvm_hv_hypercall``.

Two lines make one call: what the guest asked (``code 0x3 slow var_cnt 0x0 rep_cnt 0x1 idx 0x0 in 0x… out 0x0``), then
``kvm_hv_hypercall_done: result 0x…`` of the same task. Other lines are left aside and counted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from hvlab.capture.gate import content, text_lines
from hvlab.errors import BadFile
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.tlfs import HypercallControl, HypercallResult, Status

HEX: Final = r"0x([0-9a-f]{1,16})"
ASKED: Final = re.compile(
    rf"^\s*(\S{{1,40}})\s.*kvm_hv_hypercall: code {HEX} (fast|slow) "
    rf"var_cnt {HEX} rep_cnt {HEX} idx {HEX} in {HEX} out {HEX}$"
)
DONE: Final = re.compile(rf"^\s*(\S{{1,40}})\s.*kvm_hv_hypercall_done: result {HEX}$")
NAMES: Final = {0x0B: "SendSyntheticClusterIpi", 0x5C: "PostMessage", 0x5D: "SignalEvent"}
STATUS: Final = {status.value: status.name for status in Status}


@dataclass(frozen=True)
class Recorded:
    """One call of a real guest.

    Attributes
    ----------
    rcx, rdx, r8 : int
        The control word, put together from the trace's fields, and the two words of input.
    rax : int or None
        The result word; None if the trace ends before.
    """

    rcx: int
    rdx: int
    r8: int
    rax: int | None

    @property
    def name(self) -> str:
        code = self.rcx & 0xFFFF
        return CALLS[code].name if code in CALLS else NAMES.get(code, f"{code:#06x}")


@dataclass(frozen=True)
class CallLog:
    """The calls of a trace, in order, and how many other lines it has."""

    calls: tuple[Recorded, ...]
    others: int

    def __len__(self) -> int:
        return len(self.calls)

    def __repr__(self) -> str:
        head = ("call", "RCX", "RDX", "R8", "RAX", "status", "reps done")
        rows = [head, *(_row(call) for call in self.calls)]
        wide = [max(len(row[k]) for row in rows) for k in range(len(head))]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows)


def _row(call: Recorded) -> tuple[str, ...]:
    words = tuple(f"{word:#x}" for word in (call.rcx, call.rdx, call.r8))
    if call.rax is None:
        return call.name, *words, "?", "?", "?"
    result = HypercallResult.decode(call.rax)
    return call.name, *words, f"{call.rax:#x}", STATUS.get(result.status, f"{result.status:#x}"), str(result.reps_done)


def call_log(path: str | os.PathLike[str]) -> CallLog:
    """Read the hypercalls of a trace, packed by gzip or not.

    Raises
    ------
    BadFile
        For a file without one such line, or one that the import gate refuses.
    """
    found: list[list[int | None]] = []
    waiting: dict[str, int] = {}
    others = 0
    for number, line in enumerate(text_lines(path, content(path)), 1):
        if asked := ASKED.match(line):
            waiting[asked[1]] = len(found)
            found.append([_control(path, number, asked), int(asked[7], 16), int(asked[8], 16), None])
        elif (done := DONE.match(line)) and done[1] in waiting:
            found[waiting.pop(done[1])][3] = int(done[2], 16)
        else:
            others += bool(line.strip())
    if not found:
        raise BadFile(path, "the text", "no line of kvm_hv_hypercall", "a trace of KVM's Hyper-V hypercalls")
    return CallLog(tuple(Recorded(*call) for call in found), others)  # type: ignore[arg-type]


def _control(path: object, number: int, asked: re.Match[str]) -> int:
    code, variable, count, start = (int(asked[k], 16) for k in (2, 4, 5, 6))
    try:
        return HypercallControl.encode(
            code=code, fast=int(asked[3] == "fast"), variable_header=variable, rep_count=count, rep_start=start
        )
    except ValueError as wrong:
        raise BadFile(path, f"line {number:,}", wrong, "fields that fit a control word") from None
