"""A stretch of speech laid out in lines: what fits, and where a line ends best.

In: units between two pauses. Out: how far a line or a cue may reach, and the lines of a
cue. It knows widths and prices, no times.

Not here: which units make a cue and when it shows (cues), what a break costs (phrases).
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.export.units import Unit

_TOP_HEAVY = 3.0  # a first line longer than the second hides more of the picture
_UNEVEN = 0.25  # a column of difference


class Layout:
    """Units side by side, measured in columns. Positions count units from 0."""

    def __init__(self, units: Sequence[Unit], prices: Sequence[float], line: int) -> None:
        self._units = units
        self._prices = prices
        self._left: list[int] = []  # column where a unit begins, were all on one line
        self._right: list[int] = []
        column = 0
        for unit in units:
            self._left.append(column + unit.spaced)
            column += unit.spaced + unit.columns
            self._right.append(column)
        self._line_last = self._fill(line)

    def width(self, first: int, last: int) -> int:
        """Columns from one unit to another, the spaces between them included."""
        return self._right[last] - self._left[first]

    def reach(self, first: int, lines: int) -> int:
        """Find the last unit that still fits on so many lines; a unit too wide fills one."""
        last = self._line_last[first]
        for _ in range(lines - 1):
            if last + 1 == len(self._units):
                break
            last = self._line_last[last + 1]
        return last

    def wrap(self, first: int, last: int, lines: int) -> tuple[str, ...]:
        """Write the units on as few lines as hold them, each ending where it reads best."""
        if self._line_last[first] >= last:
            return (self._text(first, last),)
        needed = next(count for count in range(2, lines + 1) if self.reach(first, count) >= last)
        ends = range(first, min(self._line_last[first], last - 1) + 1)
        fitting = [end for end in ends if self.reach(end + 1, needed - 1) >= last]
        end = min(fitting, key=lambda end: self._strain(first, end, last, needed))
        return (self._text(first, end), *self.wrap(end + 1, last, needed - 1))

    def _fill(self, line: int) -> list[int]:
        lasts = []
        last = 0
        for first in range(len(self._units)):
            last = max(first, last)
            while last + 1 < len(self._units) and self.width(first, last + 1) <= line:
                last += 1
            lasts.append(last)
        return lasts

    def _strain(self, first: int, end: int, last: int, lines: int) -> float:
        top = self.width(first, end)
        rest = self.width(end + 1, last) / (lines - 1)
        return self._prices[end] + _UNEVEN * abs(rest - top) + _TOP_HEAVY * (top > rest)

    def _text(self, first: int, last: int) -> str:
        head, *rest = self._units[first : last + 1]
        return head.text + "".join(" " * unit.spaced + unit.text for unit in rest)
