"""How a number is written for a reader: one formatter for captions, tables, pictures and answers."""

from hvlab.language import N_, _

MASK = (1 << 64) - 1

ENUMS: dict[str, dict[int, str]] = {
    "access": {
        0: "read",
        2: "write",
        16: "fetch",
        4: "user read",
        6: "user write",
        20: "user fetch",
        256: "implicit supervisor read",
        258: "implicit supervisor write",
    },
    "second_level": {0: "none", 1: "EPT", 2: "nested paging"},
    "cache": {1: "L1 TLB", 2: "L2 TLB"},
    "stage": {1: "the guest's", 2: "the second level's"},
    "page_size": {12: "4 KiB", 21: "2 MiB", 30: "1 GiB"},
    "guest_level": {
        0: "the data page",
        1: "the guest's level-1 table",
        2: "the guest's level-2 table",
        3: "the guest's level-3 table",
        4: "the guest's level-4 table",
        5: "the guest's level-5 table",
    },
    "flush": {
        1: "one guest address",
        2: "one address space",
        3: "one address space, global entries too",
        4: "everything of one virtual processor tag",
        5: "what came from one second-level table",
        6: "everything",
    },
}

# Enumerations of names and units, which are the same in every language.
NAMES = {"call", "status", "register", "msr", "message", "exception", "page_size", "cache"}
PARTITION = N_("partition {number}")
ADDRESSES = {"gva": 16, "gpa": 8, "spa": 8, "iova": 8}


def told(name: str) -> dict[int, str]:
    """An enumeration in the learner's language."""
    return {value: _word(name, value, text) for value, text in ENUMS[name].items()}


def _word(name: str, value: int, text: str) -> str:
    if name == "partition" and value > 1:
        return _(PARTITION).format(number=value)
    return text if name in NAMES else _(text)


def grouped(value: int, digits: int) -> str:
    """Write an unsigned number as hex in groups of four digits, at least `digits` long."""
    text = f"{value:0{digits}x}"
    text = text.rjust(-(-len(text) // 4) * 4, "0")
    return "0x" + "_".join(text[k : k + 4] for k in range(0, len(text), 4))


def say(kind: str, value: int) -> str:
    """Write `value` as its kind wants it.

    Parameters
    ----------
    kind : str
        ``dec``, ``hex``, an address kind (``gva gpa spa iova``), ``time`` (nanoseconds), ``enum:NAME`` or
        ``word:NAME``.
    value : int
        Any 64-bit number; addresses and hex are shown unsigned.
    """
    value = int(value)
    if kind in ADDRESSES:
        return grouped(value & MASK, ADDRESSES[kind])
    if kind == "hex" or kind.startswith("word:"):
        return f"0x{value & MASK:x}" if value & MASK < 1 << 16 else grouped(value & MASK, 1)
    if kind == "time":
        return f"{value} ns" if abs(value) < 10_000 else f"{value / 1000:.1f} µs"
    if kind.startswith("enum:"):
        text = ENUMS[kind[5:]].get(value)
        return f"{value:#x}" if text is None else _word(kind[5:], value, text)
    return str(value)
