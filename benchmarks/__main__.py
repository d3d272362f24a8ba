"""``python -m benchmarks --json OUT``: every figure, paired with what it is measured against."""

import argparse
import importlib.metadata
import json
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks import apic, events, forensics, ring, screen, startup, translation, vmbus
from benchmarks.clock import Row
from benchmarks.native import FLAGS, compiler


def rows(quick: bool, only: str) -> Iterator[Row]:
    """Yield the rows whose name holds the pattern, in the order of the table."""

    def wanted(name: str) -> bool:
        return re.search(only, name, re.IGNORECASE) is not None

    count, pairs = (1 << 17, 7) if quick else (1 << 20, 11)
    yield from translation.against_c(count, pairs, wanted)
    yield from translation.against_silence(count // 4, 2 * pairs - 1, wanted)
    yield from apic.against_c(count, 2 * pairs - 1, wanted)
    yield from ring.against_c(count // 4, 2 * pairs - 1, wanted)
    yield from vmbus.everything(quick, wanted)
    yield from events.everything(count, pairs, wanted)
    yield from forensics.against_volatility(4 if quick else 40, 7, wanted)
    yield from startup.everything(quick, wanted)
    yield from screen.everything(quick, wanted)


def heading() -> str:
    """Return what the figures were measured on and with."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(iter(re.findall(r"(?m)^model name\s*: (.*)$", info.read_text())), model)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numba", "numpy"))
    return f"{model}; Python {platform.python_version()}, {versions}; {compiler()[1]} `{' '.join(FLAGS)}`"


def table_row(row: Row) -> str:
    """Return a row of the table in Markdown."""
    meets = {True: "yes", False: "**no**", None: "–"}[row.meets]
    if row.ratio is None:
        return f"| {row.name} | {row.note} | | {row.target} | {meets} |"
    return f"| {row.name} | {row.ratio:.3g} | {row.low:.3g} – {row.high:.3g} | {row.target} | {meets} |"


def main() -> int:
    """Measure, print the table as it grows, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", metavar="OUT", help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="shorter inputs and fewer pairs: to see that it runs")
    parser.add_argument("--only", metavar="PATTERN", default="", help="rows whose name holds this regular expression")
    chosen = parser.parse_args()
    print(f"{heading()}\n\n| what | median | least – greatest | target | met |\n|---|---|---|---|---|", flush=True)
    found = []
    for row in rows(chosen.quick, chosen.only):
        found.append(row)
        print(table_row(row), flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps([row.json() for row in found], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
