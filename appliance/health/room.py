"""How much room the box has: on the disks of its state and its spool, and in the spool itself.

Not here: what follows from too little (stage, gates, ready, checks).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from appliance.settings import Settings


def tightest(settings: Settings) -> tuple[str, int]:
    """The folder of ours with the least room on its disk, and the bytes that are free there.

    The spool may be a disk of its own.
    """
    folders = [settings.state_dir, settings.state("spool")]
    free = {one: shutil.disk_usage(one).free for one in folders if os.path.isdir(one)}
    where = min(free, key=lambda one: free[one])
    return where, free[where]


def staged(spool: str, *, but: int | None = None) -> int:
    """Bytes of our copies of recordings, those of the job `but` not counted."""
    return sum(_sizes(spool, str(but)))


def _sizes(spool: str, but: str) -> Iterator[int]:
    for entry in os.scandir(spool) if os.path.isdir(spool) else ():
        if entry.name == but:
            continue
        for name in ("source", "source.part"):
            with contextlib.suppress(OSError):
                yield os.stat(os.path.join(entry.path, name)).st_size
