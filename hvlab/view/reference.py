"""The pages of the lab beside its lessons: all words, all errata, and the machine that hvlab pretends to be."""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby

from hvlab.hardware.clock import TABLE
from hvlab.lab import items, left_out
from hvlab.lab.demos import RUNS
from hvlab.lab.errata import Erratum, errata
from hvlab.lab.glossary import WIRES, Card, cards
from hvlab.lab.rules import Rule, rules
from hvlab.language import N_, _

Lessons = Mapping[str, tuple[str, str]]  # number -> the name of its page, its title
MOST_SENTENCES = 60

MACHINE = (
    N_("Every lesson runs the same machine. This page says what it is: so you know what a run here tells about a real "
       "host, and what it does not."),
    N_("It is bytes and registers. Physical memory is one array of pages. Page tables, second-level tables and message "
       "pages lie in it at addresses, in the layouts of the real interfaces. Translation and privilege keep partitions "
       "apart, nothing else."),
    N_("Its processor translates addresses, keeps TLBs and walk caches, and raises faults and exits. It decodes no x86 "
       "instructions. Software in a partition is Python that has what a real kernel has: loads and stores, hypercalls, "
       "MSRs, CPUID and its own registers."),
    N_("Its hypervisor does what the specification says about partitions, memory, hypercalls and intercepts. Below "
       "stands which part of a call is left out."),
    N_("Events happen one after the other, and each names the one that caused it. You ask the machine for something, "
       "it runs until it is at rest, and a player replays what happened."),
    N_("Its time is counted, not measured: each step costs what the table below says. That serves to compare designs, "
       "not to predict a machine."),
)  # fmt: skip


def said(text: str) -> str:
    """A text of ours as HTML: what stands between backticks is code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(_(text)))


def slug(name: str) -> str:
    """The anchor of a word."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")


def word_link(card: Card, text: str = "") -> str:
    """A link to the card of a word."""
    return f'<a href="glossary.html#{slug(card.term)}">{text or escape(card.term)}</a>'


def lesson_links(numbers: Iterable[str], lessons: Lessons) -> str:
    """Lessons by number, those that are there as links."""
    return ", ".join(
        f'<a href="{lessons[one][0]}">{escape(one)}</a>' if one in lessons else escape(_(one)) for one in numbers
    )


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values as a list; a row without a value is left out."""
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows if value)
    return f'<dl class="facts">{pairs}</dl>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names the row; on a narrow screen each row is a block with its heads inside."""

    def row(cells: Sequence[str]) -> str:
        told = zip(heads[1:], cells[1:], strict=True)
        rest = "".join(f'<td data-head="{escape(head)}">{cell}</td>' for head, cell in told)
        return f'<tr><th scope="row">{cells[0]}</th>{rest}</tr>'

    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return f'<table class="stack"><thead><tr>{top}</tr></thead><tbody>{"".join(map(row, rows))}</tbody></table>'


def standing(one: Erratum | Rule) -> str:
    """Whether the source was read, in words."""
    if one.standing == "checked":
        return escape(_("checked: the source was read for this lab"))
    recalled = _("from memory; the tests hold it against vectors and real tables")
    words = recalled if isinstance(one, Rule) else _("from memory, not checked")
    return f'<span class="memory">{escape(words)}</span>'


def jump(label: str, links: Iterable[tuple[str, str]]) -> str:
    """Links to the parts of a page."""
    parts = "".join(f'<a href="#{anchor}">{escape(text)}</a>' for anchor, text in links)
    return f'<nav class="jump" aria-label="{escape(label)}">{parts}</nav>'


# ---- words ----


def glossary_page(lessons: Lessons) -> tuple[str, str]:
    """Title and body of the page of all words."""
    title, parts = _("Glossary"), []
    groups = [(letter, list(some)) for letter, some in groupby(sorted(cards(), key=_order), _letter)]
    for letter, some in groups:
        words = "".join(_card(card, lessons) for card in some)
        name = letter if letter.isalpha() else _("signs")
        parts.append(f'<h2 id="letter-{slug(name)}">{escape(name)}</h2><div class="cards">{words}</div>')
    about = _(
        "{count} words of the lessons and of the well-known overview of Hyper-V. A lesson without a link is planned."
    )
    names = [letter if letter.isalpha() else _("signs") for letter, _some in groups]
    return title, (
        f"<h1>{escape(title)}</h1><p>{escape(about.format(count=len(cards())))}</p>"
        + jump(_("Letters"), [(f"letter-{slug(name)}", name) for name in names])
        + "".join(parts)
    )


def _order(card: Card) -> tuple[bool, str]:
    return card.term[0].isalpha(), card.term.casefold()


def _letter(card: Card) -> str:
    return card.term[0].upper() if card.term[0].isalpha() else "#"


def _card(card: Card, lessons: Lessons) -> str:
    expansion = f" <small>{said(card.expansion)}</small>" if card.expansion else ""
    wire = f" · {escape(_('travels as'))} {escape(card.wire)} ({WIRES[card.wire]})" if card.wire else ""
    better = ", ".join(f'<a href="errata.html#{id}">{escape(id)}</a>' for id in card.errata)
    rows = [
        (_("also"), escape(", ".join(card.also))),
        (_("in the diagram"), escape(card.box) + wire),
        (_("the overview says"), said(card.overview_says)),
        (_("what is better"), better),
        (_("lessons"), lesson_links(card.lessons, lessons)),
        (_("source"), said(card.source)),
    ]
    return (
        f'<article id="{slug(card.term)}"><h3>{escape(card.term)}{expansion}</h3><p>{said(card.short)}</p>'
        f"<p><b>{escape(_('Exactly:'))}</b> {said(card.exactly)}</p>{facts(rows)}</article>"
    )


# ---- errata ----


def errata_page(lessons: Lessons) -> tuple[str, str]:
    """Title and body of the page of what the overview says, and what is better."""
    title, shown = _("Errata of the overview"), [one.id for one in errata() if one.demo]
    about = _(
        "Microsoft's overview “Hyper-V Architecture” is what most people read first. Where it is loose or wrong, this "
        "is better. To find out by yourself, call `hunt()` in the lab before you read on."
    )
    runs = ", ".join(f'<a href="#{id}">{escape(id)}</a>' for id in shown)
    return title, (
        f"<h1>{escape(title)}</h1><p>{said(about)}</p><p>{escape(_('Shown by a run of the machine:'))} {runs}.</p>"
        + jump(_("Errata"), [(one.id, one.id) for one in errata()])
        + "".join(_erratum(one, lessons) for one in errata())
    )


def _erratum(one: Erratum, lessons: Lessons) -> str:
    rows = [
        (_("the overview says"), said(one.overview_says)),
        (_("better"), f"<strong>{said(one.better)}</strong>"),
        (_("why"), said(one.why)),
        (_("source"), said(one.source)),
        (_("standing"), standing(one)),
        (_("words"), ", ".join(word_link(card) for card in cards() if one.id in card.errata)),
        (_("lessons"), lesson_links(one.shown_in, lessons)),
        (_("run"), _run(one) if one.demo else escape(_("none can show it yet"))),
    ]
    return f'<article id="{one.id}"><h2>{escape(one.id)}</h2>{facts(rows)}</article>'


def _run(one: Erratum) -> str:
    trace = RUNS[one.demo]()
    told = [escape(trace.sentence(row)) for row in range(min(len(trace), MOST_SENTENCES))]
    more = len(trace) - len(told)
    rest = f"<p>{escape(_('{count} more.').format(count=more))}</p>" if more else ""
    head = _("{name}, in {count} sentences").format(name=one.demo, count=len(trace))
    call = f'hunt("{one.id}", "…", "{one.demo}")'
    steps = "".join(f"<li>{sentence}</li>" for sentence in told)
    return (
        f"<details><summary>{escape(head)}</summary><ol>{steps}</ol>{rest}</details>"
        f"{escape(_('In the lab:'))} <code>{escape(call)}</code>"
    )


# ---- the machine ----


def machine_page(lessons: Lessons) -> tuple[str, str]:
    """Title and body of the page about the notional machine."""
    title = _("The machine hvlab pretends to be")
    parts = [
        ("is", _("What it is"), "".join(f"<p>{said(text)}</p>" for text in MACHINE)),
        ("simpler", _("Simpler than real"), _simpler(lessons)),
        ("sources", _("Where sources disagree"), _disagreements()),
        ("costs", _("What a step costs"), _costs()),
        ("rules", _("The rules that it follows"), _rules()),
    ]
    body = "".join(f'<h2 id="{anchor}">{escape(head)}</h2>{text}' for anchor, head, text in parts)
    return title, f"<h1>{escape(title)}</h1>{jump(_('Parts'), [part[:2] for part in parts])}{body}"


def module_anchor(file: str) -> str:
    """The anchor of a source on the page about the machine."""
    return "in-" + slug(file.removesuffix(".py"))


def _simpler(lessons: Lessons) -> str:
    notes = left_out.everywhere().rows
    met = {number: [file for file in files if any(file == row[0] for row in notes)] for number, files in _met().items()}
    about = _("Each source says so itself, and the lessons that meet it say it again.")
    parts = [f"<p>{escape(about)}</p>", facts((_by_lesson(number), _links(files)) for number, files in met.items())]
    for file, some in groupby(notes, lambda row: row[0]):
        rows = "".join(f"<li>{said(text)}</li>" for _file, text in some)
        numbers = [number for number, files in met.items() if file in files]
        told = f" · {escape(_('lessons'))} {lesson_links(numbers, lessons)}" if numbers else ""
        parts.append(
            f'<article id="{module_anchor(file)}"><h3>{said(_purpose(file))}</h3>'
            f'<p class="about"><code>hvlab/{escape(file)}</code>{told}</p><ul>{rows}</ul></article>'
        )
    return "".join(parts)


def _by_lesson(number: str) -> str:
    return _("lesson {number} meets").format(number=number)


def _links(files: Iterable[str]) -> str:
    return ", ".join(f'<a href="#{module_anchor(file)}">{escape(file)}</a>' for file in files)


def _met() -> dict[str, tuple[str, ...]]:
    """Which sources each lesson meets."""
    return {number: left_out.met(number) for number in sorted({id[:2] for id in items.every()})}


def _purpose(file: str) -> str:
    """The first sentence of a source: what it is for."""
    text = ast.get_docstring(ast.parse((left_out.HERE / file).read_text("utf-8"))) or file
    return " ".join(text.split("\n\n")[0].split())


def _disagreements() -> str:
    parts = []
    for rule in rules():
        if rule.disagree:
            sides = "".join(f"<li>{said(side)}</li>" for side in rule.disagree)
            follows = f"<p><b>{escape(_('This machine:'))}</b> {said(rule.follows)}</p>"
            parts.append(
                f'<article id="sources-{rule.id}"><h3>{escape(rule.id)}</h3><p>{said(rule.says)}</p><ul>{sides}</ul>'
                f"{follows}</article>"
            )
    return "".join(parts)


def _costs() -> str:
    heads = (_("cost"), _("ns"), _("what it is"), _("source"))
    rows = [
        (f"<code>{name}</code>", f'<span class="number">{value}</span>', said(what), said(source))
        for name, (value, what, source) in TABLE.items()
    ]
    return f"<p>{escape(_('Simulated nanoseconds. A learner can change each of them.'))}</p>{table(heads, rows)}"


def _rules() -> str:
    return "".join(_rule(rule) for rule in rules() if rule.events or not rule.disagree)


def _rule(rule: Rule) -> str:
    events = ", ".join(f"<code>{escape(name)}</code>" for name in rule.events)
    rows = [
        (_("source"), f"{said(rule.document)}, {said(rule.section)}"),
        (_("standing"), standing(rule)),
        (_("events"), events),
        (_("sources disagree"), f'<a href="#sources-{rule.id}">{escape(rule.id)}</a>' if rule.disagree else ""),
    ]
    return f'<article id="rule-{rule.id}"><h3>{escape(rule.id)}</h3><p>{said(rule.says)}</p>{facts(rows)}</article>'
