"""A story as a file: a page that works on its own, one frame as SVG, data as JSON, a Chrome trace, a table as CSV."""

import base64
import csv as csv_module
import hashlib
import io
import json
import zlib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from hvlab.language import _
from hvlab.story.frame import NONE
from hvlab.story.storyboard import HEADS, Storyboard, canonical
from hvlab.view.esm import css, join
from hvlab.view.still import still_html
from hvlab.view.still import svg as still_svg
from hvlab.view.words import spoken

STILL_ROWS = 12
PAGE_CSS = (
    "body{margin:0 auto;max-width:1264px;padding:16px;font:16px/1.5 system-ui,sans-serif;color-scheme:light dark;"
    "background:light-dark(#fff,#212121);color:light-dark(#1f1f1f,#f5f5f5)}img{max-width:100%}"
    ":focus-visible{outline:3px solid light-dark(#0b5cad,#8cc8ff);outline-offset:1px}"
    "figure{margin:0}h1{font-size:26px;margin:8px 0}"
    ".hvlab-still img{background:#fff}[data-hvlab-story]{position:relative;overflow-x:clip}"
    # On paper a player is its title, its sentence, its picture and its tables: no ground, and nothing to press.
    "@media print{body{color-scheme:light;max-width:none;padding:0;font-size:11pt}"
    ".hvlab.hvlab.hvlab{color-scheme:light;break-inside:avoid}.hvlab.hvlab .picture{max-width:100%}"
    ".hvlab :is(.controls,.top button,.tabs,.more,.gate .bar,.bar,.note){display:none}"
    ".hvlab :is(.scroll,.region){max-height:none;overflow:visible}pre{white-space:pre-wrap}}"
)
STARTER = (
    'const packed=Uint8Array.from(atob("PACKED"),(letter)=>letter.charCodeAt(0)),'
    'stream=new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")),'
    'player=document.createElement("script");'
    'player.type="module";player.textContent=await new Response(stream).text();'
    "document.head.append(player);player.remove()"
)


def script() -> str:
    """The player for a page, as the browser runs it."""
    return join("page.mjs")


def data_of(story: Storyboard, answers: Mapping[str, Any] | None = None, teacher: bool = False) -> dict[str, Any]:
    """All that a page needs to step a story, as plain JSON."""
    packed = base64.b64encode(story.to_bytes()).decode()
    return {
        "scene": spoken(story.scene),
        "bytes": packed,
        "step": 0,
        "answers": dict(answers or {}),
        "teacher": teacher,
    }


def stage_of(data: Mapping[str, Any], still: str) -> str:
    """The place of one player in a page: its data, and a still until the script runs."""
    packed = json.dumps(base64.b64encode(zlib.compress(canonical(data).encode(), 9)).decode())
    script_type = '<script type="application/json">'
    return f'<div data-hvlab-story><div class="still">{still}</div>{script_type}{packed}</script></div>'


def stage(story: Storyboard, answers: Mapping[str, Any] | None = None, teacher: bool = False) -> str:
    """The place of one player in a page."""
    return stage_of(data_of(story, answers, teacher), still_html(story, 0, STILL_ROWS, picture=False))


def page(title: str, body: str, lang: str = "en", extra_css: str = "", *, made: str = "", players: bool = True) -> str:
    """A whole page around bodies that hold `stage`s; it loads nothing, and runs two known scripts only.

    The player's code stands in the page packed, in a few lines that unpack it: a third of the bytes. The policy names
    the hash of both, so the browser refuses any other code. A page without players runs none.

    Parameters
    ----------
    title, body, lang, extra_css
        What stands in the page, its language, and style rules beside the usual ones.
    made
        What made it, as a mark in its head.
    players
        Whether a body holds a `stage`.
    """
    starter = _starter() if players else ""
    known = " ".join(f"'sha256-{_hash(one)}'" for one in (starter, script())) if players else "'none'"
    policy = (
        f"default-src 'none'; script-src {known}; style-src 'unsafe-inline'; img-src data: blob:; "
        "form-action 'none'; base-uri 'none'"
    )
    mark = f'<meta name="generator" content="{escape(made)}">' if made else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(lang)}"><head><meta charset="utf-8">{mark}<title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<style>{PAGE_CSS}{extra_css}{css() if players else ''}</style></head><body>{body}"
        + (f'<script type="module">{starter}</script>' if players else "")
        + "</body></html>\n"
    )


def _starter() -> str:
    return STARTER.replace("PACKED", base64.b64encode(zlib.compress(script().encode(), 9)).decode())


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _write(text: str, out: str | Path | None) -> str:
    if out is not None:
        Path(out).write_text(text, encoding="utf-8", newline="\n")
    return text


def html(story: Storyboard, out: str | Path | None = None, teacher: bool = False) -> str:
    """The story as one page that needs no server, no kernel and no network; written to `out` if given."""
    about = f"<p>{escape(story.scene['about'])}</p>" if story.scene["about"] else ""
    body = f"<main><h1>{escape(story.title)}</h1>{about}{stage(story, teacher=teacher)}</main>"
    return _write(page(story.title, body, story.scene["lang"]), out)


def svg(story: Storyboard, k: int = 0, out: str | Path | None = None, picture: int | str = 0) -> str:
    """One frame of a picture."""
    return _write(still_svg(story, k, picture), out)


def as_json(story: Storyboard, out: str | Path | None = None) -> str:
    """The story as JSON: its scene, and its columns in base64."""
    data = {"scene": story.scene, "bytes": base64.b64encode(story.to_bytes()).decode(), "digest": story.digest()}
    return _write(json.dumps(data, indent=1, ensure_ascii=False) + "\n", out)


def chrome_trace(story: Storyboard, out: str | Path | None = None) -> str:
    """The story for Perfetto and chrome://tracing: one thread a place, causes as arrows."""
    places, events = story.scene["places"], []
    for at, place in enumerate(places):
        events.append({"ph": "M", "name": "thread_name", "pid": 0, "tid": at, "args": {"name": place["label"]}})
    columns, rows = story.columns, story.rows()
    for k in range(len(story)):
        place, start = int(columns["src"][k]), float(columns["time"][k]) / 1000
        tid = len(places) if place == NONE else place
        cause = int(columns["cause"][k])
        name = story.scene["kinds"][int(columns["kind"][k])]["name"]
        events.append(
            {
                "ph": "X",
                "name": name,
                "pid": 0,
                "tid": tid,
                "ts": start,
                "dur": 0.001,
                "args": {"says": rows[k]["what"]},
            }
        )
        if cause >= 0:
            other = int(columns["src"][cause])
            source = {"ts": float(columns["time"][cause]) / 1000, "tid": len(places) if other == NONE else other}
            events.append({"ph": "s", "id": k, "name": "cause", "cat": "cause", "pid": 0, **source})
            events.append(
                {"ph": "f", "bp": "e", "id": k, "name": "cause", "cat": "cause", "pid": 0, "tid": tid, "ts": start}
            )
    return _write(json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}, separators=(",", ":")) + "\n", out)


def csv(story: Storyboard, out: str | Path | None = None) -> str:
    """The table twin as CSV; a text that a spreadsheet would read as a formula is quoted with an apostrophe."""
    buffer = io.StringIO()
    writer = csv_module.writer(buffer, lineterminator="\r\n")
    writer.writerow(_(head) for head in HEADS.values())
    for row in story.rows():
        writer.writerow(["'" + text if text[:1] in ("=", "+", "-", "@", "\t") else text for text in row.values()])
    return _write(buffer.getvalue(), out)
