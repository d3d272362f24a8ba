"""Replay vectors, snapshots and captures that carry an oracle through the engine, and count.

The oracle is never ours: it is in the file. `main` prints one line for each file and returns the exit code.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hvlab.capture.kinds import Kind, recognise
from hvlab.capture.kvmlog import KvmLog
from hvlab.capture.load import load
from hvlab.capture.tables import NestedTables, PageTables
from hvlab.capture.vectors import Vectors
from hvlab.errors import BadFile, BadRequest, HvlabError
from hvlab.verify.count import Count
from hvlab.verify.ring import golden_ring
from hvlab.verify.synic import kvm_trace
from hvlab.verify.tables import nested_tables, page_tables
from hvlab.verify.vectors import VECTORS
from hvlab.verify.vmbus import recording
from hvlab.verify.vmbus_recorded import is_recording

__all__ = ["Count", "main", "replay", "verify"]

ENDINGS = (".gz", ".json", ".npz", ".txt", ".md")


@dataclass(frozen=True)
class Told:
    """What became of one file: counted, or not compared and why."""

    name: str
    count: Count | None = None
    why: str = ""
    wrong: bool = False

    def lines(self) -> list[str]:
        if self.count is None:
            return [f"{self.name}: {self.why}"]
        c = self.count
        lines = [f"{self.name}: {c.cases} cases, {c.agree} agree, {c.differ} differ"]
        if c.note:
            lines.append(f"  {c.note}")
        if c.first:
            lines.append(f"  first disagreement: {c.first}")
        return lines


def replay(path: str | Path) -> Count:
    """Replay one file that has an oracle.

    Raises
    ------
    BadFile
        If the file is not what its form promises.
    BadRequest
        If it has nothing to compare yet.
    """
    capture = load(path)
    if isinstance(capture, PageTables):
        return page_tables(capture)
    if isinstance(capture, NestedTables):
        return nested_tables(capture)
    if isinstance(capture, Vectors) and capture.name == "golden-ring":
        return golden_ring(capture)
    if isinstance(capture, Vectors) and capture.name in VECTORS:
        return VECTORS[capture.name](capture.cases)
    if isinstance(capture, KvmLog):
        return kvm_trace(capture)
    raise BadRequest(f"{path}", "a file without an oracle", "hvlab open")


def verify(paths: Iterable[str | Path]) -> Iterator[Told]:
    """Replay files, and all files below folders; say of each what came of it."""
    for given in map(Path, paths):
        inside = given.is_dir()
        for folder in sorted(p for p in [given, *given.rglob("*")] if p.is_dir()) if inside else []:
            if is_recording(folder):
                yield _whole(folder)
        for path in sorted(p for p in given.rglob("*") if p.is_file()) if inside else [given]:
            yield _one(path, inside)


def _whole(folder: Path) -> Told:
    """Replay a recording that is a folder of files."""
    name = f"{folder.parent.name}/{folder.name}"
    try:
        return Told(name, recording(folder))
    except BadRequest as error:
        return Told(name, why=f"not compared: {error}")
    except (BadFile, OSError) as error:
        return Told(name, why=str(error), wrong=True)


def _one(path: Path, inside: bool) -> Told:
    name = _name(path)
    try:
        kind = recognise(path)
    except HvlabError as error:
        return Told(name, why="not a file of a known form" if inside else str(error), wrong=not inside)
    if not kind.ready or not kind.oracle:
        return Told(name, why=_reason(kind))
    try:
        return Told(name, replay(path))
    except BadRequest as error:
        return Told(name, why=f"not compared: {error}")
    except (BadFile, OSError) as error:
        return Told(name, why=str(error), wrong=True)


def _name(path: Path) -> str:
    while path.suffix in ENDINGS:
        path = path.with_suffix("")
    return path.name


def _reason(kind: Kind) -> str:
    return f"{kind.says()}; not compared" if kind.waits_for else f"{kind.phrase}, with nothing to compare"


def main(paths: Iterable[str | Path]) -> int:
    """Print one line for each file; return 1 if any differ, any is broken, or nothing could be compared."""
    compared, wrong = 0, False
    for told in verify(paths):
        print("\n".join(told.lines()), file=sys.stderr if told.wrong else sys.stdout, flush=True)
        compared += told.count.cases if told.count else 0
        wrong |= told.wrong or bool(told.count and told.count.differ)
    if not compared:
        print("nothing was compared: no file there has an oracle that the engine can answer yet", file=sys.stderr)
    return int(wrong or not compared)
