"""One frame of a story without a browser: the same picture as SVG, and a figure that any page shows."""

import base64
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from typing import Any

from hvlab.language import _
from hvlab.story.picture import Element, alt_at, changes_at
from hvlab.story.storyboard import HEADS, Storyboard
from hvlab.story.tell import first_closed
from hvlab.view.esm import source, squeeze

MOST_ROWS = 200
VARIABLE = re.compile(r"var\((--[a-z0-9-]+)(?:,\s*((?:[^()]|\([^()]*\))*))?\)")
TOKEN = re.compile(r"(--[a-z-]+):\s*([^;]+);")
HATCH = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" class="hatch-ground"/><path d="M0 0V6" class="hatch-line"/></pattern></defs>'
)
PAIR = re.compile(r"light-dark\(([^,]+),\s*([^)]+)\)")


@cache
def style(dark: bool = False, more: str = "") -> str:
    """The rules of `picture.css`, and more of their kind, with plain colours: any SVG renderer understands them."""
    text = re.sub(r"/\*.*?\*/", "", source("picture.css"), flags=re.DOTALL) + more
    text = PAIR.sub(lambda pair: pair[2 if dark else 1].strip(), text)
    root, rules = text.split("}", 1)
    tokens = {name: VARIABLE.sub(lambda one: one[2] or "", value) for name, value in TOKEN.findall(root)}
    rules = VARIABLE.sub(lambda one: tokens.get(one[1], one[0]), rules)
    plain = [_toned(rule, tokens) for rule in squeeze(rules).split("}") if rule]
    return "".join(rule for rule in plain if rule).replace("var(--hatch)", "url(#hatch)")


def _toned(rule: str, tokens: Mapping[str, str]) -> str:
    """A rule whose tone and tint depend on the element's class, written out for each tone."""
    selector, body = rule.split("{", 1)
    if "var(--t" not in body:
        body = re.sub(r"--t[a-z]+:[^;]+;?", "", body)
        return f"{selector}{{{body}}}" if body else ""
    written = [_for_tone(selector, body, "", tokens["--line"], tokens["--manage-tint"])]
    for tone in ("call", "signal", "data", "memory", "manage", "fault"):
        written.append(_for_tone(selector, body, tone, tokens[f"--{tone}"], tokens[f"--{tone}-tint"]))
    return "".join(written)


def _for_tone(selector: str, body: str, tone: str, ink: str, tint: str) -> str:
    body = body.replace("var(--tone)", ink).replace("var(--tint)", tint)
    if not tone:
        return f"{selector}{{{body}}}"
    parts = [part.strip() for part in selector.split(",")]
    inside = [part.replace(".picture ", f".picture .{tone} ", 1) for part in parts]
    itself = [part if part.endswith(f".{tone}") else f"{part}.{tone}" for part in parts]
    return f"{','.join(inside + itself)}{{{body}}}"


def style_for(classes: set[str], dark: bool = False, more: str = "") -> str:
    """Only those rules that elements of these classes meet."""
    known, kept = classes | {"picture"}, []
    for rule in style(dark, more).split("}")[:-1]:
        selectors, body = rule.split("{", 1)
        met = [one for one in selectors.split(",") if set(re.findall(r"\.([a-z][a-z0-9-]*)", one)) <= known]
        if met:
            kept.append(f"{','.join(met)}{{{body}}}")
    return "".join(kept)


def svg(story: Storyboard, k: int = 0, picture: int | str = 0, dark: bool = False) -> str:
    """One frame of one picture of a story as an SVG file.

    Parameters
    ----------
    story, k
        The story and the frame.
    picture
        Its number or name.
    dark
        Draw it for a dark ground.
    """
    drawn = chosen(story, picture)
    kinds, facts = story.kinds_of_facts, story.state_at(k)
    ask = _asked(changes_at(drawn, facts, story.changed_at(k), kinds, story.enums))
    width, height = drawn["width"], drawn["height"]
    body = "".join(_element(element, ask) for element in drawn["layer"])
    ground = "#212121" if dark else "#fff"
    used = {name for names in re.findall(r' class="([^"]*)"', body) for name in names.split()}
    hatch = HATCH if "hatched" in used else ""
    used |= {"hatch-ground", "hatch-line"} if hatch else set()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" class="picture"><title>{escape(drawn["title"])}</title>'
        f"<desc>{escape(alt_at(drawn, facts, kinds, story.enums))}</desc><style>{style_for(used, dark)}</style>{hatch}"
        f'<rect width="{width}" height="{height}" style="fill:{ground};stroke:none"/>{body}</svg>\n'
    )


def chosen(story: Storyboard, picture: int | str) -> dict[str, Any]:
    """A picture of a story, by number or name."""
    pictures: list[dict[str, Any]] = story.scene["pictures"]
    for at, one in enumerate(pictures):
        if picture in (at, one["name"]):
            return one
    names = ", ".join(repr(one["name"]) for one in pictures)
    raise ValueError(f"the story {story.title!r} has no picture {picture!r}; it has {names or 'none'}")


def _asked(changes: list[Element]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for id, what, *rest in changes:
        ask = found.setdefault(id, {"classes": {}})
        if what == "class":
            ask["classes"][rest[0]] = rest[1]
        elif what == "show":
            ask["classes"]["off"] = not rest[0]
        else:
            ask[what] = rest[0]
    return found


def _element(element: Element, asked: Mapping[str, Mapping[str, Any]]) -> str:
    tag, id, classes, attributes, content = element
    ask = asked.get(id, {"classes": {}})
    names = [name for name in classes.split() if ask["classes"].get(name, True)]
    names += [name for name, on in ask["classes"].items() if on and name not in names]
    written = dict(attributes)
    for name, value in ask.items():
        if name not in ("classes", "text", "move-x", "move-y"):
            written[name] = max(value, 0) if name in ("width", "height") else value
    if "move-x" in ask or "move-y" in ask:
        written["transform"] = f"translate({ask.get('move-x', 0)} {ask.get('move-y', 0)})"
    opened = "".join(
        f' {name}="{escape(str(value))}"'
        for name, value in {"class": " ".join(names), **written}.items()
        if value != ""
    )
    text = ask.get("text", content)
    inside = "".join(_element(one, asked) for one in text) if isinstance(text, list) else escape(str(text))
    return f"<{tag}{opened}>{inside}</{tag}>"


def still_html(story: Storyboard, k: int = 0, rows: int = MOST_ROWS, picture: bool = True) -> str:
    """A figure with picture, caption and table: what a reader sees where no script runs.

    The table ends at the first prediction, in every mode: a stored copy never shows what lies behind it.
    """
    gate = first_closed(story)
    last = min(gate["frame"] if gate else len(story) - 1, rows - 1)
    image = ""
    if picture and story.scene["pictures"]:
        data = base64.b64encode(svg(story, k).encode()).decode()
        image = f'<img alt="{escape(described(story, k))}" src="data:image/svg+xml;base64,{data}">'
    more = len(story) - 1 - last
    rest = _("The frames after it open with a prediction.") if gate else _("{count} more frames.").format(count=more)
    summary, rest = escape(_("The same steps as a table")), f"<p>{escape(rest)}</p>" if more else ""
    table = f"<details><summary>{summary}</summary>{_table(story, last)}{rest}</details>"
    # How long it is may be what the prediction asks.
    told = _("Frame {k}: {says}") if gate else _("Frame {k} of {last}: {says}")
    told = told.format(k=k, last=len(story) - 1, says=story.describe(k))
    caption = f"<strong>{escape(story.title)}.</strong> {escape(told)}"
    head = f'<figure class="hvlab-still" lang="{escape(story.scene["lang"])}">'
    return f"{head}{image}<figcaption>{caption}</figcaption>{table}</figure>"


def described(story: Storyboard, k: int) -> str:
    """The first picture of a story in words."""
    picture = chosen(story, 0)
    return alt_at(picture, story.state_at(k), story.kinds_of_facts, story.enums) or str(picture["title"])


def _table(story: Storyboard, last: int) -> str:
    rows = story.rows(0, last)
    kept = [name for name in HEADS if any(row[name] for row in rows)]
    head = "".join(f'<th scope="col">{escape(_(HEADS[name]))}</th>' for name in kept)
    body = "".join("<tr>" + "".join(f"<td>{escape(row[name])}</td>" for name in kept) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
