"""The shapes of the numbers that `hvlab.capture.summary` takes of a capture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """One area of an address space: `leaves` distinct leaf entries, reached `times` times, between `first` and `last`.

    `sizes` and `rights` count distinct leaves by page size (12, 21, 30 bits) and by effective rights (`urwx`).
    """

    name: str
    first: int
    last: int
    leaves: int
    times: int
    mapped: int
    sizes: dict[int, int]
    rights: dict[str, int]

    @property
    def upper(self) -> bool:
        """Whether it lies in the kernel's half."""
        return bool(self.first >> 63)


@dataclass(frozen=True)
class Space:
    """One address space: the tables below one root."""

    cpus: tuple[int, ...]
    cpls: tuple[int, ...]
    root: int
    levels: int
    regions: tuple[Region, ...]
    tables: dict[int, int]
    user_leaves: int
    kernel_leaves: int
    times: int
    writable_code: dict[str, int]
    shared_frames: int
    large_too: int
    missing: int
    kept: int
    moved: bool
    isolated: bool
    cut: bool


@dataclass(frozen=True)
class TablesSummary:
    """A snapshot of page tables: its spaces, and how many table pages more than one of them uses."""

    name: str
    levels: int
    cpus: int
    table_pages: int
    ram_bytes: int
    spaces: tuple[Space, ...]
    oracle_leaves: int
    oracle_rights: int
    oracle_probes: int


@dataclass(frozen=True)
class SlotUse:
    """One registered range of guest memory, and how much of it the nested tables map."""

    gpa: int
    size: int
    read_only: bool
    mapped: int
    not_writable: int


@dataclass(frozen=True)
class NestedSummary:
    """A second level: what it maps, with which rights, and what backs what."""

    name: str
    levels: int
    tables: dict[int, int]
    sizes: dict[int, int]
    mapped: int
    leaves: int
    not_writable: int
    user: int
    slots: tuple[SlotUse, ...]
    outside: int
    l2_tables: int
    l2_tables_backed: int
    l2_levels: int
    asid: int
    exit_code: int
    np_enable: bool
    same_root: bool
    moved_pages: int
    pagemap: int
    touched: int
    missing: int
    cut: bool


@dataclass(frozen=True)
class TraceSummary:
    """An address trace: mix, pages, working set over time (`window` accesses each), locality."""

    name: str
    accesses: int
    mix: dict[str, int]
    pages: int
    code_pages: int
    data_pages: int
    written_pages: int
    large_pages: int
    crossing: int
    low: int
    high: int
    window: int
    working_set: tuple[int, ...]
    top_share: dict[int, float]
    same_page: dict[str, float]
    note: str


@dataclass(frozen=True)
class VectorsSummary:
    """A vector file: how many cases, and how often each kind of answer is expected."""

    name: str
    cases: int
    answers: dict[str, int]


Summary = TablesSummary | NestedSummary | TraceSummary | VectorsSummary
