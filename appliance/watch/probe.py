"""Find out whether a share that refused to be written takes a file again.

Not here: whether it answers at all (standing).
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from appliance import beneath

_NAME: Final = b".~appliance-probe"
_BYTES: Final = 65_536


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
