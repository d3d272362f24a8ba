"""Pictures as data: what is drawn once, and what of it follows the facts of a frame.

A picture is a *static layer* (elements from a short allow-list) and *bindings*. A binding is a pure function of the
facts at a frame; `changes_at` gives what the bindings ask for, and the browser's `changesAt` in `core.mjs` gives the
same list. So a picture without an event behind it cannot be drawn: all truth is in the facts.

The layer
    A list of elements `[tag, id, class, attributes, content]`. `tag` is one of `TAGS`, `id` is unique in the picture
    ("" when nothing binds to it), `class` is a space-separated list of class names (see below), `attributes` holds
    geometry only (`ATTRIBUTES`), `content` is text for `text`/`tspan` and a list of elements for `g` (and, for
    `text`, a list of `tspan`). `box`, `words`, `wire`, `faint` and `group` below make them.

The classes
    `box` a place or cell · `cell` the same without rounded corners · `wire` an idle line · `label` 13 px text ·
    `small` 12 px text · `title` bold · `code` tabular figures · `middle`, `end` text anchor · `soft` secondary text ·
    `dashed` · `hatched` · `crossed` · `ghost` (an outline for what is not there) · tones `call signal data memory
    manage fault` · states `lit` and `changed` (set by bindings).

The bindings
    ["text", id, fact, kind]                 the text is the value of the fact, written in this kind
    ["say", id, text]                        the text is a template over facts, or {"fact", "cases", "else"}
    ["class", id, fact, {value: class}]      adds the class of this value; "*" stands for all values not named
    ["show", id, fact]                       visible while the fact is not 0
    ["show", id, fact, [values]]             visible while the fact is one of these
    ["attr", id, attribute, fact, scale, offset]   attribute = fact * scale + offset (`MOVABLE` names them;
                                             "move-x" and "move-y" translate)
    ["lit", id, fact]                        lit while the fact is not 0
    ["lit", id, fact, [values]]              lit while the fact is one of these
    ["changed", id, fact]                    marked in the frame that changes the fact
    ["jump", id, frame]                      a pointer on it goes to this frame (the table is its native twin)
    ["card", id, place]                      a pointer on it opens the card of this box (the list of boxes is the twin)
    ["ruler", id, fact, word]                beside the picture: the fact as the named bits of a declared word; `word`
                                             is a name of `words`, or {"fact", "cases", "else"} giving one ("" = none)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hvlab.language import lang
from hvlab.story.caption import Enums, choose, fill, known_kind, names_in, show_value, templates_of

TAGS = ("g", "rect", "path", "circle", "line", "text", "tspan")
ATTRIBUTES = (
    "x", "y", "width", "height", "rx", "ry", "cx", "cy", "r", "x1", "y1", "x2", "y2", "d", "dx", "dy", "transform",
)  # fmt: skip
MOVABLE = ("x", "y", "width", "height", "cx", "cy", "r", "x1", "y1", "x2", "y2", "move-x", "move-y")
VERBS = {
    "text": 4, "say": 3, "class": 4, "show": 3, "attr": 6, "lit": 3, "changed": 3, "jump": 3, "card": 3, "ruler": 4,
}  # fmt: skip

Element = list[Any]
Change = list[Any]


@dataclass(frozen=True)
class Picture:
    """One picture of a story; plain data, drawn alike by the browser and by `view.still`.

    Parameters
    ----------
    name, title
        A short name for the view button, and the full title (the accessible name of the picture).
    width, height
        Size at scale 1 in px; at most 844 × 480 so that it fits a notebook.
    layer, bind
        The static elements and the bindings, see the module's text.
    alt
        Template over the facts, or `{"fact", "cases", "else"}`: the picture in words at each frame.
    """

    name: str
    title: str
    width: int
    height: int
    layer: list[Element]
    bind: list[Element] = field(default_factory=list)
    alt: Any = ""

    def as_json(self) -> dict[str, Any]:
        """The picture as it stands in the scene."""
        return {
            "name": self.name, "title": self.title, "width": self.width, "height": self.height,
            "layer": self.layer, "bind": self.bind, "alt": self.alt,
        }  # fmt: skip


def box(id: str, x: float, y: float, width: float, height: float, classes: str = "box") -> Element:
    """A rectangle."""
    return ["rect", id, classes, {"x": x, "y": y, "width": width, "height": height}, ""]


def words(id: str, x: float, y: float, text: str, classes: str = "label", room: float = 0) -> Element:
    """A line of text with its baseline at y.

    `room` is how many px there are for it: a translation that is longer is drawn narrower. English texts fit.
    """
    return ["text", id, classes, {"x": x, "y": y} | ({"width": room} if room and lang() != "en" else {}), text]


def wire(id: str, d: str, classes: str = "wire") -> Element:
    """A path that is not filled."""
    return ["path", id, classes, {"d": d}, ""]


def faint(x: float, y: float, to_x: float, to_y: float) -> Element:
    """A faint line of a grid or an axis: it guides the eye, and what it divides is told by words and numbers, too."""
    return ["line", "", "tick", {"x1": x, "y1": y, "x2": to_x, "y2": to_y}, ""]


def group(id: str, content: list[Element], classes: str = "", transform: str = "") -> Element:
    """Elements that are shown, lit or moved together."""
    return ["g", id, classes, {"transform": transform} if transform else {}, content]


def elements(layer: Sequence[Element]) -> Iterator[Element]:
    """All elements of a layer, groups before what they hold."""
    for element in layer:
        yield element
        if isinstance(element[4], list):
            yield from elements(element[4])


def changes_at(
    picture: Mapping[str, Any],
    facts: Mapping[str, int],
    changed: frozenset[str] | set[str],
    kinds: Mapping[str, str],
    enums: Enums,
) -> list[Change]:
    """What the bindings of a picture ask for, given the facts of one frame.

    Each answer is `[id, "text", text]`, `[id, "class", name, on]`, `[id, "show", on]` or `[id, attribute, number]`,
    in the order of the bindings. Every binding answers at every frame, so the picture depends on this frame only.
    """

    def lookup(name: str) -> tuple[int, str]:
        return facts[name], kinds[name]

    answers: list[Change] = []
    for verb, id, *rest in picture["bind"]:
        if verb == "text":
            answers.append([id, "text", show_value(rest[1], facts[rest[0]], enums)])
        elif verb == "say":
            answers.append([id, "text", fill(choose(rest[0], lambda name: facts[name]), lookup, enums)])
        elif verb == "class":
            now = rest[1].get(str(facts[rest[0]]), rest[1].get("*", ""))
            answers += [[id, "class", name, name == now] for name in sorted(set(rest[1].values()) - {""})]
        elif verb == "show":
            answers.append([id, "show", _holds(facts, rest)])
        elif verb == "lit":
            answers.append([id, "class", "lit", _holds(facts, rest)])
        elif verb == "changed":
            answers.append([id, "class", "changed", rest[0] in changed])
        elif verb == "attr":
            answers.append([id, rest[0], facts[rest[1]] * rest[2] + rest[3]])
    return answers


def rulers_at(picture: Mapping[str, Any], facts: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """The words on show beside a picture: (region id, fact, name of the word)."""
    found = []
    for verb, id, *rest in picture["bind"]:
        if verb == "ruler":
            name = choose(rest[1], lambda fact: facts[fact])
            if name:
                found.append((str(id), str(rest[0]), name))
    return found


def alt_at(picture: Mapping[str, Any], facts: Mapping[str, int], kinds: Mapping[str, str], enums: Enums) -> str:
    """The picture in words at one frame."""
    template = choose(picture["alt"], lambda name: facts[name])
    return fill(template, lambda name: (facts[name], kinds[name]), enums)


def _holds(facts: Mapping[str, int], rest: Sequence[Any]) -> bool:
    return facts[rest[0]] in rest[1] if len(rest) > 1 else facts[rest[0]] != 0


def check_picture(picture: Mapping[str, Any], kinds: Mapping[str, str], words: Mapping[str, Any], enums: Enums) -> None:
    """Raise ValueError, naming the element or binding, for anything the browser would refuse to draw."""
    where = f"picture {picture['name']!r}"
    ids: set[str] = set()
    for element in elements(picture["layer"]):
        _check_element(where, element)
        if element[1] and element[1] in ids:
            raise ValueError(f"{where}: two elements have the id {element[1]!r}")
        ids.add(element[1])
    for binding in picture["bind"]:
        _check_binding(where, binding, ids, kinds, words, enums)
    _check_text(where, picture["alt"], kinds, enums)


def _check_element(where: str, element: Element) -> None:
    if len(element) != 5 or element[0] not in TAGS:
        raise ValueError(
            f"{where}: an element is [tag, id, class, attributes, content] with a tag of {TAGS}: {element!r}"
        )
    wrong = set(element[3]) - set(ATTRIBUTES)
    if wrong:
        raise ValueError(f"{where}: {element[0]} {element[1]!r} has {sorted(wrong)}; a layer holds geometry only")


def _check_binding(
    where: str, binding: Element, ids: set[str], kinds: Mapping[str, str], words: Mapping[str, Any], enums: Enums
) -> None:
    verb = binding[0]
    if verb not in VERBS or not VERBS[verb] <= len(binding) <= VERBS[verb] + (verb in ("show", "lit")):
        raise ValueError(f"{where}: no such binding: {binding!r}; the module's text lists them")
    if verb != "ruler" and binding[1] not in ids:
        raise ValueError(f"{where}: {binding!r} names an element that the layer does not have")
    if verb == "say":
        return _check_text(where, binding[2], kinds, enums)
    if verb in ("jump", "card"):
        return None
    if verb == "attr" and binding[2] not in MOVABLE:
        raise ValueError(f"{where}: {binding!r} moves {binding[2]!r}; a binding moves one of {MOVABLE}")
    fact = binding[3] if verb == "attr" else binding[2]
    if fact not in kinds:
        raise ValueError(f"{where}: {binding!r} reads the fact {fact!r}, which the story does not declare")
    if verb in ("show", "lit") and any(abs(value) >> 53 for value in (binding[3] if len(binding) > 3 else ())):
        raise ValueError(f"{where}: {binding!r} compares with a number that a browser cannot hold; make it a fact")
    if verb == "text" and not known_kind(binding[3], enums):
        raise ValueError(f"{where}: {binding!r} writes in the kind {binding[3]!r}, which does not exist")
    if verb == "ruler":
        for name in templates_of(binding[3]):
            if name and name not in words:
                raise ValueError(f"{where}: {binding!r} reads the word {name!r}, which the story does not declare")
    return None


def _check_text(where: str, text: Any, kinds: Mapping[str, str], enums: Enums) -> None:
    for template in templates_of(text):
        for name, kind in names_in(template):
            if name not in kinds:
                raise ValueError(f"{where}: {template!r} names {name!r}, which is no fact of the story")
            if kind and not known_kind(kind, enums):
                raise ValueError(f"{where}: {template!r} asks for the kind {kind!r}, which does not exist")
