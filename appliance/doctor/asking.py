"""A question to a child that may hang: what it said, or that it did not end in time.

Not here: what is asked (its neighbours, support).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_LEAVE_SECONDS: Final = 1.0
_LONGEST: Final = 32_000_000  # bytes of an answer
PYTHON: Final = sys.executable


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child said; `code` None: it did not end in time, or there is no such program."""

    said: bytes
    complained: str
    code: int | None

    @property
    def plain(self) -> object:
        """What it said as JSON; None where it is none."""
        try:
            return json.loads(self.said)
        except ValueError:
            return None


def ask(
    argv: Sequence[str], seconds: float, *, environment: Mapping[str, str] = MappingProxyType({})
) -> Answer:
    """Run a program for so long at most, with `environment` beside our own.

    What it said until then is kept. One that hangs in the kernel is killed and left behind:
    nobody waits for it.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
                env={**os.environ, **environment},
            )
        except OSError:
            return Answer(b"", "", None)
        code: int | None = None
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_LEAVE_SECONDS)
        said.seek(0)
        complained.seek(0)
        told = complained.read(_LONGEST).decode("utf-8", "replace")
        return Answer(said.read(_LONGEST), told, code)


def program(text: str, seconds: float) -> Answer:
    """Run a few lines of our own Python."""
    return ask([PYTHON, "-P", "-c", text], seconds)
