"""Who can reach which page, by which path: partitions, guest tables, second levels and pages as a directed graph.

A `Layout` is plain data: who owns each run of pages, who shares it, what every second level maps, where the tables
lie. The graph has an edge for each of these facts; only *uses* and *maps* edges carry an access. Owning a page or a
share of it is a right on paper: it carries nothing, and it is what every path is checked against.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import networkx as nx
import numpy as np

from hvlab.errors import plain
from hvlab.trace.words import say

HYPERVISOR: Final = 0
READ, WRITE, EXECUTE = 1, 2, 4
EVERY: Final = READ | WRITE | EXECUTE
CARRIES: Final = ("uses", "maps")


@dataclass(frozen=True)
class Owned:
    """A run of pages and its one owner: a partition's id, or 0 for the hypervisor."""

    spn: int
    pages: int
    owner: int


@dataclass(frozen=True)
class Share:
    """A share record: a partition that may map a run of another's pages too, with these rights."""

    spn: int
    pages: int
    owner: int
    sharer: int
    rights: int


@dataclass(frozen=True)
class Leaf:
    """A run of guest physical pages that a second level maps; rights: read 1, write 2, execute 4."""

    partition: int
    gpn: int
    spn: int
    pages: int
    rights: int


@dataclass(frozen=True)
class Tables:
    """A run of pages that hold second-level tables of a partition: they confine it."""

    spn: int
    pages: int
    partition: int


@dataclass(frozen=True)
class GuestLeaf:
    """A run of virtual pages that a guest's own tables map; `tables` names them, such as `VP 0`."""

    partition: int
    tables: str
    gvn: int
    gpn: int
    pages: int
    rights: int


@dataclass(frozen=True)
class Layout:
    """What a machine's memory is and who may touch it; `names` holds (id, name) of each partition."""

    names: tuple[tuple[int, str], ...]
    owned: tuple[Owned, ...] = ()
    shares: tuple[Share, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    tables: tuple[Tables, ...] = ()
    guest_leaves: tuple[GuestLeaf, ...] = ()

    def name(self, partition: int) -> str:
        """The name of a partition, or of the hypervisor."""
        other = "the hypervisor" if partition == HYPERVISOR else f"partition {partition}"
        return plain(dict(self.names).get(partition, other), 64)


@dataclass(frozen=True)
class Path:
    """One way from a partition to a run of pages. `gvn` is None where the GPA is used as it is."""

    partition: int
    name: str
    tables: str
    gvn: int | None
    gpn: int
    spn: int
    pages: int
    rights: int

    def at(self, spn: int) -> Path:
        """The same way to one page of the run."""
        step = spn - self.spn
        gvn = None if self.gvn is None else self.gvn + step
        return replace(self, gvn=gvn, gpn=self.gpn + step, spn=spn, pages=1)

    def __str__(self) -> str:
        first = "" if self.gvn is None else f"tables of {self.tables}: GVA {say('gva', self.gvn << 12)} → "
        run = f" ({self.pages:,} pages)" if self.pages > 1 else ""
        return (
            f"{self.name} → {first}GPA {say('gpa', self.gpn << 12)} → second level of {self.name} → "
            f"SPA {say('spa', self.spn << 12)}{run}, {spell(self.rights)}"
        )


def spell(rights: int) -> str:
    """Rights as three letters, such as `rw-`."""
    return "".join(letter if rights >> bit & 1 else "-" for bit, letter in enumerate("rwx"))


# --- from plain data -------------------------------------------------------------------------------------------------


def layout(topology: Mapping[str, Any], owner: Any, guest_leaves: Sequence[GuestLeaf] = ()) -> Layout:
    """Make a layout of what a machine tells about itself page by page; neighbours become runs.

    Parameters
    ----------
    topology : mapping with
        ``partitions``: for each its ``id``, ``name``, ``maps`` (rows of GPN, SPN, rights) and ``tables`` (the SPNs of
        its second-level tables); ``shares``: rows of SPN, owner, sharer, rights. As `Machine.topology` gives it.
    owner : for each SPN the owner's id, 0 the hypervisor, -1 where there is no memory. As `Machine.page_map` gives it.
    guest_leaves : what the guests' own tables map.
    """
    owners = np.asarray(owner, np.int64)
    spns = np.flatnonzero(owners >= 0)
    partitions = topology["partitions"]
    leaves = [
        Leaf(int(one["id"]), gpn, spn, pages, rights & EVERY)
        for one in partitions
        for pages, (gpn, spn, rights) in runs(one["maps"], (1, 1, 0))
    ]
    shares = [
        Share(spn, pages, whose, sharer, rights & EVERY)
        for pages, (spn, whose, sharer, rights) in runs(topology["shares"], (1, 0, 0, 0))
    ]
    tables = [Tables(spn, pages, int(one["id"])) for one in partitions for pages, (spn,) in runs(one["tables"], (1,))]
    return Layout(
        names=tuple((int(one["id"]), str(one["name"])) for one in partitions),
        owned=tuple(Owned(spn, pages, who) for pages, (spn, who) in runs(np.stack([spns, owners[spns]], 1), (1, 0))),
        shares=tuple(shares),
        leaves=tuple(leaves),
        tables=tuple(tables),
        guest_leaves=tuple(guest_leaves),
    )


def runs(rows: Any, steps: Sequence[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Join rows that follow each other (each column grows by its step): (length, first row) of each run."""
    table = np.asarray(rows, np.int64).reshape(-1, len(steps))
    table = table[np.lexsort(table.T[::-1])]
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(table, axis=0) != np.array(steps)).any(1)])[: len(table)])
    ends = [*begins[1:].tolist(), len(table)]
    for begin, end in zip(begins.tolist(), ends[: len(begins)], strict=True):
        yield end - begin, tuple(int(value) for value in table[begin])


# --- the graph -------------------------------------------------------------------------------------------------------

Node = tuple[Any, ...]


@lru_cache(maxsize=16)
def graph(layout: Layout) -> nx.DiGraph:
    """Build the directed graph of a layout.

    Nodes: ``("partition", id)``, ``("tables", id, name)`` (a guest's own), ``("second level", id)``,
    ``("gva", id, name, gvn, pages)``, ``("gpa", id, gpn, pages)``, ``("page", spn, pages)``. Edges have a `kind`:
    ``uses``, ``maps`` (with `rights`), ``owns``, ``shares`` (with `rights`), ``confines`` (a table page and whom).
    Runs of pages are cut so that each node has one owner, one share record and one way in or out.
    """
    made = nx.DiGraph()
    leaves, cuts = _pieces(layout)
    made.add_node(("partition", HYPERVISOR), label=layout.name(HYPERVISOR))
    for partition, _ in layout.names:
        made.add_node(("partition", partition), label=layout.name(partition))
        made.add_edge(("partition", partition), ("second level", partition), kind="uses", rights=EVERY)
    for leaf in leaves:
        spot: Node = ("gpa", leaf.partition, leaf.gpn, leaf.pages)
        made.add_edge(("second level", leaf.partition), spot, kind="maps", rights=leaf.rights)
        made.add_edge(spot, ("page", leaf.spn, leaf.pages), kind="maps", rights=EVERY)
    for guest, leaf in _guest_pieces(layout.guest_leaves, leaves):
        tables: Node = ("tables", guest.partition, guest.tables)
        spot = ("gva", guest.partition, guest.tables, guest.gvn, guest.pages)
        made.add_edge(("partition", guest.partition), tables, kind="uses", rights=EVERY)
        made.add_edge(tables, spot, kind="maps", rights=guest.rights)
        made.add_edge(spot, ("gpa", leaf.partition, leaf.gpn, leaf.pages), kind="maps", rights=leaf.rights)
    for owned in layout.owned:
        for step, pages in cut(owned.spn, owned.pages, cuts):
            made.add_edge(("partition", owned.owner), ("page", owned.spn + step, pages), kind="owns")
    for share in layout.shares:
        for step, pages in cut(share.spn, share.pages, cuts):
            page: Node = ("page", share.spn + step, pages)
            made.add_edge(("partition", share.sharer), page, kind="shares", rights=share.rights, owner=share.owner)
    for tables_run in layout.tables:
        for step, pages in cut(tables_run.spn, tables_run.pages, cuts):
            page = ("page", tables_run.spn + step, pages)
            made.add_edge(page, ("partition", tables_run.partition), kind="confines")
    return made


def cut(start: int, pages: int, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a run at the given page numbers: (offset, length) of each piece."""
    inside = [start, *cuts[bisect_right(cuts, start) : bisect_left(cuts, start + pages)], start + pages]
    for begin, end in zip(inside, inside[1:], strict=False):
        yield begin - start, end - begin


def _pieces(layout: Layout) -> tuple[list[Leaf], list[int]]:
    """The leaves, cut wherever owner, share, tables or another mapping begins or ends; and these places."""
    leaves: list[Leaf] = []
    for leaf in layout.leaves:
        edges = sorted(
            {
                edge
                for guest in layout.guest_leaves
                if guest.partition == leaf.partition
                for edge in (guest.gpn, guest.gpn + guest.pages)
            }
        )
        leaves += [_part(leaf, step, pages) for step, pages in cut(leaf.gpn, leaf.pages, edges)]
    every: list[Any] = [*leaves, *layout.owned, *layout.shares, *layout.tables]
    cuts = sorted({edge for run in every for edge in (run.spn, run.spn + run.pages)})
    return [_part(leaf, step, pages) for leaf in leaves for step, pages in cut(leaf.spn, leaf.pages, cuts)], cuts


def _part(leaf: Leaf, step: int, pages: int) -> Leaf:
    return replace(leaf, gpn=leaf.gpn + step, spn=leaf.spn + step, pages=pages)


def _guest_pieces(guests: Sequence[GuestLeaf], leaves: Sequence[Leaf]) -> Iterator[tuple[GuestLeaf, Leaf]]:
    """The guest's leaves, cut like the GPA runs that they lead to; what leads to no memory is left out."""
    by_gpn: dict[int, list[Leaf]] = {}
    for leaf in sorted(leaves, key=lambda leaf: leaf.gpn):
        by_gpn.setdefault(leaf.partition, []).append(leaf)
    for guest in guests:
        known = by_gpn.get(guest.partition, [])
        for at in range(bisect_left(known, guest.gpn, key=lambda leaf: leaf.gpn), len(known)):
            step = known[at].gpn - guest.gpn
            if step >= guest.pages:
                break
            yield replace(guest, gvn=guest.gvn + step, gpn=known[at].gpn, pages=known[at].pages), known[at]


# --- questions -------------------------------------------------------------------------------------------------------


def _ways(layout: Layout) -> nx.DiGraph:
    """The part of the graph that carries accesses."""
    whole = graph(layout)
    return nx.subgraph_view(whole, filter_edge=lambda a, b: whole.edges[a, b]["kind"] in CARRIES)


def ways(layout: Layout, partition: int) -> list[Path]:
    """Every path from a partition to a run of pages, in the order of the pages; rights are those of the whole path."""
    part = _ways(layout)
    start = ("partition", partition)
    if start not in part:
        return []
    targets = {node for node in nx.descendants(part, start) if node[0] == "page"}
    found = []
    for nodes in nx.all_simple_paths(part, start, targets) if targets else ():
        rights = EVERY
        for edge in zip(nodes, nodes[1:], strict=False):
            rights &= part.edges[edge]["rights"]
        if rights:
            found.append(_path(layout, nodes, rights))
    return sorted(found, key=lambda path: (path.spn, path.gvn is not None, path.gpn, path.tables, path.gvn or 0))


def _path(layout: Layout, nodes: Sequence[Node], rights: int) -> Path:
    gva = next((node for node in nodes if node[0] == "gva"), None)
    gpa = next(node for node in nodes if node[0] == "gpa")
    _, spn, pages = nodes[-1]
    name = layout.name(gpa[1])
    return Path(gpa[1], name, gva[2] if gva else "", gva[3] if gva else None, gpa[2], spn, pages, rights)


def reachable(layout: Layout, partition: int) -> dict[int, Path]:
    """Every page (SPN) that a partition can reach, and the path: by its GPA, whatever its own tables say today."""
    direct = [path for path in ways(layout, partition) if path.gvn is None]
    return {spn: path.at(spn) for path in reversed(direct) for spn in range(path.spn, path.spn + path.pages)}


def paths(layout: Layout, partition: int, spn: int) -> list[Path]:
    """Every path from a partition to one page: by each GPA, and by each GVA of its own tables."""
    return [path.at(spn) for path in ways(layout, partition) if path.spn <= spn < path.spn + path.pages]


def who_reaches(layout: Layout, spn: int) -> dict[int, int]:
    """The partitions that reach one page, each with the rights that its paths give in sum."""
    found: dict[int, int] = {}
    for partition, _ in layout.names:
        for path in paths(layout, partition, spn):
            found[partition] = found.get(partition, 0) | path.rights
    return found


def owner_of(layout: Layout, spn: int) -> int | None:
    """The owner of a page; None where there is no memory."""
    return next((run.owner for run in layout.owned if run.spn <= spn < run.spn + run.pages), None)


def share_of(layout: Layout, spn: int, sharer: int) -> Share | None:
    """The share record that lets a partition map a page that is not its own."""
    return next((one for one in layout.shares if one.sharer == sharer and one.spn <= spn < one.spn + one.pages), None)


def isolation(layout: Layout) -> list[str]:
    """Every path that should not be there; empty if the partitions are apart.

    A partition may reach its own pages, and pages that a share record opens to it, with no more rights than the
    record has. No partition may reach a page that holds second-level tables (invariants I2, I3 and I7).
    """
    found = []
    for partition, _ in layout.names:
        for path in ways(layout, partition):
            if path.gvn is None and (wrong := verdict(layout, path)):
                found.append(f"{wrong}: {path}")
    return found


def verdict(layout: Layout, path: Path) -> str:
    """What is wrong with one path, in words; "" if nothing is."""
    confined = [run.partition for run in layout.tables if run.spn <= path.spn < run.spn + run.pages]
    if confined:
        return f"{path.name} reaches a second-level table of {layout.name(confined[0])}"
    owner = owner_of(layout, path.spn)
    if owner == path.partition:
        return ""
    if owner is None:
        return f"{path.name} maps an SPA without memory"
    share = share_of(layout, path.spn, path.partition)
    if share is None or share.owner != owner:
        return f"{path.name} reaches a page of {layout.name(owner)} that no share record opens to it"
    if path.rights & ~share.rights:
        return f"{path.name} has more rights ({spell(path.rights)}) than its share ({spell(share.rights)})"
    return ""


def table(layout: Layout) -> list[tuple[str, ...]]:
    """The paths by GPA as rows of text, the first row the head: the twin of every picture of a layout."""
    rows: list[tuple[str, ...]] = [("partition", "GPA", "SPA", "pages", "rights", "owner", "share", "verdict")]
    for partition, _ in layout.names:
        for path in ways(layout, partition):
            if path.gvn is not None:
                continue
            owner, share = owner_of(layout, path.spn), share_of(layout, path.spn, partition)
            rows.append(
                (
                    path.name,
                    say("gpa", path.gpn << 12),
                    say("spa", path.spn << 12),
                    f"{path.pages:,}",
                    spell(path.rights),
                    "nobody" if owner is None else layout.name(owner),
                    spell(share.rights) if share and owner != partition else "",
                    verdict(layout, path) or "allowed",
                )
            )
    return rows
