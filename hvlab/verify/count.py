"""How many cases were compared, how many agreed, and the first that did not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass
class Count:
    """Cases of one file; `first` tells the first disagreement in full, `note` what was left out and why."""

    cases: int = 0
    agree: int = 0
    first: str = ""
    note: str = ""

    @property
    def differ(self) -> int:
        return self.cases - self.agree

    def add(self, agree: npt.NDArray[np.bool_], tell: Callable[[int], str]) -> None:
        """Count an array of answers; `tell` describes the disagreement at an index (called for the first only)."""
        self.cases += len(agree)
        self.agree += int(np.count_nonzero(agree))
        if not self.first and not agree.all():
            self.first = tell(int(np.argmin(agree)))
