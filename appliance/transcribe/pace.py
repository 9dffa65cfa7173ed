"""How fast a job gets on, by its own account, and when it will be done.

Not here: what counts as done (tally).
"""

from __future__ import annotations

import math
from typing import Final

_LEAST_SECONDS: Final = 20.0  # of memory, so that a batch does not make it jump
_OF_ELAPSED: Final = 0.5  # a long job remembers for longer


class Pace:
    """Seconds of recording heard in a second, lately: from one turn that brought some to the next.

    Between two turns nothing moves, and that is no sign of anything until it lasts for longer
    than the last time. Looked at by the clock instead, a job of ten turns was told up to half
    as long again as it took.
    """

    def __init__(self, now: float) -> None:
        """`now` is any clock that only goes forward, in seconds."""
        self._begun = self._at = now  # when something moved
        self._done = 0.0
        self._heard = 0.0  # seconds of recording, the older the lighter
        self._took = 0.0  # seconds of clock, likewise
        self._usual = 0.0  # seconds that nothing moved before it did

    def moved(self, now: float, done: float) -> None:
        """So much is done."""
        passed = now - self._at
        if done <= self._done or passed <= 0:
            return
        memory = max(_LEAST_SECONDS, _OF_ELAPSED * (now - self._begun))
        fading = math.exp(-passed / memory)
        self._heard = self._heard * fading + done - self._done
        self._took = self._took * fading + passed
        self._at, self._done, self._usual = now, done, passed

    def jumped(self, now: float, done: float) -> None:
        """So much is done, and not by the engine: an attempt before us was, or nobody speaks."""
        self._at, self._done = now, done

    def speed(self, now: float) -> float | None:
        """Times real time; None while nothing has moved."""
        late = max(0.0, now - self._at - self._usual)
        return self._heard / (self._took + late) if self._heard > 0 else None

    def left(self, now: float, total: float | None) -> float | None:
        """Seconds until `total` is done, at this pace; None where nobody can say."""
        speed = self.speed(now)
        if speed is None or total is None:
            return None
        on_the_way = min(now - self._at, self._usual)
        return max(0.0, (total - self._done) / speed - on_the_way)
