"""The code behind a name: what a lesson does not spell out in a cell."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import hvlab
from hvlab.errors import BadRequest, plain

HOME: Final = Path(hvlab.__file__).parent


@dataclass(frozen=True)
class Source:
    """The text of a function or class of hvlab, and where it stands."""

    file: str
    line: int
    text: str

    def __repr__(self) -> str:
        return f"# {self.file}, line {self.line}\n{self.text}"


def source(what: Callable[..., Any] | str) -> Source:
    """Return the code of a function or class of hvlab.

    Parameters
    ----------
    what
        The function or class itself, or its name within hvlab: ``"hardware.processor.walk"``.

    Raises
    ------
    BadRequest
        If it is not one of hvlab's.
    """
    found = named(what) if isinstance(what, str) else what
    found = getattr(found, "py_func", found)  # compiled: the Python that it was made from
    try:
        lines, line = inspect.getsourcelines(found)
        path = Path(inspect.getsourcefile(found) or "")
    except (TypeError, OSError):
        lines, line, path = [], 0, Path()
    if not lines or not path.is_relative_to(HOME):
        raise BadRequest(
            f"the source of {plain(what, 60)}", "", "a function or class of hvlab, or hardware.processor.walk"
        )
    return Source(f"hvlab/{path.relative_to(HOME).as_posix()}", line, "".join(lines).rstrip())


def named(name: str) -> Any:
    """Return what a dotted name within hvlab means; None if nothing."""
    module, _dot, last = name.removeprefix("hvlab.").rpartition(".")
    if not module:
        return getattr(hvlab, name, None)
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    try:
        return getattr(import_module(f"hvlab.{module}"), last, None)
    except ImportError:
        return None
