"""Physical memory: one array of 64-bit words, led by a page database with one word for each page.

The first ``pages`` words of ``mem`` are the database: where a page's 512 words are kept (0: no memory behind this
SPA), who owns it, with whom it is shared. Real machines have holes in their address map too; so a snapshot of a large
machine needs only the pages that it recorded.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.errors import BadRequest
from hvlab.kernel import I, kernel
from hvlab.wire.struct import Word, bit, bits

Words = npt.NDArray[np.int64]

PAGE = 4096
WORDS_A_PAGE = 512
MAX_BYTES = 256 << 20
MAX_PAGES = 1 << 24  # 64 GiB of physical addresses

HYPERVISOR, NOBODY = 0, 255


class PageRecord(Word):
    """One word of the page database; partition slots: 0 the hypervisor, 1 the root, then the children."""

    owner: int = bits(0, 8, "Slot of the partition that owns the page; 0 the hypervisor.")
    sharer: int = bits(8, 8, "Slot of the one partition that may map it too; 255 nobody.")
    share_rights: int = bits(16, 3, "Rights of the sharer: 1 read, 2 write, 4 execute.")
    dirty: int = bit(19, "Holds bytes of a former owner: to be zeroed before another one gets it.")
    table: int = bit(20, "Holds a second-level table or another structure of the hypervisor.")
    deposited: int = bits(21, 8, "Slot of the partition whose pool the page was deposited to; 0 none.")
    words: int = bits(32, 31, "Where its 512 words begin in the array; 0: there is no memory here.")


PLACE = 32


@kernel
def word_at(m, mem, spa):
    """Return the place in `mem` of the word at an SPA, or -1 where the machine has no memory."""
    spn = spa >> 12
    if spn < 0 or spn >= m["pages"]:
        return I(-1)
    begin = mem[spn] >> PLACE
    if begin == 0:
        return I(-1)
    return begin + (spa >> 3 & 511)


def layout(spns: Words, pages: int) -> Words:
    """Return zeroed memory in which exactly the pages `spns` exist, below `pages`.

    Raises
    ------
    BadRequest
        If that is more memory, or a wider address space, than the lab gives to one machine.
    """
    size = pages + len(spns) * WORDS_A_PAGE
    if not 0 < pages <= MAX_PAGES or len(spns) * PAGE > MAX_BYTES:
        raise BadRequest(
            f"asked for {len(spns)} pages of memory below page {pages:#x}; "
            f"at most {MAX_BYTES // PAGE} pages below {MAX_PAGES:#x} are possible"
        )
    mem = np.zeros(size, np.int64)
    place = pages + WORDS_A_PAGE * np.arange(len(spns), dtype=np.int64)
    mem[:pages] = NOBODY << 8
    mem[spns] |= place << PLACE
    return mem


class Memory:
    """Bytes by SPA, and the page database: the view of physical memory that Python code uses.

    Parameters
    ----------
    state : structured array of one element
        The machine's state, for the number of pages.
    mem : array of int64
        The words, as `layout` makes them.
    """

    def __init__(self, state: npt.NDArray[Any], mem: Words) -> None:
        self.state, self.mem = state, mem

    @property
    def pages(self) -> int:
        return int(self.state["pages"][0])

    def _page(self, spn: int) -> Words:
        begin = int(self.mem[spn]) >> PLACE if 0 <= spn < self.pages else 0
        if begin == 0:
            raise BadRequest(f"there is no memory at SPA {spn << 12:#x}; this machine has {self.pages} page numbers")
        return self.mem[begin : begin + WORDS_A_PAGE]

    def page(self, spn: int) -> Words:
        """Return the 512 words of one page: a live view.

        Raises
        ------
        BadRequest
            If there is no memory at that page number.
        """
        return self._page(spn)

    def exists(self, spn: int) -> bool:
        return 0 <= spn < self.pages and int(self.mem[spn]) >> PLACE != 0

    def read(self, spa: int, count: int) -> bytes:
        """Return `count` bytes from an SPA on."""
        out = bytearray()
        while count > 0:
            offset = spa & PAGE - 1
            part = self._page(spa >> 12).tobytes()[offset : offset + count]
            out += part
            spa, count = spa + len(part), count - len(part)
        return bytes(out)

    def write(self, spa: int, data: bytes) -> None:
        """Store bytes from an SPA on; nothing is stored if any page of them is missing."""
        for spn in range(spa >> 12, (spa + max(len(data), 1) - 1 >> 12) + 1):
            self._page(spn)
        while data:
            offset = spa & PAGE - 1
            part, data = data[: PAGE - offset], data[PAGE - offset :]
            self._page(spa >> 12).view(np.uint8)[offset : offset + len(part)] = np.frombuffer(part, np.uint8)
            spa += len(part)

    def read64(self, spa: int) -> int:
        """Return one aligned 64-bit word, unsigned."""
        return int(self._page(spa >> 12)[spa >> 3 & 511]) & (1 << 64) - 1

    def write64(self, spa: int, value: int) -> None:
        """Store one aligned 64-bit word."""
        self._page(spa >> 12)[spa >> 3 & 511] = signed(value)

    def record(self, spn: int) -> PageRecord:
        """Return the page's record, taken apart."""
        self._page(spn)
        return PageRecord.decode(int(self.mem[spn]))

    def mark(self, spn: int, **fields: int) -> None:
        """Change fields of a page's record; where its words are kept stays as it is."""
        before = self.record(spn).__dict__
        self.mem[spn] = PageRecord.encode(**{**before, **fields})

    def column(self, field: str, spns: Words | None = None) -> Words:
        """Return one field of the records of all pages (or of `spns`), as an array."""
        declared = getattr(PageRecord, field)
        words = self.mem[: self.pages] if spns is None else self.mem[spns]
        return np.asarray(words >> declared.lo & declared.limit - 1)


def signed(value: int) -> int:
    """Return a 64-bit number as the signed number with the same bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
