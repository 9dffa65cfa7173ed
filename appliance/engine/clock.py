"""What the lanes of an engine have done since it began: for the page, the metrics, the bench.

Not here: how large turns are and how long they take lately (size).
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.engine.waiting import Window


class Clock:
    """Sums over all turns. Used under the batcher's lock."""

    def __init__(self) -> None:
        self.seconds = 0.0  # in turns, over all lanes
        self.turns = 0
        self.windows = 0
        self.sound = 0.0  # seconds of sound in them

    def turn(self, seconds: float, batch: Sequence[Window]) -> None:
        """Count one."""
        self.seconds += seconds
        self.turns += 1
        self.windows += len(batch)
        self.sound += sum(window.hearing.ask.seconds for window in batch)

    def facts(self) -> dict[str, float]:
        """As plain numbers."""
        return {
            "turn_seconds": self.seconds,
            "turns": self.turns,
            "windows": self.windows,
            "sound_seconds": self.sound,
        }
