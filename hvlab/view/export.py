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

from hvlab.errors import BadRequest
from hvlab.language import _
from hvlab.story.gate import mode
from hvlab.story.host import COLUMNS
from hvlab.story.storyboard import HEADS, Storyboard, canonical
from hvlab.story.walk import story_of, trace_of
from hvlab.view.esm import LARGE, css, join
from hvlab.view.perfetto import Slice, chrome_json, exact, owners_of, perfetto
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


def stage_of(data: Mapping[str, Any], still: str, classes: str = "") -> str:
    """The place of one player in a page: its data, and a still until the script runs."""
    packed = json.dumps(base64.b64encode(zlib.compress(canonical(data).encode(), 9)).decode())
    script_type, look = '<script type="application/json">', f' class="{classes}"' if classes else ""
    return f'<div data-hvlab-story{look}><div class="still">{still}</div>{script_type}{packed}</script></div>'


def stage(story: Storyboard, answers: Mapping[str, Any] | None = None, teacher: bool = False) -> str:
    """The place of one player in a page; a large one where ``HVLAB_MODE`` is `teach`."""
    still = still_html(story, 0, STILL_ROWS, picture=False)
    return stage_of(data_of(story, answers, teacher), still, LARGE if mode() == "teach" else "")


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


def chrome_trace(story: Storyboard, out: str | Path | None = None, ordered: bool = False) -> str:
    """The story for Perfetto and chrome://tracing: a partition is a process, a place a thread, causes are arrows."""
    places, columns, rows = story.scene["places"], story.columns, story.rows()
    owner = [_owner(place["name"]) for place in places] + [(0, "")]
    used = sorted({min(int(at), len(places)) for at in columns["src"]})
    threads = {(owner[at][0], at): places[at]["label"] if at < len(places) else _("nowhere") for at in used}
    slices = []
    for k in range(len(story)):
        at = min(int(columns["src"][k]), len(places))
        kind = story.scene["kinds"][int(columns["kind"][k])]
        words = {name: exact(value) for name, value in story.words_at(k).items()}
        args = {"frame": k, "says": rows[k]["what"], **words}
        cause = int(columns["cause"][k])
        slices.append(Slice(owner[at][0], at, int(columns["time"][k]), kind["name"], kind["tone"], args, cause))
    processes = {owner[at][0]: owner[at][1] or story.title for at in used}
    about = {"what": story.title, "frames": len(story), "digest": story.digest(), "ordered": ordered}
    return _write(chrome_json(slices, processes, threads, about, ordered), out)


def _owner(place: str) -> tuple[int, str]:
    """The process of a place: the columns of the map of a host are partitions, what lies below them is the machine."""
    column = place.partition(".")[0]
    if column in COLUMNS:
        return 1 + list(COLUMNS).index(column), _(COLUMNS[column][0])
    return 0, ""


def csv(story: Storyboard, out: str | Path | None = None) -> str:
    """The table twin as CSV; a text that a spreadsheet would read as a formula is quoted with an apostrophe."""
    buffer = io.StringIO()
    writer = csv_module.writer(buffer, lineterminator="\r\n")
    writer.writerow(_(head) for head in HEADS.values())
    for row in story.rows():
        writer.writerow(["'" + text if text[:1] in ("=", "+", "-", "@", "\t") else text for text in row.values()])
    return _write(buffer.getvalue(), out)


FORMS = (".html", ".svg", ".trace.json", ".json", ".csv")


def export(what: Any, path: str | Path, ordered: bool = False) -> Path:
    """Write a run or a story to a file whose name says in which form.

    Parameters
    ----------
    what
        A story, a trace, or what carries one: a machine (its last action), a step, a run of a scenario.
    path
        ``.html`` a page that works on its own, ``.svg`` its first frame, ``.csv`` its table; ``.json`` the data, with
        the version of their schema; ``.trace.json`` a Chrome trace for Perfetto. The story of a trace is the one that
        `show` would show.
    ordered
        Of a Chrome trace: one row after the other, where many share a moment.

    Raises
    ------
    BadRequest
        For another ending, or for what is no run.
    """
    path = Path(path)
    form = next((one for one in FORMS if path.name.endswith(one)), "")
    if not form:
        raise BadRequest(f"the form of {path.name}", attempt=", ".join(FORMS))
    if form in (".json", ".trace.json") and not isinstance(getattr(what, "story", what), Storyboard):
        trace = trace_of(what)
        owners = owners_of(what) if hasattr(what, "children") else None
        _write(trace.to_json() + "\n" if form == ".json" else perfetto(trace, owners, ordered), path)
        return path
    story = story_of(what)
    if form == ".trace.json":
        chrome_trace(story, path, ordered)
    else:
        {".html": html, ".svg": _first, ".json": as_json, ".csv": csv}[form](story, path)
    return path


def _first(story: Storyboard, out: Path) -> str:
    return svg(story, 0, out)
