"""`hvlab open PATH --html OUT`: what a file is and holds, as one page with pictures that loads nothing.

The words are those of `hvlab open`; each picture has a title, words and a table. No script: the page works from a
file, printed, and where scripts are forbidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from hvlab.capture import AddressTrace, NestedTables, Summary, TablesSummary, TraceSummary, VectorsSummary, summary
from hvlab.capture.buslog import BusLog
from hvlab.capture.describe import IN_FULL, tell
from hvlab.capture.devices import DeviceList
from hvlab.capture.guestlog import GuestLog
from hvlab.capture.kinds import recognise
from hvlab.capture.kvmlog import KvmLog
from hvlab.capture.load import Capture, load
from hvlab.capture.source import Source, is_text
from hvlab.errors import BadRequest, plain
from hvlab.lab.study import behaviour
from hvlab.language import _, lang
from hvlab.view import bus, maps, traces
from hvlab.view.drawing import RULES, Drawing, figure, table
from hvlab.view.esm import source, squeeze
from hvlab.view.kvmlanes import kvm_lanes

CSS = """
body { margin: 0 auto; max-width: 1112px; padding: 16px; font: 16px/1.5 var(--font); background: var(--bg);
  color: var(--ink); color-scheme: light dark; overflow-wrap: anywhere }
h1 { font-size: 26px; line-height: 1.25; margin: 8px 0 16px }
h2 { font-size: 20px; line-height: 1.3; margin: 28px 0 8px }
p, li { max-width: 80ch } p { margin: 8px 0 } ul { padding-left: 20px; margin: 8px 0 } li { margin: 4px 0 }
figure { margin: 16px 0 24px } figcaption { font-weight: 600; margin-top: 4px }
.scroll { overflow-x: auto; max-width: 100% }
svg.picture { display: block; width: 844px; height: auto }
@media (max-width: 876px) {
  body { padding: 16px 8px } .scroll { max-width: none; margin: 0 -8px } td, th { padding-left: 8px }
}
summary { cursor: pointer; min-height: 24px; padding: 4px 0; color: var(--call) }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 1px }
table { border-collapse: collapse; font-size: 14px; margin: 4px 0 }
caption { text-align: left; font-weight: 600; padding: 4px 0 }
th, td { text-align: left; vertical-align: top; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line);
  font-weight: 400; font-variant-numeric: tabular-nums }
thead th { color: var(--soft); font-size: 13px } .number { text-align: right }
@media (forced-colors: active) { .picture :is(rect, path) { stroke: CanvasText } .picture text { fill: CanvasText }
  .picture .bar { fill: Canvas } .picture .bar.solid { fill: CanvasText } .picture .halo { fill: Canvas } }
@media print { details > * { display: revert } }
"""
MOST_ANSWERS = 40
POLICY = "default-src 'none';style-src 'unsafe-inline';img-src data:"


def html(path: Source) -> str:
    """The page of a file. A bad or unknown one is a `BadFile`, one that is still to come a page of one sentence."""
    kind = recognise(path)
    shown = _("The pasted text") if is_text(path) else plain(Path(path).name, 64)
    if not kind.ready:
        return page(shown, [section(_("What it is"), _words([kind.sentence(shown)]))])
    capture = load(path)
    if isinstance(capture, KvmLog):
        said = tell(capture, kind.sentence(shown)).split("\n\n")[0].splitlines()
        parts = [section(_("What it is"), _words(said))]
        parts += [section(_("Lanes"), "".join(drawn))] if (drawn := list(kvm_lanes(capture))) else []
        return page(shown, [*parts, section(_("How often"), _happened(capture))])
    if isinstance(capture, DeviceList | BusLog | GuestLog):
        opening = section(_("What it is"), _words([kind.sentence(shown)]))
        return page(
            shown, [opening, *(section(title, _words(said) + drawn) for title, said, drawn in bus.parts(capture))]
        )
    numbers = summary(capture)
    first, *others = tell(capture, kind.sentence(shown)).split("\n\n")
    sections = [section(_("What it is"), _words(first.splitlines()) + "".join(_pictures(capture, numbers)))]
    for k, block in enumerate(others):
        title, *lines = block.splitlines()
        picture = maps.space_map(numbers.spaces[k], k) if isinstance(numbers, TablesSummary) and k < IN_FULL else ""
        sections.append(section(title.removesuffix(":"), picture + _words(lines)))
    if isinstance(capture, AddressTrace):
        sections.append(section(_("TLB and walks"), _behaviour(capture)))
    return page(shown, sections)


def page(title: str, sections: Iterable[str]) -> str:
    """A whole page; it loads nothing and runs nothing."""
    title = plain(title, 64)
    return (
        f'<!DOCTYPE html>\n<html lang="{lang()}"><head><meta charset="utf-8"><title>{escape(title)}: hvlab</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<style>{squeeze(source("picture.css") + RULES + CSS)}</style></head><body class="hvlab"><main>'
        f"<h1>{escape(title)}</h1>{''.join(sections)}</main></body></html>\n"
    )


def section(title: str, body: str) -> str:
    """A part of the page under a heading."""
    return f"<section><h2>{escape(plain(title))}</h2>{body}</section>"


def _happened(log: KvmLog) -> str:
    """What happened how often, as a table."""
    rows = "".join(
        f'<tr><td>{escape(what)}</td><td>{escape(detail)}</td><td class="number">{times:,}</td></tr>'
        for what, detail, times in log.rows()
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in (_("what"), _("in detail"), _("times")))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _words(lines: Iterable[str]) -> str:
    """Lines as paragraphs; indented ones as a list, with what is indented further below its line."""
    parts: list[str] = []
    items: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("    ") and items:
            items[-1] += f"<br>{escape(line.strip())}"
        elif line.startswith("  "):
            items.append(escape(line.strip()))
        else:
            parts += [f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"] if items else []
            parts += [f"<p>{escape(line)}</p>"] if line else []
            items = []
    return "".join(parts)


def _pictures(capture: Capture, numbers: Summary) -> Iterator[str]:
    if isinstance(capture, NestedTables):
        yield maps.guest_map(capture)
    elif isinstance(capture, AddressTrace) and isinstance(numbers, TraceSummary):
        yield traces.mix_bars(numbers)
        yield traces.pages_over_time(capture)
        yield traces.working_set(numbers)
    elif isinstance(numbers, VectorsSummary):
        yield _answers(numbers)


def _behaviour(trace: AddressTrace) -> str:
    """What the engine makes of a trace: words, the curve of TLB sizes, the table of page sizes."""
    try:
        found = behaviour(trace)
    except BadRequest as refused:
        return _words([_("Not studied: {problem}.").format(problem=refused)])
    head, *rows = found.pages.cells()
    title = _("{title}, with a TLB of {entries} entries")
    return (
        _words([found.words])
        + traces.hit_curve(found.tlb)
        + table(title.format(title=found.pages.title, entries=found.pages.rows[0].geometry), head, rows)
        + _words(found.pages.notes)
    )


def _answers(numbers: VectorsSummary) -> str:
    """How often each kind of answer is expected."""
    listed = sorted(numbers.answers.items(), key=lambda one: -one[1])[:MOST_ANSWERS]
    most = max((number for _answer, number in listed), default=1)
    drawing = Drawing("answers", _("Expected answers"), "", 16 + 34 * len(listed))
    for k, (answer, number) in enumerate(listed):
        drawing.text(240, 28 + 34 * k, answer, "end", 32)
        drawing.rect(250, 10 + 34 * k, 470 * number / most, 24, "bar call", "stripes")
        drawing.text(258 + 470 * number / most, 28 + 34 * k, f"{number:,}")
    drawing.words = _("Bars: {bars}.").format(
        bars=", ".join(f"{plain(name, 40)} {number:,}" for name, number in listed)
    )
    rows = [[plain(answer, 40), f"{number:,}"] for answer, number in listed]
    return figure(drawing, [_("answer"), _("cases")], rows, len(numbers.answers) - len(listed))
