"""What libav says about a file: so much of it, so long, and nothing that was read in the file.

Libav quotes what it stumbles over: tags, names, whole lines. What stands in quotation
marks is left out, since a log holds nothing of what a recording holds.

Not here: what a refused file is (refusals), the log it goes to (journal, the worker's).
"""

from __future__ import annotations

import logging
import re
from typing import Final

from appliance import journal

LINES: Final = 200  # of one attempt
LENGTH: Final = 300  # characters of one line
_QUOTED: Final = re.compile(r"""'[^']*(?:'|$)|"[^"]*(?:"|$)|`[^`']*(?:[`']|$)""", re.DOTALL)
log = logging.getLogger("appliance.decode")


class Complaints(logging.Handler):
    """Libav's complaints: to our log, and kept for the worker, until they are enough."""

    def __init__(self) -> None:
        super().__init__()
        self._left = LINES
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one."""
        if not self._left:
            return
        self._left -= 1
        said = f"{record.name}: {without_content(record.getMessage())}"
        log.info("%s", said)
        self._kept.append(said if self._left else f"{said} (and more, which is left out)")

    def taken(self) -> tuple[str, ...]:
        """Hand out what was not handed out yet."""
        kept, self._kept = self._kept, []
        return tuple(kept)


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
