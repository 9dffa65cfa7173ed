"""How many windows one turn may have: what memory bears, and what others can wait for.

A turn cannot be interrupted, so it should be short: a memo that arrives in the middle of one
waits for its end. It is also cheaper the more windows share it. So a turn may have as many
as are heard in about a second, by what turns have cost lately, but always a few. Short inputs
take as much less memory and time as they are shorter: up to twice as many of them share a turn.
While short recordings come, turns of long ones are brief: each of them may have to wait for one.

Memory that does not suffice halves the size at once; many good turns later it is tried again.

Not here: who shares the turn (waiting), running it (batcher).
"""

from __future__ import annotations

from typing import Final

from appliance.nouns import MEL_FRAMES

TURN_SECONDS: Final = 1.0
LEAST: Final = 4  # on a processor most of the gain; a GPU has heard them in no time
LONGEST_SECONDS: Final = 30.0  # where even those take too long, fewer
BRIEF_SECONDS: Final = 0.5
_BRIEF: Final = 2  # windows, however long they take: one alone costs half as much again
_SHORT_ONES: Final = 2  # times as many at most: what the text takes is the same for all
_NEWEST: Final = 0.25  # weight of the newest turn in what turns have cost
_GOOD_TURNS: Final = 200  # before a size that was too large is tried again


class Size:
    """The size of one model's turns. Used under the batcher's lock."""

    def __init__(self, most: int) -> None:
        """`most` windows are known to fit."""
        self._known = most
        self.most = most
        self._good = 0
        self._cost: dict[int, float] = {}  # seconds a window, by the frames of its input

    def fits(self, frames: int) -> int:
        """How many windows of this length the next turn may have."""
        most, least = self._of(self.most, frames), self._of(LEAST, frames)
        cost = self._cost.get(frames)
        if not cost:
            return most
        wanted = max(int(TURN_SECONDS / cost), min(least, int(LONGEST_SECONDS / cost)))
        return min(most, max(1, wanted))

    def brief(self, frames: int) -> int:
        """How many it may have while somebody may come who waits for its end."""
        cost = self._cost.get(frames)
        return min(self.fits(frames), max(_BRIEF, int(BRIEF_SECONDS / cost) if cost else 0))

    @staticmethod
    def _of(full: int, frames: int) -> int:
        """So many windows of this length instead of `full` ones of 30 s."""
        if full == 1:  # the least there is: a smaller turn must be possible until then
            return 1
        return min(full * MEL_FRAMES // frames, _SHORT_ONES * full)

    def took(self, seconds: float, windows: int, frames: int) -> None:
        """A turn went well."""
        cost = seconds / windows
        before = self._cost.get(frames, cost)
        self._cost[frames] = before + _NEWEST * (cost - before)
        self._good += 1
        if self._good >= _GOOD_TURNS and self.most < self._known:
            self.most, self._good = min(2 * self.most, self._known), 0

    def too_large(self, windows: int) -> bool:
        """A turn of so many did not fit; tell whether a smaller one is worth trying."""
        self._good = 0
        self.most = max(1, min(self.most, windows) // 2)
        return windows > 1

    def speed(self) -> float | None:
        """Seconds of full-length input heard in a second of one lane; None before the first."""
        costs = [(frames / 100) / cost for frames, cost in self._cost.items() if cost > 0]
        return max(costs, default=None)
