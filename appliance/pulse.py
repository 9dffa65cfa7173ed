"""What the engine last said of itself: a small file in the runtime folder, written every second.

Not here: what it hears (wire), whether its door opens (health).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final

_STALE_SECONDS: Final = 15.0


def write(run_dir: str, facts: Mapping[str, object]) -> None:
    """Say how it goes. A disk that takes nothing is no reason to stop."""
    file = _file(run_dir)
    with contextlib.suppress(OSError):
        with open(f"{file}.new", "w", encoding="ascii") as stream:
            json.dump({"at": time.time(), **facts}, stream)
        os.replace(f"{file}.new", file)


def read(run_dir: str) -> dict[str, Any]:
    """What it said, if that was lately; else nothing."""
    try:
        with open(_file(run_dir), encoding="ascii") as stream:
            facts = json.load(stream)
        fresh = abs(time.time() - facts["at"]) < _STALE_SECONDS
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return facts if fresh else {}


def speed(run_dir: str) -> float | None:
    """Seconds of sound it hears in a second, at full length; None while that is not known."""
    known = [model.get("speed") for model in read(run_dir).get("models", {}).values()]
    return max((one for one in known if one), default=None)


def _file(run_dir: str) -> str:
    return os.path.join(run_dir, "engine-0.json")
