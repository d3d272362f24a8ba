"""The browser's own words in the learner's language.

They stand in the modules of `static/`, as ``t("…")``, and nowhere else. A story that is told in another language takes
their translations along in its scene; in English nothing is added.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from hvlab.language import _, lang
from hvlab.story.gate import CONFIDENCE
from hvlab.view.esm import STATIC, source

LITERAL: Final = r'"((?:[^"\\]|\\.)+)"'
SAID: Final = re.compile(rf"\b(?:t|wanted|BadStory)\({LITERAL}|\bneed\(.+?, {LITERAL}[,)]")


@cache
def texts() -> tuple[str, ...]:
    """Every text that the browser says by itself, in the order of the modules."""
    modules = (source(path.name) for path in sorted(STATIC.glob("*.mjs")))
    found = (match[1] or match[2] for module in modules for match in SAID.finditer(module))
    return tuple(dict.fromkeys([*found, *CONFIDENCE]))


def spoken(scene: Mapping[str, Any]) -> dict[str, Any]:
    """A scene with the browser's own words, and the names of its kinds of frames, in the language of its texts."""
    if lang() == "en":
        return dict(scene)
    kinds = (kind["name"].replace("_", " ") for kind in scene["kinds"])
    return {**scene, "texts": {text: _(text) for text in (*texts(), *kinds)}}
