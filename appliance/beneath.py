"""Open files beneath a share's root and nowhere else, whatever links a stranger planted.

Paths are bytes relative to the root. openat2(RESOLVE_BENEATH | NO_SYMLINKS | NO_XDEV)
where the kernel has it (5.6), else the same by hand, a component at a time.

Not here: which share, which file, or what to do with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

_OPENAT2: Final = 437
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08
_RESOLVE: Final = _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@contextlib.contextmanager
def root(folder: str) -> Iterator[int]:
    """Lend a descriptor of a share's root for one operation; held longer it would block umount."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def open_at(root_fd: int, path: bytes, flags: int = os.O_RDONLY, mode: int = 0) -> int:
    """Open `path` beneath the root. The caller closes the descriptor.

    Raises OSError: ELOOP for a link anywhere on the way, EXDEV for `..` or another
    file system. Never blocks on a pipe and never gets a terminal.
    """
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK
    how = _OpenHow(flags, mode if flags & os.O_CREAT else 0, _RESOLVE)
    fd = _libc.syscall(
        _OPENAT2, root_fd, ctypes.c_char_p(path or b"."), ctypes.byref(how), ctypes.sizeof(how)
    )
    if fd >= 0:
        return int(fd)
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EPERM, errno.E2BIG):
        return _step_by_step(root_fd, path, flags, mode)
    raise OSError(code, os.strerror(code), path)


@contextlib.contextmanager
def folder_of(root_fd: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    """Lend the folder that holds `path`, and the name in it."""
    folder, name = os.path.split(path)
    fd = open_at(root_fd, folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd, name
    finally:
        os.close(fd)


def _step_by_step(root_fd: int, path: bytes, flags: int, mode: int) -> int:
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts or path.startswith(b"/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    device = os.fstat(root_fd).st_dev
    here = os.dup(root_fd)
    try:
        for part in parts[:-1]:
            below = os.open(
                part, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here
            )
            os.close(here)
            here = below
        fd = os.open(parts[-1] if parts else b".", flags, mode, dir_fd=here)
    except NotADirectoryError as error:  # what O_DIRECTORY says of a link
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from error
    finally:
        os.close(here)
    if os.fstat(fd).st_dev != device:
        os.close(fd)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    return fd


def kind_of(mode: int) -> str:
    """Name what is not an ordinary file, for a sentence."""
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "something unknown")
