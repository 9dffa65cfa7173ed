"""What libav and Python say about a file: so much of it, so long, and nothing that was read in it.

It goes to the worker, for the log of the attempt: a child that reads a stranger's file has no log
of its own. Libav quotes what it stumbles over: tags, names, whole lines. What stands in quotation
marks is left out, since a log holds nothing of what a recording holds.

Not here: what a refused file is (refusals), the log it goes to (the worker's).
"""

from __future__ import annotations

import logging
import os
import re
import traceback
from typing import Final

from appliance import journal

LINES: Final = 200  # of one attempt
LENGTH: Final = 300  # characters of one line
_QUOTED: Final = re.compile(r"""'[^']*(?:'|$)|"[^"]*(?:"|$)|`[^`']*(?:[`']|$)""", re.DOTALL)
_FRAMES: Final = 6  # of a bug's, the innermost


class Complaints(logging.Handler):
    """What is said, kept for the worker, until it is enough."""

    def __init__(self) -> None:
        super().__init__()
        self._left = LINES
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one; a bug is taken however much was said before it."""
        if not self._left:
            if record.exc_info:
                self._kept.append(_said(record))
            return
        self._left -= 1
        said = _said(record)
        self._kept.append(said if self._left else f"{said} (and more, which is left out)")

    def taken(self) -> tuple[str, ...]:
        """Hand out what was not handed out yet."""
        kept, self._kept = self._kept, []
        return tuple(kept)


def _said(record: logging.LogRecord) -> str:
    said = f"{record.name}: {without_content(record.getMessage())}"
    trace = record.exc_info[2] if record.exc_info else None
    where = [
        f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)[-_FRAMES:]
    ]
    return f"{said} at {' > '.join(where)}" if where else said


def without_content(said: str) -> str:
    """What libav said, without what it read: what is in quotation marks, what is no ASCII."""
    left = _QUOTED.sub("'…'", said.strip())
    return journal.visible("".join(c if c.isascii() or c == "…" else "?" for c in left))[:LENGTH]


_heard: Final = Complaints()
taken = _heard.taken


def listen() -> None:
    """Hear libav from now on, and nobody else does."""
    logger = logging.getLogger("libav")
    logger.addHandler(_heard)
    logger.propagate = False


def to_the_worker_alone() -> None:
    """Hear everything else from now on, too: warnings, bugs, what we say ourselves."""
    logging.captureWarnings(True)
    logging.getLogger().handlers[:] = [_heard]
