"""A notebook as one page that needs no kernel, no server and no network: text, code, outputs, and players that step."""

import base64
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from hvlab.errors import BadFile
from hvlab.lab.first_use import marked
from hvlab.language import _
from hvlab.view.export import page, stage_of
from hvlab.view.player import PRIVATE_TYPE

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
NAMES = (
    "a abbr b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr "
    "i img kbd li ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul"
)
TAGS = frozenset(NAMES.split())
ATTRIBUTES = {
    "*": ["lang", "class"],
    "a": ["href", "title"],
    "abbr": ["title"],
    "img": ["src", "alt", "width", "height"],
    "th": ["scope", "colspan", "rowspan"],
    "td": ["colspan", "rowspan"],
    "details": ["open"],
}
NOTEBOOK_CSS = (
    "body{max-width:1168px}pre{overflow-x:auto;padding:8px 12px;margin:4px 0;font:14px/1.45 ui-monospace,monospace}"
    ".source{background:light-dark(#f5f5f5,#2b2b2b);border-left:4px solid light-dark(#767676,#a6a6a6)}"
    ".source{font-size:13px}.output pre{white-space:pre-wrap}.output{margin:4px 0 16px}table{border-collapse:collapse}"
    ".text :is(td,th){border:1px solid #767676;padding:2px 8px}"
    ".failed{border-left:4px solid light-dark(#b00020,#ff9a9a)}.text a{color:light-dark(#005a9c,#7cc4ff)}"
    "summary{cursor:pointer;padding:4px 0}.hvlab-facts{margin:0}.hvlab-facts .scroll{overflow-x:auto}"
    ".hvlab-facts caption{text-align:left;font-weight:bold}"
    ".hvlab-facts :is(td,th){text-align:left;vertical-align:top;padding:2px 12px 2px 0;border-bottom:1px solid #767676}"
    ".hvlab-facts tbody th{font-weight:normal}.hvlab-facts :is(td,th).code{font:14px/1.45 ui-monospace,monospace}"
    ".hvlab-facts .off>*{color:light-dark(#595959,#b8b8b8);font-style:italic}"
    ".hvlab-facts .odd>*,.hvlab-facts :is(.on,.off)>:last-child{font-weight:bold}"
)


@dataclass(frozen=True)
class Lesson:
    """A notebook as the parts of a page.

    Parameters
    ----------
    title, lang
        Its first heading (or the file's name), and the language that it is written in.
    about
        What its metadata say under ``hvlab``.
    cells
        The HTML of each cell, in order.
    headings
        The second-level headings: id and text.
    """

    title: str
    lang: str
    about: Mapping[str, Any]
    cells: tuple[str, ...]
    headings: tuple[tuple[str, str], ...]


def notebook_html(path: str | Path, execute: bool = True, timeout: int = 120) -> str:
    """The page of a notebook; the parameters are those of `lesson`."""
    made = lesson(path, execute, timeout)
    return page(made.title, f"<main>{''.join(made.cells)}</main>", made.lang, NOTEBOOK_CSS)


def lesson(path: str | Path, execute: bool = True, timeout: int = 120) -> Lesson:
    """A notebook as the parts of a page.

    Parameters
    ----------
    path
        The notebook.
    execute
        Run it first (in ``HVLAB_MODE=test``, from its own folder), so that its players step. Without it the page holds
        what is stored: text, code, and the still figures of the players.
    timeout
        Seconds that one cell may take.

    Raises
    ------
    BadFile
        If the file is no notebook, or a cell fails.
    """
    path = Path(path)
    notebook = _read(path)
    if execute:
        _run(notebook, path, timeout)
    about = dict(notebook.metadata.get("hvlab", {}))
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell, text in zip(texts, marked([cell.source for cell in texts], about.get("terms", ())), strict=True):
        cell.source = text
    headings: list[tuple[str, str]] = []
    cells = tuple(_with_ids(_cell(cell), headings) for cell in notebook.cells)
    return Lesson(_title(notebook) or path.stem, str(about.get("lang", "en")), about, cells, tuple(headings))


def _with_ids(text: str, headings: list[tuple[str, str]]) -> str:
    """A cell whose second-level headings can be linked to; each is added to `headings`."""

    def named(found: re.Match[str]) -> str:
        plain = re.sub(r"<[^>]*>", "", found[1])
        headings.append((f"part-{len(headings) + 1}", plain))
        return f'<h2 id="{headings[-1][0]}">{found[1]}</h2>'

    return re.sub(r"<h2>(.*?)</h2>", named, text)


def _read(path: Path) -> Any:
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise BadFile(path, "the file", error.strerror or error, "a notebook that can be read") from error
    except Exception as error:
        raise BadFile(path, "the file", f"{type(error).__name__}: {error}", "a notebook (nbformat 4)") from error


def _run(notebook: Any, path: Path, timeout: int) -> None:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    folder = {"metadata": {"path": str(path.resolve().parent)}}
    quiet = ["--log-level=ERROR"]
    client = NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources=folder, extra_arguments=quiet)
    try:
        client.execute(env={**os.environ, "HVLAB_MODE": "test", "HVLAB_EXPORT": "1"})
    except (CellExecutionError, CellTimeoutError) as error:
        last = ANSI.sub("", str(error)).strip().splitlines()[-1]
        raise BadFile(path, "a cell", last, "a notebook that runs from top to bottom") from error


def _title(notebook: Any) -> str:
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return re.sub(r"[*_`]", "", found[1]).strip()
    return ""


def _cell(cell: Any) -> str:
    if cell.cell_type == "markdown":
        return f'<div class="text">{_markdown(cell.source)}</div>'
    if cell.cell_type != "code" or not cell.source.strip():
        return ""
    source = f'<pre class="source"><code>{escape(cell.source)}</code></pre>'
    outputs = "".join(_output(output) for output in _whole(cell.outputs))
    if outputs and cell.metadata.get("jupyter", {}).get("outputs_hidden"):
        asked = "predict(" in cell.source
        label = _("What the machine says (answer first)") if asked else _("What the machine says")
        outputs = f"<details><summary>{label}</summary>{outputs}</details>"
    return f'{source}<div class="output">{outputs}</div>'


def _whole(outputs: Iterable[Any]) -> list[Any]:
    """The outputs; what one program printed is one of them, in however many pieces it came."""
    kept: list[Any] = []
    for output in outputs:
        before = kept[-1] if kept else None
        if before is not None and output.output_type == before.output_type == "stream" and output.name == before.name:
            before.text += output.text
        else:
            kept.append(output)
    return kept


def _markdown(text: str) -> str:
    import mistune

    render = mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])
    return _clean(str(render(text)))


def _clean(text: str) -> str:
    """HTML with known tags only; links go to https or to a place in the page, images stand in the page."""
    import bleach  # type: ignore[import-untyped]

    kept = bleach.clean(text, TAGS, ATTRIBUTES, protocols=["https", "data", "mailto"], strip=True)
    kept = re.sub(r'<a href="data:[^"]*"', "<a", kept)
    return re.sub(r'<img(?![^>]* src="data:image/)[^>]*>', "", kept)


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return f"<pre>{escape(ANSI.sub('', output.text))}</pre>"
    if output.output_type == "error":
        text = ANSI.sub("", f"{output.ename}: {output.evalue}")
        return f'<pre class="failed">{escape(text)}</pre>'
    data = output.data
    if PRIVATE_TYPE in data:
        return stage_of(data[PRIVATE_TYPE], _clean(data.get("text/html", "")))
    if "text/html" in data:
        return _clean(data["text/html"])
    for kind in ("image/svg+xml", "image/png"):
        if kind in data:
            return _image(kind, data[kind], output.get("metadata", {}), data.get("text/plain", ""))
    return f"<pre>{escape(ANSI.sub('', data.get('text/plain', '')))}</pre>"


def _image(kind: str, data: str, metadata: Any, text: str) -> str:
    coded = (
        base64.b64encode(data.encode()).decode() if kind == "image/svg+xml" else re.sub(r"[^A-Za-z0-9+/=]", "", data)
    )
    alt = metadata.get("alt") or metadata.get(kind, {}).get("alt") or text
    return f'<img alt="{escape(str(alt))}" src="data:{kind};base64,{coded}">'
