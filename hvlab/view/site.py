"""The whole lab as a folder of pages: no kernel, no server, no network; each page leads to all others."""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

from hvlab.errors import BadRequest
from hvlab.lab import items, left_out
from hvlab.lab.glossary import Card, cards
from hvlab.language import N_, _, language
from hvlab.view import reference
from hvlab.view.esm import source, squeeze
from hvlab.view.export import page
from hvlab.view.page import NOTEBOOK_CSS, Lesson, lesson

MADE = "hvlab html --all"  # a page that carries this in its head is ours, and may be replaced
SCRATCH = ".hvlab-new"
HEAD = 400  # characters of a page in which that mark stands
PAGES = (
    ("index.html", N_("Lessons")),
    ("glossary.html", N_("Glossary")),
    ("errata.html", N_("Errata")),
    ("machine.html", N_("The machine")),
)
HOW = (
    N_("A lesson is one page: text, code, what the code prints, and players. Step through a player with Next and Back, "
       "or with the keys → and ← once it has the focus."),
    N_("Before an important step a player asks for your prediction. It goes on when you have answered, rightly or not. "
       "What the machine says is folded below it: open it afterwards."),
    N_("These pages need no server and no network; nothing is sent or kept. Their exercises show the numbers of a "
       "demonstration. To get your own, and to have answers checked, run the lab itself: `python lab.py lab`."),
    N_("A word with dots below it shows its meaning under the mouse. Each lesson also lists its words, with links."),
)  # fmt: skip


def pages(notebooks: Sequence[Path], execute: bool = True) -> dict[str, str]:
    """Make every page of the site, by file name; the same lessons give the same bytes.

    Parameters
    ----------
    notebooks
        The lessons, in order.
    execute
        Run them first, so that their players step.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each lesson runs in a kernel of its own
        made = list(pool.map(lambda path: lesson(path, execute), notebooks))
    names = [f"{path.stem}.html" for path in notebooks]
    known = {_number(one): (name, one.title) for one, name in zip(made, names, strict=True)}
    found = {"index.html": _page("index.html", _("hvlab: a lab about Hyper-V"), _index(made, names, known))}
    for at, name in enumerate(names):
        found[name] = lesson_page(made, names, at)
    for name, body in (
        ("glossary.html", reference.glossary_page(known)),
        ("errata.html", reference.errata_page(known)),
        ("machine.html", reference.machine_page(known)),
    ):
        found[name] = _page(name, *body)
    return found


def write(notebooks: Sequence[Path], folder: Path, execute: bool = True) -> dict[str, int]:
    """Write the site into a folder that is new, empty or an older site; return the size of each page.

    All is made and written beside what is there before anything is replaced, so that a failure changes nothing.

    Raises
    ------
    BadRequest
        If the folder is a file, holds anything else, or its parent does not exist.
    BadFile
        If a lesson does not run.
    """
    old = _ours(folder)
    found = pages(notebooks, execute)
    new = not folder.exists()
    scratch = folder / SCRATCH
    try:
        folder.mkdir(exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for name, text in found.items():
            (scratch / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError:
        shutil.rmtree(folder if new else scratch, ignore_errors=True)
        raise
    for name in found:
        (scratch / name).replace(folder / name)
    scratch.rmdir()
    for name in old - set(found):
        (folder / name).unlink()
    return {name: len(text.encode()) for name, text in found.items()}


def _ours(folder: Path) -> set[str]:
    """The pages of an older site in a folder; anything else there is somebody's."""
    asked = f"the site in {folder}"
    if not folder.exists():
        if not folder.absolute().parent.is_dir():
            raise BadRequest(asked, f"no folder {folder.absolute().parent}", "a folder whose parent exists")
        return set()
    if not folder.is_dir():
        raise BadRequest(asked, "a file of this name", "the name of a folder")
    if not os.access(folder, os.W_OK):
        raise BadRequest(asked, "a folder that cannot be written", "another folder")
    found = {path.name for path in folder.iterdir()} - {SCRATCH}
    for name in sorted(found):
        if not _made_here(folder / name):
            raise BadRequest(asked, f"{name}, which is not of a site", "a new or empty folder")
    return found


def _made_here(path: Path) -> bool:
    if path.suffix != ".html" or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return f'<meta name="generator" content="{MADE}">' in file.read(HEAD)


# ---- pages ----


def _page(name: str, title: str, body: str, after: str = "", lang: str = "", players: bool = False) -> str:
    links = "".join(
        f'<a href="{file}"{" aria-current=page" if file == name else ""}>{escape(_(text))}</a>' for file, text in PAGES
    )
    around = (
        f'<a class="skip" href="#main">{escape(_("Skip to the text"))}</a>'
        f'<header><nav class="site" aria-label="{escape(_("The lab"))}"><b>hvlab</b>{links}</nav></header>'
        f'<main id="main" tabindex="-1">{body}</main>{after}'
    )
    whole = title if title.startswith("hvlab") else f"{title} · hvlab"
    return page(whole, around, lang or language(), _css(), made=MADE, players=players)


def _css() -> str:
    return NOTEBOOK_CSS + squeeze(source("site.css"))


def _number(one: Lesson) -> str:
    return str(one.about.get("number", ""))


def _index(made: Sequence[Lesson], names: Sequence[str], known: reference.Lessons) -> str:
    heads = (_("lesson"), _("minutes"), _("after"), _("in the diagram"))
    rows = [
        (
            f'<a href="{name}">{escape(one.title)}</a>',
            escape(str(one.about.get("minutes", ""))),
            reference.lesson_links(one.about.get("needs", ()), known),
            escape(", ".join(one.about.get("boxes", ()))),
        )
        for one, name in zip(made, names, strict=True)
    ]
    about = _(
        "A machine of bytes and registers whose every step you can watch, predict and take back. These pages are the "
        "whole lab for reading, without a kernel."
    )
    how = "".join(f"<li>{reference.said(text)}</li>" for text in HOW)
    parts = (
        (_("Lessons"), reference.table(heads, rows)),
        (_("How to read them"), f"<ul>{how}</ul>"),
        (_("Beside the lessons"), _beside()),
    )
    body = "".join(f"<h2>{escape(head)}</h2>{text}" for head, text in parts)
    return f"<h1>{escape(_('hvlab: a lab about Hyper-V'))}</h1><p>{escape(about)}</p>{body}"


def _beside() -> str:
    rows = (
        ("glossary.html", _("Glossary"), _("every word, in one sentence and exactly")),
        ("errata.html", _("Errata"), _("what the well-known overview says, and what is better")),
        ("machine.html", _("The machine"), _("what hvlab pretends to be, and where it is simpler than a real host")),
    )
    return "<ul>" + "".join(f'<li><a href="{a}">{escape(b)}</a>: {escape(c)}.</li>' for a, b, c in rows) + "</ul>"


def lesson_page(made: Sequence[Lesson], names: Sequence[str], at: int) -> str:
    """The page of one of the lessons, with the ways to its words and its neighbours."""
    one = made[at]
    title, *rest = [_linked_notebooks(cell, names) for cell in one.cells] or [""]
    body = _linked_words(title) + _words(one) + reference.jump(_("Parts of this lesson"), one.headings)
    body += "".join(rest) + _simpler(one)
    ways = []
    for by, rel, arrow in ((-1, "prev", "← {title}"), (1, "next", "{title} →")):
        if 0 <= at + by < len(made):
            text = arrow.format(title=escape(made[at + by].title))
            ways.append(f'<a rel="{rel}" href="{names[at + by]}">{text}</a>')
    links = "".join(ways) or f'<a href="index.html">{escape(_("All lessons"))}</a>'
    after = f'<footer><nav class="turn" aria-label="{escape(_("Neighbouring lessons"))}">{links}</nav></footer>'
    return _page(names[at], one.title, body, after, one.lang, players=True)


def _cards_of(one: Lesson) -> list[Card]:
    known = {name.casefold(): card for card in cards() for name in card.names}
    found = (known.get(str(term).casefold()) for term in one.about.get("terms", ()))
    return list(dict.fromkeys(card for card in found if card is not None))


def _words(one: Lesson) -> str:
    links = "".join(reference.word_link(card) for card in _cards_of(one))
    if not links:
        return ""
    return f'<div class="words"><p><b>{escape(_("In the glossary:"))}</b> {links}</p></div>'


def _linked_words(title: str) -> str:
    """The title cell; the words that its list explains lead to their cards."""
    known = {name.casefold(): card for card in cards() for name in card.names}

    def link(found: re.Match[str]) -> str:
        card = known.get(found[1].casefold())
        return f"<em>{reference.word_link(card, found[1])}</em>" if card else found.group()

    def listed(found: re.Match[str]) -> str:
        return re.sub(r"<em>([^<]*)</em>", link, found.group())

    return re.sub(r"<p><strong>Words</strong>.*?</p>", listed, title, flags=re.DOTALL)


def _linked_notebooks(cell: str, names: Iterable[str]) -> str:
    """A link to a notebook leads to its page."""
    for name in names:
        cell = cell.replace(f'href="{name.removesuffix("html")}ipynb', f'href="{name}')
    return cell


def _simpler(one: Lesson) -> str:
    number = _number(one)
    if number not in {id[:2] for id in items.every()}:
        return ""
    files = dict.fromkeys(file for file, _text in left_out.left_out(number).rows)
    links = ", ".join(f'<a href="machine.html#{reference.module_anchor(file)}">{escape(file)}</a>' for file in files)
    return f"<p>{escape(_('The same, beside all that this machine leaves out:'))} {links}.</p>" if links else ""
