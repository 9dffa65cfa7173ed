"""What the appliance costs, beside bare faster-whisper in the same run: `make bench`.

Each part is a module with `run(amount) -> list[Figure]`; `python -m tests.bench NAME` runs one,
`python -m tests.bench` all of them and writes docs/performance.*. A ratio compares things that
were measured in the same run, by turns; absolute seconds belong to the machine that is named.

`box` runs the appliance, `peers` and `peer` the programs beside it, `report` writes what came
of it. `scale` and `long_recordings` also run alone.
"""

from __future__ import annotations

import enum
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


class Amount(enum.Enum):
    """How much is measured."""

    SMOKE = "smoke"  # whether the harness works: no figure means anything
    SHORT = "short"  # all parts together in a quarter of an hour
    FULL = "full"  # an hour and a half


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, and the bar it has to meet where there is one."""

    what: str
    value: float
    unit: str = ""
    least: float | None = None  # the bar
    most: float | None = None
    how: str = ""  # from which numbers it came

    @property
    def met(self) -> bool | None:
        """Whether it meets its bar; None where there is none."""
        if self.least is None and self.most is None:
            return None
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)

    @property
    def bar(self) -> str:
        """The bar as one writes it."""
        bounds = [f"≥ {self.least:g}"] if self.least is not None else []
        bounds += [f"≤ {self.most:g}"] if self.most is not None else []
        return ", ".join(bounds)

    @property
    def mark(self) -> str:
        """What stands before its line."""
        return {True: "ok", False: "MISSED", None: ""}[self.met]


_SHORT_OF_MANY: Final = 95  # percentile


def median(numbers: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(numbers)


def p95(numbers: Sequence[float]) -> float:
    """What 95 of 100 do not exceed (nearest rank)."""
    ordered = sorted(numbers)
    return ordered[max(0, -(-len(ordered) * _SHORT_OF_MANY // 100) - 1)]


def listed(numbers: Sequence[float], digits: int = 1) -> str:
    """The runs behind a median, for whoever wants to see how far they lie apart."""
    return " ".join(f"{number:.{digits}f}" for number in numbers)
