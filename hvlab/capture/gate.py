"""The import gate: the one way for bytes from outside to become values.

Nothing is trusted and nothing is guessed: sizes are compared with caps before memory is taken, members and fields with
lists of what may stand there. Every refusal is one `BadFile`; a file is taken whole or not at all.

Caps. A file: 16 MiB. What it inflates to: 64 MiB, and no more than 100 times its packed size once it is over 16 MiB
(below that an unpacked file would have been accepted as it is; the address traces that come with hvlab shrink by 16, 26
and 70, single members of the page tables by 430). JSON: 8 MiB, half a million values, 64 levels. Text: 4 KiB a line and
100,000 lines. Lackey traces are streams and have their own caps in `capture.lackey`.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hvlab.errors import BadFile, plain

FILE_CAP: Final = 16 << 20
INFLATED_CAP: Final = 64 << 20
RATIO_CAP: Final = 100
RATIO_FLOOR: Final = 16 << 20
MEMBERS_CAP: Final = 1024
INDEX_CAP: Final = 64
HEADER_CAP: Final = 4096
JSON_CAP: Final = 8 << 20
VALUES_CAP: Final = 500_000
DEPTH_CAP: Final = 64
DIGITS_CAP: Final = 40
LINE_CAP: Final = 4096
LINES_CAP: Final = 100_000
PIECE: Final = 1 << 20
GZIP: Final = b"\x1f\x8b"
TROUBLE: Final = (
    zipfile.BadZipFile,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
    OverflowError,
    struct.error,
    zlib.error,
)


# --- files ---------------------------------------------------------------------------------------------------------


def _open(path: str | os.PathLike[str]) -> tuple[int, int]:
    """A descriptor of a regular file and its size; a pipe or a device is refused without waiting for it."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as trouble:
        raise BadFile(path, "the file", getattr(trouble, "strerror", "") or trouble, "a file to read") from None
    status = os.fstat(number)
    if stat.S_ISREG(status.st_mode):
        return number, status.st_size
    os.close(number)
    kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
    raise BadFile(path, "the file", kind, "a regular file")


def pieces(path: str | os.PathLike[str], cap: int | None = FILE_CAP) -> Iterator[bytes]:
    """The bytes of a regular file, piece by piece; with a cap, a longer file is refused before a byte is read."""
    number, size = _open(path)
    with open(number, "rb", buffering=0) as file:
        if cap is not None and size > cap:
            raise BadFile(path, "the file", f"{size:,} bytes", f"at most {cap:,} bytes")
        while size > 0 and (piece := file.read(min(PIECE, size))):
            size -= len(piece)
            yield piece


def inflated(path: str | os.PathLike[str], cap: int | None = FILE_CAP) -> Iterator[bytes]:
    """The same, with gzip taken off: one gzip member, whole, and with a cap bounded in size and ratio."""
    engine, taken, given = None, 0, 0
    for piece in pieces(path, cap):
        if taken == 0 and piece.startswith(GZIP):
            engine = zlib.decompressobj(31)
        taken += len(piece)
        if engine is None:
            yield piece
            continue
        out = b""
        while piece or len(out) == PIECE:
            if engine.eof:
                raise BadFile(path, f"offset {taken - len(piece):,}", "more after the end", "one gzip member")
            try:
                out = engine.decompress(piece, PIECE)
            except zlib.error as trouble:
                raise BadFile(path, f"gzip, before offset {taken:,}", trouble, "sound compressed data") from None
            given += len(out)
            if cap is not None:
                _bounded(path, "gzip", given, taken)
            yield out
            piece = engine.unused_data if engine.eof else engine.unconsumed_tail
            if engine.eof and not piece:
                break
    if engine is not None and not engine.eof:
        raise BadFile(path, f"offset {taken:,}", "the end of the file", "the end of the gzip data")


def _bounded(path: object, where: str, given: int, taken: int) -> None:
    if given > INFLATED_CAP:
        raise BadFile(path, where, f"more than {given - 1:,} bytes inflated", f"at most {INFLATED_CAP:,} bytes")
    if given > RATIO_FLOOR and given > RATIO_CAP * taken:
        found = f"{given:,} bytes out of {taken:,}, {given // max(1, taken):,} to 1"
        raise BadFile(path, where, found, f"at most {RATIO_CAP} to 1")


def content(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file, with gzip taken off."""
    return b"".join(inflated(path))


def head(path: str | os.PathLike[str], count: int = 1 << 16) -> bytes:
    """The first bytes of a file of any size, with gzip taken off."""
    got = b""
    for piece in inflated(path, cap=None):
        got += piece
        if len(got) >= count:
            break
    return got[:count]


def tail(path: str | os.PathLike[str], count: int = 512) -> bytes:
    """The last bytes of a file of any size; of a gzipped one, the last bytes of what it holds, within the caps."""
    number, size = _open(path)
    with open(number, "rb", buffering=0) as file:
        if file.read(2) == GZIP:
            return content(path)[-count:]
        file.seek(max(0, size - count))
        return file.read(count)


# --- npz -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Array:
    """What one member must be: its type (`u1`, `u2`, `u8`, or `raw` for bytes as they are) and its shape.

    A name in a shape stands for one length that all members of the file agree on. `#` in a member's name, and in a
    name in its shape, stands for an index.
    """

    kind: str
    shape: tuple[int | str, ...]
    optional: bool = False


HEADER: Final = re.compile(
    r"\{'descr': '(?P<descr>[^'\\]{1,16})', 'fortran_order': (?P<order>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,20}, ?)*(?:\d{1,20})?)\), ?\} *\n?"
)
WHOLE: Final = re.compile(r"(?:\|[ui]1|<[ui][1248])")
NUMBER: Final = re.compile(r"(?:\|[ui]1|<[uif][1248])")


def directory(file: object, data: bytes) -> dict[str, zipfile.ZipInfo]:
    """The members of a zip file by name (without `.npy`), from its directory alone: sizes, names, flags, ratio."""
    end = len(data) - 22
    if end < 0 or data[end : end + 4] != b"PK\x05\x06" or data[-2:] != b"\0\0":
        raise BadFile(file, f"offset {max(end, 0):,}", "no zip directory at the end", "a whole zip file, no comment")
    count, size = struct.unpack_from("<HI", data, end + 10)
    if count > MEMBERS_CAP or size > MEMBERS_CAP * 128 or data[max(0, end - 20) : end][:4] == b"PK\x06\x07":
        found = f"{count:,} members, a directory of {size:,} bytes"
        raise BadFile(file, "zip directory", found, f"at most {MEMBERS_CAP:,} members in {MEMBERS_CAP * 128:,} bytes")
    try:
        listed = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except TROUBLE as trouble:
        raise BadFile(file, "zip directory", trouble, "a sound zip directory") from None
    members: dict[str, zipfile.ZipInfo] = {}
    for info in listed:
        name = info.filename.removesuffix(".npy")
        if info.filename != info.orig_filename or name == info.filename:
            raise BadFile(
                file, "zip directory", f"a member named {plain(info.orig_filename, 60)}", "names like NAME.npy"
            )
        if name in members:
            raise BadFile(file, f"member {name}", "a second member of this name", "one of each name")
        if info.flag_bits & 0x2061 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            found = f"flags {info.flag_bits:#x}, method {info.compress_type}"
            raise BadFile(file, f"member {name}", found, "stored or deflated, not encrypted")
        members[name] = info
    _bounded(file, "zip directory", sum(info.file_size for info in listed), len(data))
    return members


def npz(file: object, data: bytes, rules: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file that holds what `rules` says and nothing else, read-only, in the types of the rules."""
    members = directory(file, data)
    lengths: dict[str, int] = {}
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name, info in members.items():
            rule = _rule(file, name, rules)
            try:
                with archive.open(info) as stream:
                    arrays[name] = _array(file, name, rule, stream.read, info.file_size, lengths)
            except TROUBLE as trouble:
                raise BadFile(file, f"member {name}", trouble, "sound compressed data") from None
    for name, rule in rules.items():
        if "#" not in name and not rule.optional and name not in arrays:
            raise BadFile(file, f"member {name}", "no such member", f"members {', '.join(rules)}")
    return arrays


def _rule(file: object, name: str, rules: Mapping[str, Array]) -> Array:
    """The rule for a member; an index in its name is put in place of the `#`."""
    if name in rules and "#" not in name:
        return rules[name]
    stem, _, index = name.rpartition("_")
    rule = rules.get(stem + "_#")
    if rule and re.fullmatch(r"0|[1-9][0-9]?", index) and int(index) < INDEX_CAP:
        shape = tuple(s.replace("#", index) if isinstance(s, str) else s for s in rule.shape)
        return Array(rule.kind, shape, rule.optional)
    raise BadFile(file, f"member {plain(name, 60)}", "a name that is not on the list", f"members {', '.join(rules)}")


def _array(file: object, name: str, rule: Array, read: Any, size: int, lengths: dict[str, int]) -> NDArray[Any]:
    """One .npy member: its header is compared with the rule and with the member's size before the data are read."""
    where = f"member {name}"
    start = read(12)
    if len(start) < 12 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise BadFile(file, where, repr(start[:8]), "a .npy header of version 1, 2 or 3")
    width = 10 if start[6] == 1 else 12
    length = int.from_bytes(start[8:width], "little")
    if length > HEADER_CAP:
        raise BadFile(file, where, f"a header of {length:,} bytes", f"at most {HEADER_CAP:,} bytes")
    text = (start[width:] + read(length - (12 - width))).decode("latin-1")
    match = HEADER.fullmatch(text)
    if match is None:
        raise BadFile(
            file, where, f"header {plain(text.strip(), 120)}", "descr, fortran_order and shape of plain numbers"
        )
    shape = tuple(int(part) for part in match["shape"].split(",") if part.strip())
    empty = 0 in shape
    _check_type(file, where, rule, match["descr"], empty)
    claimed = math.prod(shape) * int(match["descr"][-1])
    if claimed != size - width - length:
        found = f"{claimed:,} bytes claimed by shape {shape}, {size - width - length:,} there"
        raise BadFile(file, where, found, "a header that agrees with the member's size")
    shape = _check_shape(file, where, rule, shape, lengths)
    body = read(claimed)
    if len(body) != claimed:
        raise BadFile(file, where, f"{len(body):,} bytes", f"{claimed:,} bytes")
    read(1)
    if empty:
        return np.zeros(shape, "u1" if rule.kind == "raw" else rule.kind)
    values = np.frombuffer(body, match["descr"]).reshape(shape, order="F" if match["order"] == "True" else "C")
    return _fits(file, where, rule, values)


def _check_type(file: object, where: str, rule: Array, descr: str, empty: bool) -> None:
    wanted = "|u1" if rule.kind == "raw" else rule.kind
    fits = descr == "|u1" if rule.kind == "raw" else WHOLE.fullmatch(descr)
    if not fits and not (empty and NUMBER.fullmatch(descr)):
        raise BadFile(file, where, f"type {descr}", f"type {wanted} (whole numbers)")


def _check_shape(
    file: object, where: str, rule: Array, shape: tuple[int, ...], lengths: dict[str, int]
) -> tuple[int, ...]:
    """The shape, if it is the rule's; an empty array of any shape stands for length 0 where the length is free."""
    if 0 in shape and any(isinstance(want, str) for want in rule.shape):
        shape = tuple(0 if isinstance(want, str) else want for want in rule.shape)
    wanted = tuple(lengths.get(want, want) if isinstance(want, str) else want for want in rule.shape)
    fits = len(shape) == len(wanted) and all(
        isinstance(want, str) or have == want for have, want in zip(shape, wanted, strict=True)
    )
    if not fits:
        raise BadFile(file, where, f"shape {shape}", f"shape ({', '.join(map(str, wanted))})")
    lengths.update((want, have) for want, have in zip(rule.shape, shape, strict=True) if isinstance(want, str))
    return shape


def _fits(file: object, where: str, rule: Array, values: NDArray[Any]) -> NDArray[Any]:
    """The values in the rule's type; one that does not fit is refused, never cut off."""
    if rule.kind != "raw" and values.dtype != np.dtype(rule.kind):
        low, high, most = int(values.min()), int(values.max()), int(np.iinfo(rule.kind).max)
        if low < 0 or high > most:
            raise BadFile(file, where, f"a value of {low if low < 0 else high}", f"values from 0 to {most}")
        values = values.astype(rule.kind)
    values = np.ascontiguousarray(values).reshape(values.shape)
    values.flags.writeable = False
    return values


# --- json and text -------------------------------------------------------------------------------------------------

STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
NOT_BRACKETS: Final = bytes(code for code in range(256) if code not in b"[]{}")


def json_value(file: object, data: bytes, where: str = "the JSON text") -> Any:
    """The value of a JSON text: no NaN, no name twice in one object, no endless number, no bottomless nesting."""
    if len(data) > JSON_CAP:
        raise BadFile(file, where, f"{len(data):,} bytes", f"at most {JSON_CAP:,} bytes")
    values = max(data.count(b",") + data.count(b"[") + data.count(b"{"), data.count(b'"') // 4)
    if values > VALUES_CAP:
        raise BadFile(file, where, f"about {values:,} values", f"at most {VALUES_CAP:,} values")
    brackets = np.frombuffer(STRING.sub(b"", data).translate(None, NOT_BRACKETS), "u1")
    steps = np.where((brackets == 0x5B) | (brackets == 0x7B), np.int8(1), np.int8(-1))
    depth = int(np.cumsum(steps, dtype=np.int32).max(initial=0))
    if depth > DEPTH_CAP:
        raise BadFile(file, where, f"{depth:,} levels of nesting", f"at most {DEPTH_CAP} levels")
    try:
        return json.loads(data.decode("utf-8"), **_refusals(file, where))
    except UnicodeDecodeError as trouble:
        place = f"{where}, byte {trouble.start + 1:,}"
        raise BadFile(file, place, trouble.reason, "UTF-8 text") from None
    except json.JSONDecodeError as trouble:
        place = f"{where}, line {trouble.lineno}, column {trouble.colno}"
        raise BadFile(file, place, trouble.msg, "JSON") from None
    except RecursionError:
        raise BadFile(file, where, "nesting too deep to read", f"at most {DEPTH_CAP} levels") from None


def _refusals(file: object, where: str) -> dict[str, Any]:
    """What the standard parser lets pass: long numbers, infinities, NaN, a name twice in one object."""

    def whole(digits: str) -> int:
        if len(digits) > DIGITS_CAP:
            raise BadFile(file, where, f"a number of {len(digits):,} digits", f"at most {DIGITS_CAP} digits")
        return int(digits)

    def fraction(digits: str) -> float:
        if not math.isfinite(value := float(digits)):
            raise BadFile(file, where, plain(digits, 60), "a number that has an end")
        return value

    def constant(name: str) -> None:
        raise BadFile(file, where, name, "a number")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) != len(pairs):
            names = Counter(name for name, _ in pairs)
            raise BadFile(file, where, f"field {plain(names.most_common(1)[0][0], 60)} twice", "each field once")
        return found

    return {"parse_int": whole, "parse_float": fraction, "parse_constant": constant, "object_pairs_hook": once}


def text_lines(file: object, data: bytes) -> list[str]:
    """The lines of a text: strict UTF-8, bounded in length and number."""
    if (count := data.count(b"\n")) > LINES_CAP:
        raise BadFile(file, "the text", f"{count:,} lines", f"at most {LINES_CAP:,} lines")
    lines = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if len(line) > LINE_CAP:
            raise BadFile(file, f"line {number:,}", f"{len(line):,} bytes", f"at most {LINE_CAP:,} bytes")
        try:
            lines.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as trouble:
            raise BadFile(file, f"line {number:,}, byte {trouble.start + 1}", trouble.reason, "UTF-8 text") from None
    return lines


def fields(file: object, where: str, value: Any, wanted: Iterable[str]) -> dict[str, Any]:
    """An object that has at least the wanted fields."""
    if not isinstance(value, dict):
        raise BadFile(file, where, f"a {type(value).__name__}", "an object")
    for name in wanted:
        if name not in value:
            raise BadFile(file, f"{where}.{name}", "no such field", f"fields {', '.join(wanted)}")
    return value


def whole_number(file: object, where: str, value: Any, low: int, high: int) -> int:
    """A whole number in its range; True and 1.0 are none."""
    if type(value) is not int or not low <= value <= high:
        raise BadFile(file, where, plain(repr(value), 60), f"a whole number from {low:#x} to {high:#x}")
    return value
