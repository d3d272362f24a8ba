"""What a learner reads, in the learner's language: gettext, and a pseudo-language that shows what was forgotten.

``HVLAB_LANGUAGE`` chooses the language, such as ``de``; without a catalogue for it the lab speaks English.
``HVLAB_LANGUAGE=xx-pseudo`` makes every text longer, accents its letters and puts it into brackets: a text without
brackets does not go through here, and a place that cuts it is too narrow for a real translation.

A text is marked where it is said (``_("…")``), or, if it is declared once and said later, where it stands (``N_("…")``)
and translated where it is said. Placeholders are named, so that a translation may reorder them.

What is declared by a call of its own needs no ``N_``; its name is the keyword, as ``xgettext`` calls it: the sentence
of an ``event``, of a ``Kind``, the label of a ``Fact``, the texts of a ``Place``, of an ``Item`` and of a ``Model`` are
translated where a story, a question or a description is built; of the two forms of a ``count`` the one is taken that
goes with its number. The browser's own words stand in its modules as ``t("…")``; a story that is not told in English
brings their translations with it (`hvlab.view.words`).
"""

import gettext
import os
import re
from functools import cache
from pathlib import Path
from typing import Final

PSEUDO: Final = "xx-pseudo"
FOLDER: Final = Path(__file__).parent / "locale"
ACCENTED: Final = str.maketrans("aceinorsuyzACEINORSUYZ", "àçéîñöŕšüýžÀÇÉÎÑÖŔŠÜÝŽ")
PLACEHOLDER: Final = re.compile(r"(\{[^{}]*\})")
WORD: Final = re.compile(r"[^\W_]+(?=\W|_|$)")
OPEN, CLOSE = "⟦", "⟧"


def language() -> str:
    """Return the language asked for; English if none is."""
    return os.environ.get("HVLAB_LANGUAGE", "") or "en"


def lang() -> str:
    """Return the language in which texts are told, for ``lang=``: English where there is no catalogue."""
    name = language()
    return name if name == PSEUDO or type(_catalogue(name)) is not gettext.NullTranslations else "en"


@cache
def _catalogue(name: str) -> gettext.NullTranslations:
    return gettext.translation("hvlab", FOLDER, [name, name.split("-")[0]], fallback=True)


def _(text: str) -> str:
    """Return a text in the learner's language, its placeholders as they are."""
    name = language()
    if not text or name == "en":
        return text
    return pseudo(text) if name == PSEUDO else _catalogue(name).gettext(text)


def N_(text: str) -> str:
    """Mark a text that is declared here and translated where it is said."""
    return text


def ngettext(one: str, many: str, count: int) -> str:
    """Return the form of a text that goes with a number."""
    name = language()
    if name in ("en", PSEUDO):
        return _(one if count == 1 else many)
    return _catalogue(name).ngettext(one, many, count)


def pseudo(text: str) -> str:
    """Return a text as no language writes it: accented, each word a third longer, in brackets; placeholders stay."""
    parts = PLACEHOLDER.split(text)
    if not any(letter.isalpha() for part in parts[::2] for letter in part):
        return text
    parts[::2] = [WORD.sub(_longer, part).translate(ACCENTED) for part in parts[::2]]
    return f"{OPEN}{''.join(parts)}{CLOSE}"


def _longer(word: re.Match[str]) -> str:
    return word[0] + "~" * (-(-len(word[0]) // 3) if not word[0].isdigit() else 0)
