"""hvlab: Hyper-V as a machine of bytes and registers, whose every step can be watched in a notebook.

The names below are what a notebook imports. Each is fetched when it is first used, so that a command such as
``hvlab doctor`` loads neither the compiler nor a plotting library.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME: dict[str, str] = {
    "HvlabError": "hvlab.errors",
    "Machine": "hvlab.machine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"hvlab has no {name!r}; it has {', '.join(sorted(_HOME))}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
