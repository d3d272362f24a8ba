"""Physical memory as a dict: page number -> 512 unsigned words."""

from __future__ import annotations


class Memory:
    """Words at system-physical addresses.

    Without a size, a page that is not in the dict is not there. With a size in pages, every page below it is there
    and reads as zero until it is written.
    """

    def __init__(self, pages: dict[int, list[int]] | None = None, size: int = 0) -> None:
        self.pages, self.size = {} if pages is None else pages, size

    def has(self, spa: int) -> bool:
        """Tell whether there is memory at this address."""
        return spa >> 12 in self.pages or spa >> 12 < self.size

    def read64(self, spa: int) -> int:
        """Return the word at an address that is a multiple of eight."""
        return self.pages[spa >> 12][spa >> 3 & 511] if spa >> 12 in self.pages else 0

    def write64(self, spa: int, word: int) -> None:
        """Change the word at an address that is a multiple of eight."""
        self.add_page(spa)
        self.pages[spa >> 12][spa >> 3 & 511] = word

    def add_page(self, spa: int) -> int:
        """Put a page of zeros at this address unless there is one, and return the address."""
        self.pages.setdefault(spa >> 12, [0] * 512)
        return spa
