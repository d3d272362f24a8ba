"""Who owns which page: the pages that change hands in a story, one cell each, in the order of their addresses."""

from collections.abc import Sequence
from typing import Final

from hvlab.language import N_, _
from hvlab.story.frame import Fact
from hvlab.story.hostmap import Drawn
from hvlab.story.picture import Element, Picture, box, group, words
from hvlab.story.steps import Step
from hvlab.trace.journal import Trace

WIDTH: Final = 836
LEFT, TOP = 6, 62
FEW, MANY = (12, 69, 46), (24, 34, 28)  # cells a row, their width and height; with their use, or the letter only
MOST: Final = 264
USES: Final = {0: "", 1: N_("zeroed"), 2: N_("pool"), 3: N_("table"), 4: N_("mapped")}
OWNERS: Final = {0: "H", 1: "R", **{k: str(k) for k in range(2, 256)}}


def owner_enums() -> dict[str, dict[int, str]]:
    """The words of the cells, in the learner's language."""
    return {"owner": OWNERS, "use": {use: _(text) for use, text in USES.items()}}


def owners(trace: Trace, steps: Sequence[Step], name: str = "") -> Drawn:
    """Return the pages that change owner, with their owner and use at each step.

    Parameters
    ----------
    name
        What the child is called.
    """
    pages = sorted({trace.fact(row, "spa") >> 12 for row in trace.of("page_given")})[:MOST]
    wide = FEW if len(pages) <= 7 * FEW[0] else MANY
    first = {trace.fact(row, "spa") >> 12: trace.fact(row, "old") for row in reversed(list(trace.of("page_given")))}
    layer, bind = _legend(name)
    for at, page in enumerate(pages):
        found = _cell(at, page, wide)
        layer += found[0]
        bind += found[1]
    for step_number, step in enumerate(steps):
        for row in step.rows:
            if trace.event(row).name == "page_given" and trace.fact(row, "spa") >> 12 in pages:
                bind.append(["jump", f"page{pages.index(trace.fact(row, 'spa') >> 12)}", step_number])
    facts = [Fact(f"own{at}", kind="enum:owner", start=first[page]) for at, page in enumerate(pages)]
    facts += [Fact(f"use{at}", kind="enum:use") for at in range(len(pages))]
    facts += [Fact("to_hypervisor"), Fact("to_root"), Fact("to_child"), Fact("page", kind="spa")]
    alt = _(
        "Pages given so far: {to_hypervisor} to the hypervisor, {to_child} to the child, {to_root} to the root. "
        "The last one is at SPA {page:spa}."
    )
    rows = -(-len(pages) // wide[0])
    height = max(260, TOP + rows * wide[2] + 44)
    picture = Picture(_("Owners"), _("Who owns which page"), WIDTH, height, layer, bind, alt)
    return Drawn(picture, facts, _values(trace, steps, pages, first))


def _values(trace: Trace, steps: Sequence[Step], pages: list[int], first: dict[int, int]) -> list[dict[str, int]]:
    place = {page: at for at, page in enumerate(pages)}
    now = {f"own{at}": first[page] for at, page in enumerate(pages)} | {f"use{at}": 0 for at in range(len(pages))}
    now |= dict.fromkeys(("to_hypervisor", "to_root", "to_child", "page"), 0)
    found = []
    uses = {"page_scrubbed": 1, "memory_deposited": 2, "second_level_entry_written": 3, "page_mapped": 4}
    for step in steps:
        for row in step.rows:
            event, facts = trace.event(row).name, trace.facts(row)
            at = place.get(facts.get("spa", -1) >> 12, -1)
            if event == "page_given":
                to = {0: "to_hypervisor", 1: "to_root"}.get(facts["new"], "to_child")
                now |= {to: now[to] + 1, "page": facts["spa"]}
                if at >= 0:
                    now |= {f"own{at}": facts["new"]}
            elif at >= 0 and event in uses:
                now[f"use{at}"] = uses[event]
            elif at >= 0 and event in ("page_unmapped", "memory_withdrawn"):
                now[f"use{at}"] = 0
        found.append(dict(now))
    return found


def _legend(name: str) -> tuple[list[Element], list[Element]]:
    """What the cells mean, and how many pages each side got."""
    layer: list[Element] = []
    x = LEFT
    child = _("2, 3, …: {child}'s").format(child=name) if name else _("2, 3, …: a child's")
    rows = (("cell", _("R: the root's")), ("cell hatched", _("H: the hypervisor's")), ("cell data tinted", child))
    for classes, text in rows:
        layer += [box("", x, 8, 20, 16, classes), words("", x + 27, 21, text, "label")]
        x += 60 + 7 * len(text)
    layer.append(words("given", LEFT, 46, "", "label title", WIDTH - 2 * LEFT))
    said = _("Pages given so far: {to_hypervisor} to the hypervisor, {to_child} to the child, {to_root} to the root")
    return layer, [["say", "given", said]]


def _cell(at: int, page: int, wide: tuple[int, int, int]) -> tuple[list[Element], list[Element]]:
    """One page: its owner's letter, its page number, what it is used for."""
    across, width, height = wide
    x, y = LEFT + width * (at % across), TOP + height * (at // across)
    key, middle = f"page{at}", x + width / 2
    content = [
        box(f"{key}c", x + 1, y + 1, width - 3, height - 3, "cell"),
        box(f"{key}chip", x + 6, y + 5, width - 13, height - 11, "cell"),
    ]
    bind: list[Element] = [
        ["class", f"{key}c", f"own{at}", {"0": "hatched", "1": "plain", "*": "data"}],
        ["class", f"{key}c", f"own{at}", {"0": "", "1": "", "*": "tinted"}],
        ["show", f"{key}chip", f"own{at}", [0]],
        ["lit", f"{key}c", "page", [page << 12]],
        ["lit", f"{key}o", "page", [page << 12]],
        ["changed", key, f"own{at}"],
    ]
    if wide == FEW:
        content.append(words(f"{key}o", x + 10, y + 19, "", "label title"))
        content.append(words("", x + width - 10, y + 19, f"{page:#x}", "small code end"))
        content.append(words(f"{key}u", middle, y + 36, "", "small middle", width - 18))
        bind.append(["text", f"{key}u", f"use{at}", "enum:use"])
    else:
        content.append(words(f"{key}o", middle, y + 18, "", "label title middle"))
    bind.append(["text", f"{key}o", f"own{at}", "enum:owner"])
    return [group(key, content)], bind
