"""An answer to a question about the box: how bad it is, in a sentence, and what to do.

Not here: the questions (checks, keeping, doctor).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from appliance.errors import ApplianceError


class Level(enum.IntEnum):
    """How bad it is."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer."""

    code: str  # of the check that asked
    level: Level
    text: str
    remedy: str = ""
    subject: str = ""  # which of several: the name of a share, a model, a channel
    error: str | None = None  # code in the catalogue, where it has one
    since_ms: int | None = None  # where the ledger knows it

    @property
    def name(self) -> str:
        """What tells it from every other: "disk", "share meetings"."""
        return f"{self.code} {self.subject}".rstrip()


_ANY: Final = "a recording"


def named(
    code: str,
    error: ApplianceError,
    *,
    subject: str = "",
    level: Level = Level.FAIL,
    since_ms: int | None = None,
) -> Finding:
    """The finding that a named error makes.

    A recording stays unnamed in it: what is wrong with the box goes to people, and over
    wires, that no name of a file has to go to.
    """
    if "name" in error.detail:
        error = type(error)(**{**error.detail, "name": _ANY})
    return Finding(code, level, error.sentence, error.next_step, subject, error.code, since_ms)
