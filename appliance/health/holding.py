"""How jobs are held to their limits in here: chosen once when a worker starts, kept for all.

Not here: the groups themselves (limits), walls around a decoder (isolation).
"""

from __future__ import annotations

import os
from typing import Final

from appliance.errors import LimitsWeak
from appliance.limits import Mode, Place

_FILE: Final = "limits"
HOW: Final = {
    Mode.CGROUP2: "the kernel holds memory, processors and processes of each job",
    Mode.PARTIAL: "jobs end as groups, but memory is only looked at, and processors are not held",
    Mode.RLIMIT: "each process has limits of its own, and memory is only looked at",
}


def keep(run_dir: str, place: Place) -> None:
    """Keep in `run_dir` how it is done."""
    file = os.path.join(run_dir, _FILE)
    with open(f"{file}.new", "w", encoding="ascii") as stream:
        stream.write(place.mode)
    os.replace(f"{file}.new", file)


def known(run_dir: str) -> Mode | None:
    """How the last worker to start does it; None where none has since the box did."""
    try:
        with open(os.path.join(run_dir, _FILE), encoding="ascii") as stream:
            return Mode(stream.read())
    except (OSError, ValueError):
        return None


def weakness(mode: Mode) -> LimitsWeak | None:
    """What a person who wants them held by the kernel should know; None where they are."""
    return None if mode is Mode.CGROUP2 else LimitsWeak(how=HOW[mode])
