"""Declare a wire structure once; its dtype, encoding, decoding, byte map and documentation follow from the declaration.

    class DepositMemory(Struct, size=8):
        '''Give pages to a partition's pool. Source: TLFS, HvCallDepositMemory.'''

        partition_id: int = u64("Partition whose pool grows.")

A `Word` declares an integer made of bits in the same way. A wrong size, an overlap or a missing text is an error at
import.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np


@dataclass
class Field:
    """One declared field: `offset` and `size` in bytes for a `Struct`, `lo` and `width` in bits for a `Word`."""

    doc: str
    size: int = 0
    count: int = 1
    kind: str = "dec"
    lo: int = 0
    width: int = 0
    offset: int = 0
    name: str = ""
    raw: bool = False

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def mask(self) -> int:
        """The bits of a `Word` field, in place, unsigned."""
        return ((1 << self.width) - 1) << self.lo

    @property
    def bytes(self) -> int:
        return self.size * self.count

    @property
    def limit(self) -> int:
        return 1 << (self.width or self.size * 8)

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        raise AttributeError(f"{self.name} is part of a decoded value; encode a new one instead")

    def check(self, owner: str, value: int) -> int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{owner}.{self.name}: wanted a whole number, found {value!r}")
        value = value.__index__()
        if not 0 <= value < self.limit:
            raise ValueError(f"{owner}.{self.name}: {value:#x} does not fit into {(self.limit - 1).bit_length()} bits")
        return value


def _number(size: int) -> Any:
    def declare(doc: str, kind: str = "dec", count: int = 1) -> Any:
        return Field(doc, size=size, kind=kind, count=count)

    return declare


u8, u16, u32, u64 = _number(1), _number(2), _number(4), _number(8)


def raw(count: int, doc: str) -> Any:
    """Declare `count` bytes that this structure does not interpret (a payload, padding that must be zero)."""
    return Field(doc, size=1, count=count, kind="bytes", raw=True)


def bit(lo: int, doc: str, kind: str = "dec") -> Any:
    """Declare one bit of a `Word`."""
    return Field(doc, lo=lo, width=1, kind=kind)


def bits(lo: int, width: int, doc: str, kind: str = "dec") -> Any:
    """Declare `width` bits of a `Word`, from bit `lo` upwards."""
    return Field(doc, lo=lo, width=width, kind=kind)


class _Declared:
    """What a `Struct` and a `Word` share: named values, declared in order."""

    fields: ClassVar[tuple[Field, ...]] = ()
    names: ClassVar[frozenset[str]] = frozenset()
    every: ClassVar[list[type]] = []

    def __init__(self, **values: Any) -> None:
        known = {field.name for field in self.fields}
        if unknown := sorted(set(values) - known):
            there = ", ".join(sorted(known))
            raise TypeError(f"{type(self).__name__} has no field {', '.join(unknown)}; it has {there}")
        for field in self.fields:
            self.__dict__[field.name] = values.get(field.name, self._default(field))

    @staticmethod
    def _default(field: Field) -> Any:
        return bytes(field.count) if field.raw else (0,) * field.count if field.count > 1 else 0

    @classmethod
    def _collect(cls) -> None:
        cls.fields = tuple(value for value in vars(cls).values() if isinstance(value, Field))
        cls.names = frozenset(field.name for field in cls.fields)
        if not cls.__doc__ or any(not field.doc for field in cls.fields):
            raise TypeError(f"{cls.__name__}: each structure and each field needs its text")
        cls.every.append(cls)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        inside = ", ".join(
            f"{f.name}={v.hex() if isinstance(v, bytes) else v}" for f in self.fields if (v := self.__dict__[f.name])
        )
        return f"{type(self).__name__}({inside})"


class Struct(_Declared):
    """A little-endian byte structure without implicit padding."""

    size: ClassVar[int]
    dtype: ClassVar[np.dtype[Any]]

    def __init_subclass__(cls, size: int | None = None, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._collect()
        offset = 0
        for field in cls.fields:
            field.offset, offset = offset, offset + field.bytes
        if size is not None and offset != size:
            raise TypeError(f"{cls.__name__}: the fields take {offset} bytes, {size} were declared")
        cls.size = offset
        cls.dtype = np.dtype(
            [(f.name, f"<u{f.size}", (f.count,)) if f.count > 1 else (f.name, f"<u{f.size}") for f in cls.fields]
        )

    @classmethod
    def encode(cls, **values: Any) -> bytes:
        """Return the bytes of this structure.

        Raises
        ------
        TypeError
            For a name that was not declared, or a value of the wrong type.
        ValueError
            For a value that does not fit its field.
        """
        out = bytearray()
        if not values.keys() <= cls.names:
            cls(**values)  # says which name is not there
        for field in cls.fields:
            if field.name not in values:
                out += bytes(field.size * field.count)
                continue
            value = values[field.name]
            if field.raw:
                if len(value) > field.count:
                    raise ValueError(f"{cls.__name__}.{field.name}: {len(value)} bytes, {field.count} fit")
                out += bytes(value).ljust(field.count, b"\0")
                continue
            items = tuple(value) if field.count > 1 else (value,)
            if len(items) != field.count:
                raise ValueError(f"{cls.__name__}.{field.name}: {len(items)} values, {field.count} wanted")
            for item in items:
                out += field.check(cls.__name__, item).to_bytes(field.size, "little")
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read this structure from the front of `data`.

        Raises
        ------
        ValueError
            If `data` is too short: says how many bytes were needed and how many were there.
        """
        if len(data) < cls.size:
            raise ValueError(f"{cls.__name__}: {cls.size} bytes needed, {len(data)} there")
        made = cls.__new__(cls)
        values = made.__dict__
        for f in cls.fields:
            part = bytes(data[f.offset : f.offset + f.bytes])
            if f.raw:
                values[f.name] = part
            elif f.count == 1:
                values[f.name] = int.from_bytes(part, "little")
            else:
                items = (part[k : k + f.size] for k in range(0, f.bytes, f.size))
                values[f.name] = tuple(int.from_bytes(item, "little") for item in items)
        return made


class Message(Struct):
    """A `Struct` with a number that says which message it is, and who sends it."""

    number: ClassVar[int]
    sender: ClassVar[str]
    since: ClassVar[str]

    def __init_subclass__(cls, number: int = 0, sender: str = "", since: str = "", **keywords: Any) -> None:
        cls.number, cls.sender, cls.since = number, sender, since
        super().__init_subclass__(**keywords)


class Word(_Declared):
    """A 64-bit integer made of bits; what no field names is reserved."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._collect()
        taken = 0
        for field in cls.fields:
            mask = field.mask
            if mask & taken or field.lo + field.width > 64:
                raise TypeError(f"{cls.__name__}.{field.name}: overlaps another field or the end of the word")
            taken |= mask

    @classmethod
    def encode(cls, **values: int) -> int:
        """Return the word as an unsigned number; the errors are those of `Struct.encode`."""
        if not values.keys() <= cls.names:
            cls(**values)  # says which name is not there
        given = [field for field in cls.fields if field.name in values]
        return sum(field.check(cls.__name__, values[field.name]) << field.lo for field in given)

    @classmethod
    def decode(cls, word: int) -> Self:
        """Take a word apart; a signed 64-bit number is read as its bits."""
        made, word = cls.__new__(cls), int(word)
        made.__dict__.update({f.name: word >> f.lo & (1 << f.width) - 1 for f in cls.fields})
        return made

    @classmethod
    def mask(cls, *names: str) -> int:
        """Return the bits of these fields, in place, as a signed 64-bit number (kernels are signed throughout)."""
        word = sum((1 << f.width) - 1 << f.lo for f in cls.fields if f.name in names)
        return word - (1 << 64) if word >> 63 else word

    @classmethod
    def lo(cls, name: str) -> int:
        """Return the lowest bit of a field."""
        return next(f.lo for f in cls.fields if f.name == name)

    @classmethod
    def undeclared(cls, word: int) -> int:
        """Return the bits of `word` that no field names."""
        named = sum(f.mask for f in cls.fields)
        return int(word) & (1 << 64) - 1 & ~named
