"""A second copy of the engine whose recorder was compiled out, beside the real one in the same process."""

import atexit
import importlib
import os
import shutil
import sys
import tempfile
from types import ModuleType
from typing import Any


def without_events() -> ModuleType:
    """Import the engine once more with a recorder that does nothing; return its processor module.

    The copy gets its own cache folder: numba's cache key does not see which recorder a kernel was compiled with.
    """
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "hvlab"}
    folder = os.environ.get("NUMBA_CACHE_DIR")
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="hvlab-twin-")
    atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)
    try:
        kernel = importlib.import_module("hvlab.kernel").kernel
        declarations: Any = importlib.import_module("hvlab.trace.event")
        declarations.record = kernel(nothing)
        return importlib.import_module("hvlab.hardware.processor")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "hvlab"]:
            del sys.modules[name]
        sys.modules.update(kept)
        if folder is None:
            del os.environ["NUMBA_CACHE_DIR"]
        else:
            os.environ["NUMBA_CACHE_DIR"] = folder


def nothing(m, trace, kind, actor, cause, a, b, c, d, e, f):  # type: ignore[no-untyped-def]
    """Stand in for the recorder."""
    return cause
