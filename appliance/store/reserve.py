"""A file that holds nothing but room: the last writes of a full disk go where it lay.

When the disk is full, the ledger must still be able to say so: that a job waits, and that
the gate is closed. `reserve` in the state directory is given up for that, and made again
when there is room.

Not here: who notices that the disk is full (ledger), when there is room again (recover).
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

NAME: Final = "reserve"
_FULL_BELOW: Final = 1 << 20  # bytes; SQLite asks for less than this at a time


def is_there(folder: str, size: int) -> bool:
    """Tell whether the reserve lies in the state directory, whole."""
    try:
        return os.stat(os.path.join(folder, NAME)).st_size >= size
    except OSError:
        return False


def release(folder: str) -> bool:
    """Give the reserve up; False where there was none."""
    try:
        os.unlink(os.path.join(folder, NAME))
    except OSError:
        return False
    return True


def keep(folder: str, size: int, *, spare: int) -> bool:
    """Make the reserve of `size` bytes where `spare` bytes stay free besides; say if it is there.

    One of another size is made anew. A disk that has no room after all is left as it was.
    """
    file = os.path.join(folder, NAME)
    if size == 0:
        release(folder)
        return False
    if is_there(folder, size) and os.stat(file).st_size == size:
        return True
    release(folder)
    if _free(folder) < size + spare:
        return False
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)
        return False
    finally:
        os.close(fd)
    return True


def is_full(folder: str, *, below: int = _FULL_BELOW) -> bool:
    """Tell whether the disk under `folder` has no room for even a small write, or for `below`."""
    try:
        return _free(folder) < below
    except OSError:
        return False


def _free(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
