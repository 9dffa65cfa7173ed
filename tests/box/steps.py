"""How a lane tells what it found: the first thing that is not as it should be ends it.

Not here: what is asked (each lane's own).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

_MOST: Final = 6000  # letters of what was told, its end


def say(text: str) -> None:
    """Say it at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def expect(is_so: bool, text: str, told: str | Callable[[], str] = "") -> None:
    """Go on where it is so; else say what was `told`, which may have to be asked for."""
    if not is_so:
        say((told if isinstance(told, str) else told())[-_MOST:])
        raise SystemExit(f"NOT SO: {text}")
    say(f"  {text}")
