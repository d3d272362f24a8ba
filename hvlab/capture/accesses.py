"""Address traces: what a real program fetched, loaded and stored, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hvlab.capture.gate import LINE_CAP, LINES_CAP, Array, content, inflated, npz
from hvlab.capture.tables import meta_of, name_of
from hvlab.errors import BadFile
from hvlab.language import _

FETCH, LOAD, STORE, MODIFY = range(4)
LETTERS: Final = "ILSM"
ACCESSES_CAP: Final = 1 << 22
TEXT_CAP: Final = 2_000_000
CANONICAL: Final = 1 << 56

RULES: Final = {
    "kind": Array("u1", ("accesses",)),
    "size": Array("u2", ("accesses",)),
    "delta_planes": Array("raw", (8, "accesses")),
    "meta_json": Array("raw", ("meta",), optional=True),
}


@dataclass(frozen=True, eq=False)
class AddressTrace:
    """Accesses in program order: `kind[i]` (FETCH, LOAD, STORE, MODIFY), `size[i]` bytes at `gva[i]`.

    `gva` is int64, so that upper-half addresses are negative, as the engine keeps them. `note` says when only the
    first part of a longer recording was taken. `meta` is what the recorder wrote down, counts among it.
    """

    file: str
    name: str
    kind: NDArray[np.uint8]
    size: NDArray[np.uint16]
    gva: NDArray[np.int64]
    note: str
    meta: dict[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.gva)


def address_trace(path: str | os.PathLike[str]) -> AddressTrace:
    """Load an address trace in npz form: kinds, sizes, and the addresses as byte planes of deltas, per stream.

    A stream is either the fetches or the data accesses; each delta is to the previous address of the same stream.
    """
    file = str(path)
    arrays = npz(file, content(path), RULES)
    meta = meta_of(file, arrays)
    kind, size, planes = arrays["kind"], arrays["size"], arrays["delta_planes"]
    if not 1 <= len(kind) <= ACCESSES_CAP:
        raise BadFile(file, "member kind", f"{len(kind):,} accesses", f"1 to {ACCESSES_CAP:,} accesses")
    if int(kind.max()) > MODIFY:
        raise BadFile(file, "member kind", f"kind {int(kind.max())}", "0 I, 1 L, 2 S or 3 M")
    gva = np.empty(len(kind), np.int64)
    spread = gva.view(np.uint8).reshape(-1, 8)
    for byte in range(8):
        spread[:, byte] = planes[byte]
    fetches = kind == FETCH
    for stream in (fetches, ~fetches):
        gva[stream] = np.cumsum(gva[stream])
    far = np.flatnonzero((gva >= CANONICAL) | (gva < -CANONICAL))
    if far.size:
        found = f"{int(gva[far[0]]) % (1 << 64):#x} at access {int(far[0]):,}"
        raise BadFile(file, "member delta_planes", found, "addresses of at most 57 bits, sign-extended")
    gva.flags.writeable = False
    return AddressTrace(file, name_of(meta), kind, size, gva, "", meta)


# --- the text of valgrind's lackey -----------------------------------------------------------------------------------

Chunk = tuple[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.int64]]
DIGIT: Final = np.full(256, 255, np.uint8)
DIGIT[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = [*range(16), *range(10, 16)]
CODE: Final = np.full(256, 255, np.uint8)
CODE[np.frombuffer(b"ILSM", np.uint8)] = range(4)
SHAPE: Final = "a line such as 'I  04001a40,3' or ' L 1ffeffe7e0,8' (kind, hex address, size from 1 to 4096)"


def lackey_trace(path: str | os.PathLike[str], most: int = TEXT_CAP) -> AddressTrace:
    """Load the text that `valgrind --tool=lackey --trace-mem=yes` prints, gzipped or not, as a stream.

    Memory is bounded by `most` accesses: the rest of a longer recording is not read, and `note` says so. Lines of
    valgrind's own (they begin with == or --) and empty lines are passed over, up to 100,000 of them.
    """
    file, taken, chunks, more = str(path), 0, [], False
    for chunk in _chunks(file, path):
        chunks.append(chunk)
        taken += len(chunk[0])
        if taken > most:
            more = True
            break
    if not taken:
        raise BadFile(file, "the text", "no access", SHAPE)
    kind, size, gva = (np.concatenate(parts)[:most] for parts in zip(*chunks, strict=True))
    for values in (kind, size, gva):
        values.flags.writeable = False
    text = _("only the first {count} accesses were taken; the recording is longer")
    note = text.format(count=f"{most:,}") if more else ""
    return AddressTrace(file, "", kind, size, gva, note, {})


def _chunks(file: str, path: str | os.PathLike[str]) -> Iterator[Chunk]:
    """The accesses of a text, piece by piece; each piece ends at a line's end."""
    rest, line, own = b"", 1, 0
    for piece in inflated(path, cap=None):
        whole, newline, rest = (rest + piece).rpartition(b"\n")
        if len(rest) > LINE_CAP:
            raise BadFile(file, f"line {line + whole.count(10) + 1:,}", f"over {LINE_CAP:,} bytes", SHAPE)
        if newline:
            chunk, passed, lines = _accesses(file, whole + b"\n", line)
            line, own = line + lines, own + passed
            if own > LINES_CAP:
                raise BadFile(file, f"line {line:,}", f"{own:,} lines without an access", f"at most {LINES_CAP:,}")
            yield chunk
    if rest:
        yield _accesses(file, rest + b"\n", line)[0]


def _accesses(file: str, text: bytes, first: int) -> tuple[Chunk, int, int]:
    """Kinds, sizes and addresses of whole lines; the number of lines passed over; the number of lines."""
    data = np.frombuffer(text, np.uint8)
    end = np.flatnonzero(data == 10)
    start = np.concatenate(([0], end[:-1] + 1))
    lines = len(end)
    end = end - ((end > start) & (data[end - 1] == 13))
    padded = np.concatenate((data, np.zeros(20, np.uint8)))
    two = padded[start].astype(np.int64) << 8 | padded[start + 1]
    own = (end == start) | (two == 0x3D3D) | (two == 0x2D2D)
    _check_own(file, text, first, start[own], end[own], np.flatnonzero(own))
    numbers, start, end = np.flatnonzero(~own), start[~own], end[~own]
    fetch = padded[start] == ord("I")
    letter = np.where(fetch, padded[start], padded[start + 1])
    blank = np.where(fetch, padded[start + 1], padded[start])
    kind = CODE[letter]
    commas = np.append(np.flatnonzero(data == ord(",")), len(data) + 20)
    comma = commas[np.searchsorted(commas, start)]
    digits, tens = comma - start - 3, end - comma - 1
    good = (kind != 255) & ((kind == FETCH) == fetch) & (blank == 32) & (padded[start + 2] == 32)
    good &= (digits >= 1) & (digits <= 16) & (tens >= 1) & (tens <= 4)
    gva, sound = _number(padded, np.where(good, comma, 1), np.where(good, digits, 1), 16)
    size, fair = _number(padded, np.where(good, end, 1), np.where(good, tens, 1), 10)
    good &= sound & fair & (size >= 1) & (size <= 4096) & (gva < CANONICAL) & (gva >= -CANONICAL)
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        line = text[int(start[bad]) : min(int(end[bad]), int(start[bad]) + 60)].decode("utf-8", "backslashreplace")
        raise BadFile(file, f"line {first + int(numbers[bad]):,}", repr(line), SHAPE)
    return (kind, size.astype(np.uint16), gva), int(own.sum()), lines


def _number(
    data: NDArray[np.uint8], end: NDArray[np.int64], digits: NDArray[np.int64], base: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Numbers that end before `end` and have so many digits, all at once; and whether each digit is one."""
    value, sound = np.zeros(len(end), np.int64), np.ones(len(end), np.bool_)
    for place in range(int(digits.max(initial=0))):
        live = place < digits
        digit = DIGIT[data[np.where(live, end - 1 - place, 0)]].astype(np.int64)
        sound &= ~live | (digit < base)
        value += np.where(live, digit, 0) * (base**place if base == 10 else 1) << (4 * place if base == 16 else 0)
    return value, sound


def _check_own(
    file: str, text: bytes, first: int, start: NDArray[np.int64], end: NDArray[np.int64], numbers: NDArray[np.int64]
) -> None:
    """Valgrind's own lines must be text of a sensible length as well, and not too many."""
    if len(start) > LINES_CAP:
        found = f"{len(start):,} lines without an access"
        raise BadFile(file, f"line {first + int(numbers[-1]):,}", found, f"at most {LINES_CAP:,}")
    length = end - start
    if length.size and length.max() > LINE_CAP:
        number, long = first + int(numbers[length.argmax()]), int(length.max())
        raise BadFile(file, f"line {number:,}", f"{long:,} bytes", f"at most {LINE_CAP:,} bytes")
    if text.isascii():
        return
    for begin, stop, number in zip(start.tolist(), end.tolist(), numbers.tolist(), strict=True):
        try:
            text[begin:stop].decode("utf-8")
        except UnicodeDecodeError as trouble:
            where = f"line {first + number:,}, byte {trouble.start + 1}"
            raise BadFile(file, where, trouble.reason, "UTF-8 text") from None
