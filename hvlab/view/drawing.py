"""Pictures of a page as inline SVG, each with a title, words and a table that says the same.

A drawing has no colour of its own: it uses the classes and tokens of `static/picture.css`, so that it follows the
theme. Every text goes through `html.escape`.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

from hvlab.errors import plain
from hvlab.language import _

WIDTH: Final = 844
HATCHES: Final = {"stripes": "M0 0V8M4 0V8", "bars": "M0 2H8M0 6H8", "cross": "M0 0L8 8M8 0L0 8"}
TURNED: Final = {"stripes": ' patternTransform="rotate(45)"'}
RULES: Final = """
.picture .bar { fill: var(--tint); stroke: var(--tone) } .picture .bar.plain { fill: var(--bg) }
.picture .bar.solid { fill: var(--tone) } .picture .halo { fill: var(--bg); stroke: var(--line) }
.picture .dashes { stroke-dasharray: 6 2 } .picture .dots { stroke-dasharray: 2 1 }
.picture .ink { stroke: var(--soft); stroke-width: 1 } .picture .faint { stroke: var(--line); stroke-dasharray: 1 5 }
"""
Rows = Sequence[Sequence[str]]


class Drawing:
    """One picture of 844 x `height` px.

    Parameters
    ----------
    name : a short word, unique in its page; ids begin with it.
    title, words : what it is, and what is to be seen on it.
    """

    def __init__(self, name: str, title: str, words: str, height: float) -> None:
        self.name, self.title, self.words, self.height = name, title, words, height
        self.parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, classes: str = "box", fill: str = "") -> None:
        """Draw a rectangle; `fill` names a hatch, drawn above the class's own fill."""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
        self.parts.append(f'<rect {place} class="{classes}"/>')
        if fill:
            self.parts.append(f'<rect {place} class="{classes}" style="fill:url(#{self.name}-{fill})"/>')

    def text(self, x: float, y: float, words: str, classes: str = "", most: int = 64) -> None:
        """Write a line of at most `most` letters with its baseline at y."""
        shown = plain(words, 200)
        shown = shown if len(shown) <= most else shown[: most - 1] + "…"
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}">{escape(shown)}</text>')

    def path(self, d: str, classes: str = "wire", width: float = 0) -> None:
        """Draw a path that is not filled."""
        wide = f' style="stroke-width:{width:.2f}"' if width else ""
        self.parts.append(f'<path d="{d}" class="{classes}"{wide}/>')

    def area(self, d: str, classes: str, fill: str = "") -> None:
        """Draw a path that is filled; `fill` names a hatch, drawn above the class's own fill."""
        self.parts.append(f'<path d="{d}" class="{classes}"/>')
        if fill:
            self.parts.append(f'<path d="{d}" class="{classes}" style="fill:url(#{self.name}-{fill})"/>')

    def svg(self) -> str:
        """The picture."""
        patterns = "".join(
            f'<pattern id="{self.name}-{name}" width="8" height="8" patternUnits="userSpaceOnUse"'
            f'{TURNED.get(name, "")}><path d="{d}" class="ink"/></pattern>'
            for name, d in HATCHES.items()
        )
        ids = f"{self.name}-title {self.name}-words"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height:.0f}" role="img" '
            f'aria-labelledby="{ids}" class="picture"><title id="{self.name}-title">{escape(plain(self.title))}</title>'
            f'<desc id="{self.name}-words">{escape(plain(self.words, 2000))}</desc><defs>{patterns}</defs>'
            f"{''.join(self.parts)}</svg>"
        )


def figure(drawing: Drawing, head: Sequence[str], rows: Rows, more: int = 0) -> str:
    """A picture with its caption and, to be unfolded, the table that says the same; `more` rows are left out."""
    rest = f"<p>{_('{count} more rows are left out.').format(count=f'{more:,}')}</p>" if more else ""
    return (
        f'<figure><div class="scroll" role="region" tabindex="0" aria-label="{escape(plain(drawing.title))}">'
        f"{drawing.svg()}</div><figcaption>{escape(plain(drawing.title))}</figcaption>"
        f"<details><summary>{escape(_('The same as a table'))}</summary>{table(drawing.title, head, rows)}{rest}"
        "</details></figure>"
    )


def table(caption: str, head: Sequence[str], rows: Rows) -> str:
    """A table with a caption and scopes; cells that are numbers stand at the right."""
    sides = [_right(cell) for cell in rows[0]] if rows else [""] * len(head)
    top = "".join(
        f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(head, ["", *sides[1:]], strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{escape(plain(row[0]))}</th>'
        + "".join(f"<td{_right(cell)}>{escape(plain(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    label = escape(plain(caption))
    region = escape(_("Table: {caption}").format(caption=plain(caption)))
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{region}"><table><caption>{label}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _right(cell: str) -> str:
    counts = cell[:1].isdigit() and not cell.startswith("0x") and not {"-", "→"} & set(cell)
    return ' class="number"' if counts else ""
