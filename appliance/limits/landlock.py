"""The wall around the file system (Landlock, Linux 5.13 and newer): what a child may read.

Not here: when it goes up (walls).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # alike on every machine
_PATH_BENEATH: Final = 1
_READING: Final = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, read a folder
_FILE_READING: Final = 1 << 0 | 1 << 2
_FILE_ACCESS: Final = {1: 13, 2: 14, 3: 15, 4: 15}  # kinds of access to files, by version
_NO_TCP, _SCOPED = 0b11, 0b11


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


def restrict(readable: Sequence[str]) -> bool:
    """Let this thread, and those it starts, read below `readable` and do nothing else."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = int(libc.syscall(_CREATE_RULESET, None, 0, 1))
    if version < 1:
        return False
    files = (1 << _FILE_ACCESS.get(version, 16)) - 1
    rules = (ctypes.c_uint64 * 3)(files, _NO_TCP if version >= 4 else 0, _SCOPED)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = int(libc.syscall(_CREATE_RULESET, rules, size, 0))
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(libc, ruleset, path)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    """Allow reading below `path`; one that is not there needs no rule, and `/` gets none."""
    if os.path.abspath(path or os.curdir) == "/":
        return
    with contextlib.suppress(OSError):
        fd = os.open(path or os.curdir, os.O_PATH | os.O_CLOEXEC)
        access = _READING if os.path.isdir(path or os.curdir) else _FILE_READING
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_PathBeneath(access, fd)), 0)
        os.close(fd)
