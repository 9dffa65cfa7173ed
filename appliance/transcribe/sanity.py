"""Whether a window that a decode child names can be one: the child has read a stranger's file.

Not here: what follows when it cannot (relay).
"""

from __future__ import annotations

from typing import Final

from appliance.nouns import WINDOW_SECONDS, Window

START_SLACK_SECONDS: Final = 60.0  # a track may begin before the container's zero
_MOST_PIECES: Final = 1_000  # of a window: half a minute of the shortest words


def is_sane(window: Window, since: float, most: float) -> bool:
    """Tell whether a window lies in the recording, behind the one before it, and fits the model."""
    if not 0 < len(window.pieces) <= _MOST_PIECES or window.seconds > WINDOW_SECONDS + 0.1:
        return False
    for piece in window.pieces:
        if not since - 0.001 <= piece.start < piece.end <= most + 2 * START_SLACK_SECONDS:
            return False
        since = piece.end
    return True
