"""``python -m hvlab`` and the ``hvlab`` command."""

import sys

from hvlab.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
