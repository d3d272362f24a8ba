"""The first use of each word of a lesson carries its card: ``<abbr title="…">`` in Markdown.

A title shows under a mouse only, and GitHub drops the tag and keeps the word. So each lesson also lists its words, in
its title cell; that list explains them itself and is left alone here.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from typing import Final

from hvlab.lab.glossary import Card, cards

MARK: Final = re.compile(r'<abbr title="[^"]*">([^<]*)</abbr>')
APART: Final = re.compile(  # what stays as it is: nothing in here is taken for a use of a word
    r"""
      ^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^[ ]{0,3}(?P=fence)[^\n]*$|\Z)   # a block of code
    | ^[ ]{0,3}\#{1,6}[ ][^\n]*$                                                    # a heading
    | ^[^\n]+\n[ ]{0,3}(?:=+|-+)[ ]*$                                               # a heading that is underlined
    | ^\*\*Words\*\*.*?(?=\n[ ]*\n|\Z)                                              # the list of words itself
    | (?P<tick>`+)(?!`).*?(?<!`)(?P=tick)(?!`)                                      # code in a line
    | !?\[(?:[^\[\]]|\[[^\[\]]*\])*\](?:\([^)]*\)|\[[^\]]*\])                       # a link or an image
    | <(?P<tag>abbr|a|code|kbd|pre|svg)\b[^>]*>.*?</(?P=tag)>                       # an element that is whole
    | <!--.*?-->|</?[A-Za-z][^>]*>                                                  # a comment, or any other tag
    | \$\$.*?\$\$|\$[^$\n]+\$                                                       # mathematics
    | \w+://\S+                                                                     # an address
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
RISKY: Final = str.maketrans(
    {'"': "&quot;", "|": "&#124;", "$": "&#36;", "`": "&#96;"}
)  # they would end or begin something


def marked(texts: Sequence[str], terms: Iterable[str]) -> list[str]:
    """Return the Markdown texts of a lesson with the first use of each of its words marked; twice changes nothing more.

    Parameters
    ----------
    texts
        The texts, in the order of reading.
    terms
        The words of the lesson; one that has no card is not marked.
    """
    unmet = {card for card in map(_named, terms) if card is not None}
    names = {name: card for card in unmet for name in card.names}
    if not names:
        return [unmarked(text) for text in texts]
    word = re.compile("|".join(map(_pattern, sorted(names, key=len, reverse=True))))

    def mark(found: re.Match[str]) -> str:
        said = found.group()
        card = _named(said)
        if card is None or card not in unmet:
            return said
        unmet.discard(card)
        return f'<abbr title="{title(card)}">{said}</abbr>'

    return [
        "".join(part if apart else word.sub(mark, part) for part, apart in _parts(unmarked(text))) for text in texts
    ]


def unmarked(text: str) -> str:
    """Return a text without these marks; an ``abbr`` of an author's own word stays."""
    return MARK.sub(lambda found: found[1] if _named(found[1]) else found.group(), text)


def title(card: Card) -> str:
    """Return what the mark of a card says, fit for an attribute in Markdown."""
    words = f"{card.expansion}: {card.short}" if card.expansion else card.short
    return escape(" ".join(words.split()), quote=False).translate(RISKY)


@cache
def _known() -> dict[str, Card]:
    return {name.casefold(): card for card in cards() for name in card.names}


def _named(word: str) -> Card | None:
    key = " ".join(word.split()).casefold()
    return next((_known()[one] for one in (key, key.removesuffix("s")) if one in _known()), None)


def _pattern(name: str) -> str:
    """A whole word, also with a plural s; a word that is written small may begin a sentence."""
    first = f"[{name[0].upper()}{name[0]}]" if name == name.lower() and name[0].isalpha() else re.escape(name[0])
    spaced = r"\s+".join(map(re.escape, name[1:].split(" ")))
    plural = "s?" if name[-1].isalpha() else ""
    return rf"(?<![\w#/.-]){first}{spaced}{plural}(?![\w-])"


def _parts(text: str) -> Iterable[tuple[str, bool]]:
    at = 0
    for found in APART.finditer(text):
        yield text[at : found.start()], False
        yield found.group(), True
        at = found.end()
    yield text[at:], False
