"""Golden files: what a kernel's own code did to one ring, operation by operation, and channel messages as bytes.

Both load as `Vectors`: pairs of an operation or message and the word for it that a summary counts.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

from hvlab.capture.gate import content, fields, json_value, whole_number
from hvlab.capture.vectors import Vectors
from hvlab.errors import BadFile, plain

OPS_CAP: Final = 20_000
SIZE_CAP: Final = 1 << 20
LOW: Final = (1 << 32) - 1
INDICES: Final = ("write_index", "read_index", "interrupt_mask", "pending_send_size")
AFTER: Final = ("i", "op", "signal", *INDICES, "sha256_control", "sha256_data")
NEEDED: Final = {
    "write": ("kind", "flags", "transaction_id", "payload_seed", "payload_len", "header_hex", "result"),
    "read": ("max_packets", "packet_lens"),
    "set_pending_send_size": ("value",),
    "set_interrupt_mask": ("value",),
}
PACKETS: Final = ("inband", "comp", "gpa", "xfer")
RESULTS: Final = ("ok", "full")
PAGE: Final = 4096


def golden_ring(path: str | os.PathLike[str]) -> Vectors:
    """Load operations on one ring, with indices, signal and digests after each."""
    file = str(path)
    whole = fields(file, "the file", json_value(file, content(path)), ("name", "data_bytes", "initial", "ops"))
    size = whole_number(file, "data_bytes", whole["data_bytes"], PAGE, SIZE_CAP)
    if size % PAGE:
        raise BadFile(file, "data_bytes", size, "whole pages")
    begun = fields(file, "initial", whole["initial"], (*INDICES, "feature_bits"))
    if any(begun[name] for name in INDICES) or begun["feature_bits"] != 1:
        raise BadFile(file, "initial", plain(repr(begun), 60), "an empty ring: all 0 but feature bit 0")
    ops = whole["ops"]
    if not isinstance(ops, list) or len(ops) > OPS_CAP:
        raise BadFile(file, "ops", f"a {type(ops).__name__}", f"a list of at most {OPS_CAP:,} operations")
    cases = [(_operation(file, f"ops[{k}]", op), (op.get("result", op["op"]),)) for k, op in enumerate(ops)]
    return Vectors({"name": "golden-ring", "n": len(cases), "data_bytes": size}, cases)


def _operation(file: str, where: str, op: Any) -> dict[str, Any]:
    fields(file, where, op, AFTER)
    if op["op"] not in NEEDED:
        raise BadFile(file, f"{where}.op", plain(op["op"], 40), ", ".join(NEEDED))
    fields(file, where, op, NEEDED[op["op"]])
    for name in INDICES:
        whole_number(file, f"{where}.{name}", op[name], 0, LOW)
    for name in ("sha256_control", "sha256_data"):
        if not isinstance(op[name], str) or not re.fullmatch("[0-9a-f]{64}", op[name]):
            raise BadFile(file, f"{where}.{name}", plain(repr(op[name]), 60), "64 hexadecimal digits")
    if not isinstance(op["signal"], bool):
        raise BadFile(file, f"{where}.signal", plain(repr(op["signal"]), 40), "true or false")
    if op["op"] == "write":
        _write(file, where, op)
    elif op["op"] == "read":
        whole_number(file, f"{where}.max_packets", op["max_packets"], 0, OPS_CAP)
        if not isinstance(op["packet_lens"], list) or len(op["packet_lens"]) > OPS_CAP:
            raise BadFile(file, f"{where}.packet_lens", plain(repr(op["packet_lens"]), 40), "a list of lengths")
    else:
        whole_number(file, f"{where}.value", op["value"], 0, LOW)
    return dict(op)


def _write(file: str, where: str, op: dict[str, Any]) -> None:
    whole_number(file, f"{where}.transaction_id", op["transaction_id"], 0, (1 << 64) - 1)
    for name, most in (("flags", 1), ("payload_seed", 255), ("payload_len", SIZE_CAP)):
        whole_number(file, f"{where}.{name}", op[name], 0, most)
    for name, known in (("kind", PACKETS), ("result", RESULTS)):
        if op[name] not in known:
            raise BadFile(file, f"{where}.{name}", plain(repr(op[name]), 40), ", ".join(known))
    header = _hex(file, f"{where}.header_hex", op["header_hex"])
    if len(header) < 16 or len(header) % 8 or len(header) > PAGE:
        raise BadFile(file, f"{where}.header_hex", f"{len(header)} bytes", "16 or more, a multiple of 8")


def golden_messages(path: str | os.PathLike[str]) -> Vectors:
    """Load channel messages as bytes, with the values of their fields."""
    file = str(path)
    rows = fields(file, "the file", json_value(file, content(path)), ("vectors",))["vectors"]
    if not isinstance(rows, list) or len(rows) > OPS_CAP:
        raise BadFile(file, "vectors", f"a {type(rows).__name__}", f"a list of at most {OPS_CAP:,} messages")
    cases = []
    for k, row in enumerate(rows):
        where = f"vectors[{k}]"
        fields(file, where, row, ("name", "message", "type", "fields", "size", "hex"))
        if not isinstance(row["name"], str) or not isinstance(row["message"], str):
            raise BadFile(file, where, plain(repr(row["message"]), 40), "a name, and the name of a message")
        whole_number(file, f"{where}.type", row["type"], 0, LOW)
        data = _hex(file, f"{where}.hex", row["hex"])
        if whole_number(file, f"{where}.size", row["size"], 0, PAGE) != len(data):
            raise BadFile(file, f"{where}.size", row["size"], f"{len(data)}, the number of bytes there")
        for name, value in fields(file, f"{where}.fields", row["fields"], ()).items():
            if isinstance(value, str):
                _hex(file, f"{where}.fields.{plain(name, 40)}", value)
            else:
                whole_number(file, f"{where}.fields.{plain(name, 40)}", value, 0, (1 << 64) - 1)
        cases.append((dict(row), (row["message"],)))
    return Vectors({"name": "golden-control", "n": len(cases)}, cases)


def _hex(file: str, where: str, text: Any) -> bytes:
    if not isinstance(text, str) or not re.fullmatch("(?:[0-9a-f]{2})*", text):
        raise BadFile(file, where, plain(repr(text), 60), "pairs of hexadecimal digits")
    return bytes.fromhex(text)
