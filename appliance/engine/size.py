"""How many windows one turn may have: what memory bears, and what others can wait for.

A turn cannot be interrupted, so it should be short: a memo that arrives in the middle of one
waits for its end. It is also cheaper the more windows share it. So a turn may take about a
second, by what turns have taken lately, or twice what it takes however few windows are in it: to
be shorter than that saves little time and costs much. And it always has a few. While short
recordings come, turns of long ones are brief: each of them may have to wait for one.

On a processor short inputs take as much less memory and time as they are shorter, and what the
text takes is shared by more: up to twice as many of them make a turn.

Memory that does not suffice halves the size at once; many good turns later it is tried again.

Not here: who shares the turn (waiting), running it (batcher).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.nouns import MEL_FRAMES

TURN_SECONDS: Final = 1.0
BRIEF_SECONDS: Final = 0.5
LEAST: Final = 4  # on a processor most of the gain; a GPU has heard them in no time
_BRIEF: Final = 2  # windows, until turns have told what is fixed in them: it may be much
LONGEST_SECONDS: Final = 30.0  # where even those take too long, fewer
_OLDER: Final = 0.85  # weight of what turns have cost, for each one since
_ALIKE: Final = 0.01  # turns of so similar sizes do not tell what is fixed in them
_GOOD_TURNS: Final = 200  # before a size that was too large is tried again


@dataclass(slots=True)
class _Took:
    """What turns of one length have taken: sums over them, the older the lighter."""

    turns: float = 0.0
    windows: float = 0.0
    seconds: float = 0.0
    squares: float = 0.0
    products: float = 0.0

    def add(self, windows: int, seconds: float) -> None:
        self.turns = self.turns * _OLDER + 1
        self.windows = self.windows * _OLDER + windows
        self.seconds = self.seconds * _OLDER + seconds
        self.squares = self.squares * _OLDER + windows * windows
        self.products = self.products * _OLDER + windows * seconds

    @property
    def each(self) -> float:
        """Seconds a window, all told."""
        return self.seconds / self.windows

    @property
    def _spread(self) -> float:
        return self.turns * self.squares - self.windows**2

    @property
    def tells(self) -> bool:
        """Whether turns were unlike enough to tell what is fixed in them."""
        return self._spread >= _ALIKE * self.windows**2

    def parts(self) -> tuple[float, float]:
        """Seconds that a turn takes anyway, and for each window: a line through the turns."""
        if not self.tells:
            return 0.0, self.each
        slope = (self.turns * self.products - self.windows * self.seconds) / self._spread
        slope = min(max(slope, self.each / 100), self.each)  # more windows never take less
        return (self.seconds - slope * self.windows) / self.turns, slope

    def within(self, seconds: float) -> int:
        """How many windows are heard in that time, or in twice what a turn takes anyway."""
        fixed, each = self.parts()
        return int((max(seconds, 2 * fixed) - fixed) / each)


class Size:
    """The size of one model's turns. Used under the batcher's lock."""

    def __init__(self, most: int, *, short_ones: int = 1) -> None:
        """`most` windows are known to fit, of short ones up to `short_ones` times as many."""
        self._known = most
        self.most = most
        self._short_ones = short_ones
        self._good = 0
        self._took: dict[int, _Took] = {}  # by the frames of their input

    def fits(self, frames: int) -> int:
        """How many windows of this length the next turn may have."""
        most, least = self._of(self.most, frames), self._of(LEAST, frames)
        took = self._took.get(frames)
        if took is None or not took.each:
            return most
        wanted = max(took.within(TURN_SECONDS), min(least, int(LONGEST_SECONDS / took.each)))
        return min(most, max(1, wanted))

    def brief(self, frames: int) -> int:
        """How many it may have while somebody may come who waits for its end."""
        took = self._took.get(frames)
        wanted = took.within(BRIEF_SECONDS) if took and took.each else 0
        return min(self.fits(frames), max(1 if took and took.tells else _BRIEF, wanted))

    def _of(self, full: int, frames: int) -> int:
        """So many windows of this length instead of `full` ones of 30 s."""
        if full == 1:  # the least there is: a smaller turn must be possible until then
            return 1
        return min(full * MEL_FRAMES // frames, self._short_ones * full)

    def took(self, seconds: float, windows: int, frames: int) -> None:
        """A turn went well."""
        self._took.setdefault(frames, _Took()).add(windows, seconds)
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
        found = [(frames / 100) / took.each for frames, took in self._took.items() if took.each]
        return max(found, default=None)
