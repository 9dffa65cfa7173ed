"""How fast a job gets on, by its own account, and when it will be done.

Not here: what counts as done (tally).
"""

from __future__ import annotations

import math
from typing import Final

_LEAST_SECONDS: Final = 20.0  # of memory, so that a batch does not make it jump
_OF_ELAPSED: Final = 0.5  # a long job remembers for longer


class Pace:
    """Seconds of recording heard in a second, lately."""

    def __init__(self, now: float) -> None:
        """`now` is any clock that only goes forward, in seconds."""
        self._begun = self._at = now
        self._done: float | None = None
        self._heard = 0.0  # seconds of recording, the older the lighter
        self._took = 0.0  # seconds of clock, likewise

    def moved(self, now: float, done: float) -> None:
        """So much is done. What the first call names was there before us and does not count."""
        passed, self._at = now - self._at, now
        if self._done is not None and passed > 0:
            memory = max(_LEAST_SECONDS, _OF_ELAPSED * (now - self._begun))
            fading = math.exp(-passed / memory)
            self._heard = self._heard * fading + max(0.0, done - self._done)
            self._took = self._took * fading + passed
        self._done = done

    def jumped(self, done: float) -> None:
        """So much is done, and some of it by an attempt before us."""
        self._done = done

    def speed(self) -> float | None:
        """Times real time; None while nothing has moved."""
        return self._heard / self._took if self._heard > 0 and self._took > 0 else None

    def left(self, total: float | None) -> float | None:
        """Seconds until `total` is done, at this pace; None where nobody can say."""
        speed = self.speed()
        if speed is None or total is None or self._done is None:
            return None
        return max(0.0, total - self._done) / speed
