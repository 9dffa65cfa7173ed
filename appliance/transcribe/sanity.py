"""Whether a window, or an end, that a decode child names can be one: it has read a stranger's file.

Not here: what follows when it cannot (relay).
"""

from __future__ import annotations

import math
from typing import Final

from appliance.nouns import WINDOW_SECONDS, Window
from appliance.wire import Ended

START_SLACK_SECONDS: Final = 60.0  # a track may begin before the container's zero
# Of a window: pieces are parted by 0.16 s of silence at least, so 157 are the most there can be.
_MOST_PIECES: Final = 400


def is_sane(window: Window, since: float, most: float) -> bool:
    """Tell whether a window lies in the recording, behind the one before it, and fits the model."""
    # Two neighbours have more than one window's sound, or they would be one.
    if window.index > 2 * (most + 2 * START_SLACK_SECONDS) / WINDOW_SECONDS + 8:
        return False
    if not 0 < len(window.pieces) <= _MOST_PIECES or window.seconds > WINDOW_SECONDS + 0.1:
        return False
    for piece in window.pieces:
        if not since - 0.001 <= piece.start < piece.end <= most + 2 * START_SLACK_SECONDS:
            return False
        since = piece.end
    return True


def is_an_end(ended: Ended, windows: int, most: float) -> bool:
    """Tell whether a recording can end like this, of which so many windows came."""
    told = (ended.seconds, ended.speech, ended.missing, ended.blank)
    return (
        ended.windows == windows
        and all(math.isfinite(one) and one >= 0 for one in told)
        and max(ended.seconds, ended.speech) <= most + 2 * START_SLACK_SECONDS
    )
