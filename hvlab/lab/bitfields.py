"""A declared word as text: compose it from its fields, or take a number apart. The twin of the ruler in the player."""

from dataclasses import dataclass
from typing import Any, Final

from hvlab.errors import BadRequest, plain
from hvlab.trace.words import grouped
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.struct import Word
from hvlab.wire.tlfs import Status

MASK: Final = (1 << 64) - 1
STATUS: Final = {status.value: status.name for status in Status}


@dataclass(frozen=True, repr=False)
class Bits:
    """A 64-bit word with its fields.

    Attributes
    ----------
    word : type of Word
        How the bits are declared.
    value : int
        The number; ``int(bits)`` gives it as well.
    """

    word: type[Word]
    value: int

    def __int__(self) -> int:
        return self.value

    def __index__(self) -> int:
        return self.value

    def __getattr__(self, name: str) -> int:
        if name.startswith("_") or name not in (field.name for field in self.word.fields):
            raise AttributeError(name)
        return int(getattr(self.word.decode(self.value), name))

    def but(self, **fields: int) -> "Bits":
        """Return the word with some fields changed."""
        known = {field.name: getattr(self, field.name) for field in self.word.fields}
        return compose(self.word, **(known | fields))

    def __repr__(self) -> str:
        head = f"{self.word.__name__} {grouped(self.value, 16)}"
        rows = [self._row(field) for field in reversed(self.word.fields)]
        left = self.word.undeclared(self.value)
        if left:
            rows.append(("", "(no field)", f"{left:#x}", "Bits that no field names."))
        wide = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = ("  ".join([*(row[k].ljust(wide[k]) for k in range(3)), row[3]]).rstrip() for row in rows)
        return "\n".join([head, *(f"  {line}" for line in lines)])

    def _row(self, field: Any) -> tuple[str, str, str, str]:
        value = self.value >> field.lo & (1 << field.width) - 1
        where = str(field.lo) if field.width == 1 else f"{field.lo + field.width - 1}-{field.lo}"
        return where, field.name, said(field, value), field.doc


def said(field: Any, value: int) -> str:
    """Write the value of a field: counts as decimals, the rest as hex, with the name where there is one."""
    if field.kind == "status":
        return f"{value:#x} {STATUS.get(value, '')}".strip()
    if field.name == "code":
        return f"{value:#x} {CALLS[value].name if value in CALLS else ''}".strip()
    return f"{value:#x}" if field.kind in ("hex", "page") else str(value)


def compose(word: type[Word], **fields: int) -> Bits:
    """Make a word from its fields: ``compose(HypercallControl, code=2)``.

    Raises
    ------
    BadRequest
        For a field that is not there, or a value that does not fit its bits.
    """
    known = {field.name: field for field in _declared(word).fields}
    for name, value in fields.items():
        if name not in known:
            raise BadRequest(f"the field {plain(name, 40)} of {word.__name__}", "", ", ".join(known))
        most = (1 << known[name].width) - 1
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise BadRequest(f"{name} = {plain(value, 40)}", f"{known[name].width} bits", f"0 to {most:#x}")
    return Bits(word, word.encode(**fields))


def parts(word: type[Word], value: int) -> Bits:
    """Take a number apart: ``parts(HypercallResult, 0x1_0000_0000)``.

    Raises
    ------
    BadRequest
        For what is no word, or no 64-bit number.
    """
    _declared(word)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MASK:
        raise BadRequest(f"{plain(value, 40)} as a {word.__name__}", "", "a 64-bit number such as 0x1005d")
    return Bits(word, value)


def _declared(word: Any) -> Any:
    if not (isinstance(word, type) and issubclass(word, Word)):
        raise BadRequest(f"{plain(word, 40)}", "no declared word", "HypercallControl, HypercallResult, HypercallMsr")
    return word
