"""What the targets for texts of real guests share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hvlab.capture.samples import sample
from hvlab.errors import ODD, BadFile

REAL = Path(__file__).parent.parent / "real" / "vmbus"


def pasted(data: bytes) -> str:
    """Bytes as somebody would paste them; a line break at the end makes any text a text and not a file's name."""
    return data.decode("utf-8", "surrogateescape") + "\n"


def read(reader: Callable[[str], Any], data: bytes) -> Any:
    """What a reader makes of a text, None if it refuses it; a refusal is a whole sentence."""
    try:
        return reader(pasted(data))
    except BadFile as bad:
        assert bad.file and bad.where and bad.found and bad.expected
        return None


def shown(text: str) -> None:
    """Nothing that is told holds a control or a direction mark."""
    assert not (set(text) - {"\n"}) & ODD, sorted(set(text) & ODD)


def samples(*names: str) -> Iterator[bytes]:
    """The shipped texts of these names."""
    for name in names:
        yield sample(name).read_bytes()
