"""Whether what a decode child says can be so: it has read a stranger's file.

Not here: what follows when it cannot (relay).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from appliance.nouns import WINDOW_SECONDS, Window
from appliance.wire import Ended

START_SLACK_SECONDS: Final = 60.0  # a track may begin before the container's zero
# Of a window: pieces are parted by 0.16 s of silence at least, so 157 are the most there can be.
_MOST_PIECES: Final = 400
# Of an attempt, whatever its file is: a decoder keeps to 200 lines and a bug, of 300 characters
# and a name or a place. Reading the longest frame there can be costs everybody a quarter second.
_MOST_SAID: Final = 400
_LONGEST_SAID: Final = 2_000


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


class Patience:
    """How much of a child's talk is borne with."""

    def __init__(self) -> None:
        self._left = _MOST_SAID

    def bears(self, lines: Sequence[str]) -> bool:
        """Tell whether it may say that as well; a frame with no lines is one, too."""
        self._left -= max(1, len(lines))
        return self._left >= 0 and all(len(line) <= _LONGEST_SAID for line in lines)
