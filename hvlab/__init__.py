"""hvlab: Hyper-V as a machine of bytes and registers, whose every step can be watched in a notebook.

The names below are what a notebook imports. Each is fetched when it is first used, so that a command such as
``hvlab doctor`` loads neither the compiler nor a plotting library.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME: dict[str, str] = {
    "EptEntry": "hvlab.wire.x64",
    "Geometry": "hvlab.hardware.tlb",
    "HvlabError": "hvlab.errors",
    "Machine": "hvlab.machine",
    "PageTableEntry": "hvlab.wire.x64",
    "WRITE": "hvlab.hardware.processor",
    "again": "hvlab.lab.predict",
    "compare": "hvlab.story.compare",
    "costs": "hvlab.view.figures",
    "hit_rates": "hvlab.view.figures",
    "left_out": "hvlab.lab.left_out",
    "load": "hvlab.capture.load",
    "one_walk": "hvlab.lab.walks",
    "predict": "hvlab.lab.predict",
    "sample": "hvlab.capture.samples",
    "show": "hvlab.view",
    "study": "hvlab.lab.study",
    "sweep_pages": "hvlab.lab.study",
    "sweep_tlb": "hvlab.lab.study",
    "tell": "hvlab.lab.tell",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"hvlab has no {name!r}; it has {', '.join(sorted(_HOME))}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
