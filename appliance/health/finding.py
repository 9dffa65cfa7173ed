"""An answer to a question about the box: how bad it is, in a sentence, and what to do.

Not here: the questions (checks, keeping, doctor).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.IntEnum):
    """How bad it is."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer."""

    code: str
    level: Level
    text: str
    remedy: str = ""
