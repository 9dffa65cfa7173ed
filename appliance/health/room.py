"""How much room the box has: on the disks of its state and its spool, and in the spool itself.

Not here: what follows from too little (stage, gates, checks).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.health.finding import Level
from appliance.settings import GB, DiskSettings, Settings

# What was told is taken back only with a tenth more room than where it began, and a percent:
# a disk that lingers at its limit must not tell the same thing again and again.
_SLACK: Final = 1.1
_SLACK_PERCENT: Final = 1.0
_BLOCK: Final = 512  # bytes, of st_blocks (stat(2))


@dataclass(frozen=True, slots=True)
class Room:
    """A disk that holds a folder of ours."""

    where: str
    free: int  # bytes that we may use
    total: int

    @property
    def used_percent(self) -> float:
        """How full it is."""
        return 100 * (1 - self.free / self.total) if self.total else 100.0

    def judged(self, limits: DiskSettings, was: Level = Level.OK) -> Level:
        """How bad that is, where it was told to be `was` before."""
        free = self.free / GB
        if free < limits.stop_below_gb * (_SLACK if was >= Level.FAIL else 1.0):
            return Level.FAIL
        more, less = (_SLACK, _SLACK_PERCENT) if was >= Level.WARN else (1.0, 0.0)
        full = self.used_percent > limits.warn_above_percent - less
        return Level.WARN if full or free < limits.warn_below_gb * more else Level.OK


def rooms(settings: Settings) -> list[Room]:
    """The disks of our folders, the one with the least room first. The spool may have its own."""
    folders = [_there(settings.state_dir), settings.state("spool")]
    found = [(one, shutil.disk_usage(one)) for one in folders if os.path.isdir(one)]
    # Not `total`: a file system keeps some for root.
    every = [Room(where, disk.free, disk.used + disk.free) for where, disk in found]
    return sorted(every, key=lambda room: room.free)


def _there(folder: str) -> str:
    """The folder itself, or what it will be made in."""
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder


def tightest(settings: Settings) -> tuple[str, int]:
    """The folder of ours with the least room on its disk, and the bytes that are free there."""
    room = rooms(settings)[0]
    return room.where, room.free


def is_enough_again(settings: Settings) -> bool:
    """Tell whether work that stopped for want of room may go on."""
    return all(room.judged(settings.disk, Level.FAIL) is not Level.FAIL for room in rooms(settings))


@dataclass(frozen=True, slots=True)
class Spooled:
    """Our copies of recordings, those that are being made included."""

    size: int  # bytes that they have, or will have when they are whole
    promised: int  # of those, what has not been written yet


def spooled(spool: str, *, but: int | None = None) -> Spooled:
    """What lies in the spool, that of the job `but` not counted."""
    found = list(_sizes(spool, str(but)))
    promised = sum(max(0, one.st_size - one.st_blocks * _BLOCK) for one in found)
    return Spooled(sum(one.st_size for one in found), promised)


def left(spool: str, *, limit: int, keep_free: int, but: int | None = None) -> int:
    """Bytes that one more recording may take, the job `but` left aside; less than none: 0.

    All may take `limit` together, one alone whatever there is; `keep_free` of the disk stay free.
    """
    others = spooled(spool, but=but)
    free = shutil.disk_usage(spool).free - others.promised - keep_free
    return max(0, min(free, limit - others.size) if others.size else free)


def _sizes(spool: str, but: str) -> Iterator[os.stat_result]:
    for entry in os.scandir(spool) if os.path.isdir(spool) else ():
        if entry.name == but:
            continue
        for name in ("source", "source.part"):
            with contextlib.suppress(OSError):
                yield os.stat(os.path.join(entry.path, name))
