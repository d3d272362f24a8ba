"""Physical memory as a dict: page number -> 512 unsigned words."""

from __future__ import annotations


class Memory:
    """Words at system-physical addresses; a page that is not in the dict is not there."""

    def __init__(self, pages: dict[int, list[int]] | None = None) -> None:
        self.pages = {} if pages is None else pages

    def has(self, spa: int) -> bool:
        """Tell whether there is memory at this address."""
        return spa >> 12 in self.pages

    def read64(self, spa: int) -> int:
        """Return the word at an address that is a multiple of eight."""
        return self.pages[spa >> 12][spa >> 3 & 511]

    def write64(self, spa: int, word: int) -> None:
        """Change the word at an address that is a multiple of eight."""
        self.pages[spa >> 12][spa >> 3 & 511] = word

    def add_page(self, spa: int) -> int:
        """Put a page of zeros at this address and return the address."""
        self.pages[spa >> 12] = [0] * 512
        return spa
