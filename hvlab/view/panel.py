"""A panel: native controls of the notebook above a text that says all they show.

The controls are plain ipywidgets, so each has a label and a place in the order of Tab. Whatever they change is told in
words and tables below them, and these words are what a reader without a kernel sees.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Final

import ipywidgets as widgets

from hvlab.errors import plain

STYLE: Final = (
    ".hvlab-panel table{border-collapse:collapse;margin:4px 0}"
    ".hvlab-panel caption{text-align:left;font-weight:bold;padding:4px 0}"
    ".hvlab-panel :is(th,td){text-align:left;padding:2px 10px 2px 0;vertical-align:top;font-weight:normal;"
    "line-height:1.4;border-bottom:1px solid var(--jp-border-color2,#c4c4c4)}"
    ".hvlab-panel thead th{font-weight:bold}"
    ".hvlab-panel :is(td.code,th.code){font-family:var(--jp-code-font-family,monospace);white-space:nowrap}"
    ".hvlab-panel tr.off>*{color:var(--jp-ui-font-color2,#595959);font-style:italic}"
    ".hvlab-panel tr.odd>*{font-weight:bold;border-bottom:2px solid currentcolor}"
    ".hvlab-panel tr.off>:last-child,.hvlab-panel tr.on>:last-child{font-weight:bold}"
    ".hvlab-panel .scroll{max-height:420px;overflow:auto}"
    ".hvlab-panel .scroll:focus-visible{outline:3px solid var(--jp-brand-color1,#005a9c)}"
    ".hvlab-panel p{margin:4px 0;line-height:1.4}"
    ".hvlab-panel .widget-label{min-width:0}"
    ".hvlab-panel .widget-checkbox{height:26px;margin:0}"
    ".hvlab-panel .gap{gap:2px 16px}"
    ".hvlab-panel :is(input,select):focus-visible{outline:3px solid var(--jp-brand-color1,#005a9c)!important;"
    "outline-offset:1px}"
)
WIDE: Final = {"description_width": "initial"}


Rows = Sequence[tuple[str, Sequence[str]]]


class Panel(widgets.VBox):
    """Controls and their text.

    Parameters
    ----------
    title
        What the panel is for.
    controls
        Widgets, in the order of Tab.
    twin
        Returns all that the panel shows, as HTML.
    before
        How many of the controls stand above the line that says what a change came to; by default all.
    """

    def __init__(self, title: str, controls: Sequence[Any], twin: Callable[[], str], before: int | None = None) -> None:
        self.title, self.twin, self.told = title, twin, ""
        self.news, self.said = widgets.HTML(), widgets.HTML()
        head = widgets.HTML(f"<style>{STYLE}</style><p><strong>{escape(title)}</strong></p>")
        super().__init__([head, *controls[:before], self.news, *controls[len(controls[:before]) :], self.said])
        self.add_class("hvlab-panel")
        self.refresh()

    def refresh(self, news: str = "") -> None:
        """Say again what the controls come to; `news` is what a screen reader hears of it."""
        self.told = news
        self.news.value = f'<p role="status">{escape(plain(news, 400))}</p>'
        self.said.value = self.twin()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data = dict(super()._repr_mimebundle_(**kwargs) or {})
        still = f'<figure class="hvlab-facts"><figcaption>{escape(self.title)}</figcaption>{self.twin()}</figure>'
        return {**data, "text/plain": repr(self), "text/html": still}


def row(controls: Sequence[Any]) -> Any:
    """Return controls beside each other, as many as there is room for."""
    made = widgets.HBox(list(controls), layout={"flex_flow": "row wrap"})
    made.add_class("gap")
    return made


def rows_table(caption: str, head: Sequence[str], rows: Rows, code: int = 1) -> str:
    """Return a table with a caption and scopes; each row has a class, and its first `code` cells are code."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(_row(kind, cells, code) for kind, cells in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(plain(caption))}"><table>'
        f"<caption>{escape(plain(caption))}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(kind: str, cells: Sequence[str], code: int) -> str:
    look = [' class="code"' if k < code else "" for k in range(len(cells))]
    first, *others = (escape(plain(cell)) for cell in cells)
    rest = "".join(f"<td{more}>{cell}</td>" for cell, more in zip(others, look[1:], strict=True))
    return f'<tr class="{kind}"><th scope="row"{look[0]}>{first}</th>{rest}</tr>'
