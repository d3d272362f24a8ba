"""Vector files: cases with expected answers, `{"meta": …, "cases": […]}`."""

from __future__ import annotations

import base64
import binascii
import os
import re
import zlib
from typing import Any, Final, NamedTuple

import numpy as np

from hvlab.capture.gate import content, fields, json_value, whole_number
from hvlab.errors import BadFile, plain

PAGE_ACCESS_STATES: Final = 1 << 18
NO_FAULT, NOT_HERE = 255, 254
CASES_CAP: Final = 200_000
EPT_FIELDS: Final = {"upper": 15, "leaf": 15, "xo": 1, "mbec": 1, "ad": 1, "need_set": 1, "mt": 7, "upper_rsvd": 1}
PRIORITY_CLASSES: Final = ("tpr_class", "isrv_class", "irr_class")
STEPS: Final = {"raise": (255, 1), "tpr": (255,), "ack": (), "ack_autoeoi": (), "eoi": ()}  # the most of each word
DESCRIPTOR: Final = {name: 0xFFFF for name in ("type", "offset8", "length8", "flags")}
RING_CASE: Final = {"in": 0xFFFF_FFFF, "out": 0xFFFF_FFFF, "range_count": 0xFFFF_FFFF, **DESCRIPTOR}
PAGE: Final = 4096
EPT_NEEDED: Final = ("upper", "leaf", "access", "xo", "mbec", "kind")


class Vectors(NamedTuple):
    """The file's notes, and its cases.

    `x86_page_access`: one uint8 for each of 2**18 states (255 no fault, 254 not answered in this file, else the #PF
    code). `x86_pkeys`: pairs (state, -1 or #PF code). `ept_permissions`: pairs (fields, answer), where the answer is a
    word and, for a violation, the exit qualification. The others: their rows as they stand in the file.
    """

    meta: dict[str, Any]
    cases: Any

    @property
    def name(self) -> str:
        """Which vectors these are."""
        return str(self.meta["name"])


def load_vectors(path: str | os.PathLike[str]) -> Vectors:
    """Load a vector file (gzipped or not) and check that its cases have the shape that its name promises."""
    file = str(path)
    whole = fields(file, "the file", json_value(file, content(path)), ("meta",))
    meta = fields(file, "meta", whole["meta"], ("name", "n"))
    name, count = meta["name"], whole_number(file, "meta.n", meta["n"], 0, PAGE_ACCESS_STATES)
    if not isinstance(name, str):
        raise BadFile(file, "meta.name", f"a {type(name).__name__}", "a text")
    cases = _packed(file, whole) if name == "x86_page_access" else _listed(file, name, whole)
    there = int(np.count_nonzero(cases != NOT_HERE)) if name == "x86_page_access" else len(cases)
    if there != count:
        raise BadFile(file, "meta.n", f"{count:,}", f"{there:,}, the number of cases there")
    return Vectors(meta, cases)


def _packed(file: str, whole: dict[str, Any]) -> Any:
    """One byte for each state, from base64 of zlib; the inflation stops one byte after the size it must have."""
    packed = fields(file, "the file", whole, ("packed",))["packed"]
    if not isinstance(packed, str):
        raise BadFile(file, "packed", f"a {type(packed).__name__}", "base64 text")
    engine = zlib.decompressobj()
    try:
        data = engine.decompress(base64.b64decode(packed, validate=True), PAGE_ACCESS_STATES + 1)
    except (binascii.Error, ValueError, zlib.error) as trouble:
        raise BadFile(file, "packed", trouble, "base64 of zlib data") from None
    if len(data) != PAGE_ACCESS_STATES or not engine.eof:
        found = f"{len(data):,} bytes{'' if engine.eof else ' and no end'}"
        raise BadFile(file, "packed", found, f"{PAGE_ACCESS_STATES:,} bytes")
    cases = np.frombuffer(data, np.uint8)
    odd = np.flatnonzero((cases > 31) & (cases < NOT_HERE))
    if odd.size:
        found = f"{int(cases[odd[0]])} for state {int(odd[0]):#x}"
        raise BadFile(file, "packed", found, "a #PF code of five bits, 254 or 255")
    return cases


def _listed(file: str, name: str, whole: dict[str, Any]) -> list[Any]:
    rows = fields(file, "the file", whole, ("cases",))["cases"]
    if not isinstance(rows, list) or len(rows) > CASES_CAP:
        raise BadFile(file, "cases", f"a {type(rows).__name__}", f"a list of at most {CASES_CAP:,} cases")
    for number, row in enumerate(rows):
        pair = isinstance(row, list) and len(row) == 2
        if not (isinstance(row, dict) if name == "apic_sequences" else pair):
            raise BadFile(file, f"cases[{number}]", plain(repr(row), 60), "a case and its answer")
    if name == "apic_sequences":
        return [_sequence(file, f"cases[{n}]", row) for n, row in enumerate(rows)]
    shape = SHAPES.get(name)
    return [shape(file, f"cases[{n}]", *row) for n, row in enumerate(rows)] if shape else rows


def _pkeys_case(file: str, where: str, state: Any, answer: Any) -> tuple[int, int]:
    return whole_number(file, f"{where}[0]", state, 0, 511), whole_number(file, f"{where}[1]", answer, -1, 63)


def _priority_case(file: str, where: str, case: Any, answer: Any) -> tuple[dict[str, int], dict[str, Any]]:
    fields(file, f"{where}[0]", case, PRIORITY_CLASSES)
    for name in PRIORITY_CLASSES:
        whole_number(file, f"{where}[0].{name}", case[name], 0, 15)
    fields(file, f"{where}[1]", answer, ("ppr", "deliver"))
    return case, answer


def _sequence(file: str, where: str, row: dict[str, Any]) -> dict[str, Any]:
    fields(file, where, row, ("id", "steps", "final"))
    if not isinstance(row["steps"], list):
        raise BadFile(file, f"{where}.steps", f"a {type(row['steps']).__name__}", "a list of steps with their answers")
    for number, pair in enumerate(row["steps"]):
        at = f"{where}.steps[{number}]"
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], list) or not pair[0]:
            raise BadFile(file, at, plain(repr(pair), 60), "a step and its answer")
        name, *words = pair[0]
        if not isinstance(name, str) or name not in STEPS or len(words) != len(STEPS[name]):
            said = ", ".join(f"{step} of {len(limits)}" for step, limits in STEPS.items())
            raise BadFile(file, f"{at}[0]", plain(repr(pair[0]), 60), f"a step with its words: {said}")
        for k, (word, most) in enumerate(zip(words, STEPS[name], strict=True)):
            whole_number(file, f"{at}[0][{k + 1}]", word, 0, most)
    fields(file, f"{where}.final", row["final"], ("irr", "isr"))
    return row


def _ept_case(file: str, where: str, case: Any, answer: Any) -> tuple[dict[str, Any], tuple[Any, ...]]:
    fields(file, f"{where}[0]", case, EPT_NEEDED)
    for name, value in case.items():
        if name in EPT_FIELDS:
            whole_number(file, f"{where}[0].{name}", value, 0, EPT_FIELDS[name])
        elif name not in ("access", "kind"):
            raise BadFile(
                file, f"{where}[0]", f"field {plain(name, 40)}", f"fields {', '.join(EPT_FIELDS)}, access, kind"
            )
    if case["access"] not in ("R", "W", "X", "XU") or case["kind"] not in ("data", "walk"):
        found = f"access {plain(case['access'], 20)}, kind {plain(case['kind'], 20)}"
        raise BadFile(file, f"{where}[0]", found, "access R, W, X or XU; kind data or walk")
    words = {"ok": 1, "misconfig": 1, "violation": 2}
    if not isinstance(answer, list) or not answer or words.get(str(answer[0])) != len(answer):
        raise BadFile(file, f"{where}[1]", plain(repr(answer), 60), "[ok], [misconfig] or [violation, qualification]")
    if len(answer) == 2:
        whole_number(file, f"{where}[1][1]", answer[1], 0, 0xFFFF)
    return case, tuple(answer)


def _ring_case(file: str, where: str, case: Any, answer: Any) -> tuple[dict[str, int], Any]:
    fields(file, f"{where}[0]", case, ("size", *RING_CASE))
    size = whole_number(file, f"{where}[0].size", case["size"], PAGE, 1 << 20)
    if size % PAGE:
        raise BadFile(file, f"{where}[0].size", size, "whole pages")
    for name, most in RING_CASE.items():
        whole_number(file, f"{where}[0].{name}", case[name], 0, most)
    return case, _verdict(file, where, answer)


def _range_case(file: str, where: str, case: Any, answer: Any) -> tuple[dict[str, Any], Any]:
    words = fields(file, f"{where}[0]", case, ("words",))["words"]
    if not isinstance(words, list) or not all(
        isinstance(w, str) and re.fullmatch("0x[0-9a-f]{1,16}", w) for w in words
    ):
        raise BadFile(file, f"{where}[0].words", plain(repr(words), 60), "64-bit numbers as 0x and digits")
    return case, _verdict(file, where, answer)


def _verdict(file: str, where: str, answer: Any) -> list[Any]:
    if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[0], str):
        raise BadFile(file, f"{where}[1]", plain(repr(answer), 60), "a verdict and a number")
    whole_number(file, f"{where}[1][1]", answer[1], 0, 0xFFFF_FFFF)
    return answer


SHAPES: Final = {
    "x86_pkeys": _pkeys_case,
    "ept_permissions": _ept_case,
    "apic_priority": _priority_case,
    "vmbus_ring_hostile": _ring_case,
    "vmbus_gpa_range": _range_case,
}
