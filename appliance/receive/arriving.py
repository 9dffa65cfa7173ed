"""The file of an upload while it arrives: one writer at a time, and room on the disk.

The lock is the kernel's (flock): it is free again when its holder has died, however that was.

How much has come is the length of the file, for as long as the machine runs. After a power cut a
length promises nothing: the last megabytes may read as zeros. So every so many bytes are waited
for, and what lies behind the last of them is dropped when the machine has started anew.

Not here: how much may come, what it becomes (the package).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator

from appliance.errors import DiskFull, NoSuchUpload, UploadBusy, on_the_box
from appliance.settings import GB

_LOOK_EVERY = 16 << 20  # bytes between two looks at the disk
STEP = 8 << 20  # bytes; what comes behind a multiple of it waits until all before is on the disk
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Part:
    """As much of it as is here."""

    def __init__(self, fd: int, where: str, *, keep_free: int) -> None:
        self.size = os.fstat(fd).st_size
        self._synced = 0  # what an earlier turn left may not be: its process may have died
        self._fd = fd
        self._where = where
        self._keep_free = keep_free
        self._unlooked = 0

    def write(self, piece: bytes) -> None:
        """Add bytes at the end. Raises node.disk-full, node.io; what found room stays."""
        self._unlooked += len(piece)
        if self._unlooked >= _LOOK_EVERY:
            self._unlooked = 0
            check_room(os.path.dirname(self._where), self._keep_free)
        rest = memoryview(piece)
        with on_the_box(self._where):
            while rest:
                if self.size // STEP > self._synced // STEP:
                    os.fdatasync(self._fd)
                    self._synced = self.size
                room = STEP - self.size % STEP
                written = os.write(self._fd, rest[:room])
                self.size += written
                rest = rest[written:]


@contextlib.contextmanager
def opened(file: str, *, keep_free: int, make: bool = False) -> Iterator[Part]:
    """Lend the file to its only writer; `keep_free` bytes of the disk are not for it.

    Raises policy.upload-busy, .no-such-upload, node.io.
    """
    flags = _FLAGS | (os.O_CREAT | os.O_EXCL if make else 0)
    with on_the_box(file):
        try:
            fd = os.open(file, flags, 0o660)
        except FileNotFoundError:
            raise NoSuchUpload from None
    try:
        _lock(fd, file)
        yield Part(fd, file, keep_free=keep_free)
    finally:
        os.close(fd)


def _lock(fd: int, file: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UploadBusy from None
    if not is_same(fd, file):  # it was dropped, or has arrived, while we opened it
        raise NoSuchUpload


def is_same(fd: int, file: str) -> bool:
    """Tell whether this open file is the one that lies there."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(file))
    except FileNotFoundError:
        return False


def size(file: str) -> int | None:
    """How many bytes are here; None where it is not."""
    try:
        return os.lstat(file).st_size
    except FileNotFoundError:
        return None


def remove(file: str) -> None:
    """Remove it; one that is gone is as good."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file)


def after_a_start(folder: str, note: str, boot_id: str) -> None:
    """Once after each start of the machine: drop what a power cut may have made zeros of.

    `note` is a file that says under which start this was done. Raises OSError.
    """
    with open(note, "a+", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        if stream.read() == boot_id:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    most = max(entry.stat(follow_symlinks=False).st_size - 1, 0)
                    os.truncate(entry.path, most // STEP * STEP)
        stream.truncate(0)
        stream.write(boot_id)


def sync(path: bytes) -> None:
    """Have a file or a folder on the disk before anybody is told of it. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no folders to sync
            raise
    finally:
        os.close(fd)


def check_room(folder: str, needed: int) -> None:
    """Raise node.disk-full where the disk has less than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(where=folder, free_gb=free / GB)
