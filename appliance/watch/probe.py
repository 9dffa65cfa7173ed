"""Find out whether a share that refused somebody's work takes it again: when to try, and how.

Not here: whether it answers at all (standing).
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from appliance import beneath

LEAST_SECONDS: Final = 5.0
MOST_SECONDS: Final = 300.0
_PART: Final = 40  # of the time that it has lasted
_SAME_SECONDS: Final = 60.0  # closed again so soon, it is the same trouble
_NAME: Final = b".~appliance-probe"
_BYTES: Final = 65_536


class Patience:
    """When to try a gate that was closed by somebody else, of a share that looks well.

    Every 5 s at first, later a fortieth of the time that it has lasted (7.5 s after five
    minutes, 90 s after an hour), at most 5 minutes apart. A gate that is closed again within
    a minute has the same trouble, and goes on where it was: a folder that cannot be written
    in a share that can be, or one file that hangs, must not run its jobs in circles.
    """

    def __init__(self) -> None:
        self._since = self._seen = float("-inf")
        self._due = 0.0

    def is_due(self, now: float) -> bool:
        """Hear that the gate is closed at `now`; say whether to try it."""
        if now - self._seen > _SAME_SECONDS:
            self._since = self._due = now
        self._seen = now
        if now < self._due:
            return False
        self._due = now + min(max((now - self._since) / _PART, LEAST_SECONDS), MOST_SECONDS)
        return True


def writable(root: str) -> bool:
    """Write a small hidden file into the root and take it away again."""
    try:
        with beneath.root(root) as root_fd:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_NAME, dir_fd=root_fd)  # of a probe that died
            fd = beneath.open_at(root_fd, _NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(fd, bytes(_BYTES))
                os.fsync(fd)
            finally:
                os.close(fd)
                os.unlink(_NAME, dir_fd=root_fd)
    except OSError:
        return False
    return True
