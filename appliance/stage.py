"""Copy a source into the spool, and know by its sha256 what was copied.

In: a Source, as it settled. Out: a Staged copy of exactly that, in `<spool>/<job>/source`;
or a named error. What reads the recording afterwards reads our copy: a file server that
dies no longer matters, and no one but us ever opens the share.

Not here: waiting for a file (settle), decoding it (decode). Nothing here writes to a share.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from appliance import beneath, marker
from appliance.errors import (
    ApplianceError,
    Cancelled,
    DiskFull,
    LinkRefused,
    NameTooLong,
    NodeIO,
    NotRegular,
    ShareBusy,
    ShareDenied,
    ShareOffline,
    SourceChanged,
    SourceEmpty,
    SourceMissing,
    SpoolFull,
    TooBig,
)
from appliance.health import room
from appliance.nouns import Source, Staged, display, mtime_ns_of
from appliance.settings import GB

PIECE: Final = 256 * 1024  # bytes read at a time: 9 kB a second are signs enough for a porter

# What the share's answer means. Anything else is a file server that does not work.
_SHARE: Final[Mapping[int, type[ApplianceError]]] = {
    errno.ENOENT: SourceMissing,
    errno.ENOTDIR: SourceMissing,
    errno.ELOOP: LinkRefused,
    errno.EXDEV: LinkRefused,
    errno.ENXIO: NotRegular,
    errno.EISDIR: NotRegular,
    errno.ENAMETOOLONG: NameTooLong,
    errno.EACCES: ShareDenied,
    errno.EPERM: ShareDenied,
    errno.EBUSY: ShareBusy,
    errno.ETXTBSY: ShareBusy,
    errno.EAGAIN: ShareBusy,
    errno.EIO: ShareOffline,
    errno.ESTALE: ShareOffline,
    errno.EHOSTDOWN: ShareOffline,
    errno.EHOSTUNREACH: ShareOffline,
    errno.ENETUNREACH: ShareOffline,
    errno.ENOTCONN: ShareOffline,
    errno.ECONNRESET: ShareOffline,
    errno.ECONNABORTED: ShareOffline,
    errno.ETIMEDOUT: ShareOffline,
    errno.ENODEV: ShareOffline,
    errno.ENOMEDIUM: ShareOffline,
}
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def stage(
    root: str,
    source: Source,
    spool_dir: str,
    *,
    job: int,
    spool_bytes: int,
    keep_free_bytes: int = 0,
    max_bytes: int | None = None,
    marker_id: str | None = None,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Staged:
    """Copy `source` from beneath `root` to `<spool_dir>/<job>/source`, whole or not at all.

    `spool_bytes` is what all staged sources may take together (a single one may take more
    when it has the spool to itself); `keep_free_bytes` of the disk stay free. With
    `marker_id` the share must still carry that marker. `progress` hears the bytes copied
    so far; `cancelled` is asked between pieces. May be run again at any time.

    Raises source.empty, .too-big, .changed, .missing, .not-regular, .link-refused; share.*
    when the server fails; node.spool-full, .disk-full, .io; policy.cancelled.
    """
    _check_size(source, max_bytes)
    folder = folder_of(spool_dir, job)
    part = os.path.join(folder, "source.part")
    with contextlib.ExitStack() as holding:
        with _alone(spool_dir):  # whoever comes next counts what this one is going to need
            _check_room(source, spool_dir, job, spool_bytes, keep_free_bytes)
            spool_fd = holding.enter_context(_new_file(folder, part, source.size))
        root_fd, fd = holding.enter_context(opened(root, source, marker_id))
        staged = _copy(fd, source, spool_fd, part, progress, cancelled)
        _check_same(source, os.fstat(fd))
        _check_same(source, os.stat(source.path, dir_fd=root_fd, follow_symlinks=False))
    return staged


@contextlib.contextmanager
def opened(root: str, source: Source, marker_id: str | None) -> Iterator[tuple[int, int]]:
    """Lend the root and the source, open for reading, as it settled, of the share we mean.

    What the share answers while they are lent is named, too. Raises source.changed, .missing,
    .not-regular, .link-refused; share.* when the server fails.
    """
    with (
        share_errors(source.share, display(source.name)),
        marker.rooted(source.share, root, marker_id) as root_fd,
    ):
        fd = beneath.open_at(root_fd, source.path)
        try:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                raise NotRegular(name=display(source.name), what=beneath.kind_of(mode))
            _check_same(source, os.fstat(fd))
            yield root_fd, fd
        finally:
            os.close(fd)


def free(spool_dir: str, job: int) -> None:
    """Remove a job's folder from the spool; one that is not there is as good."""
    shutil.rmtree(folder_of(spool_dir, job), ignore_errors=True)


def folder_of(spool_dir: str, job: int) -> str:
    """Where a job's things lie in the spool."""
    return os.path.join(spool_dir, str(job))


# --- may it come in -----------------------------------------------------------------------------


def _check_size(source: Source, max_bytes: int | None) -> None:
    if source.size == 0:
        raise SourceEmpty(name=display(source.name))
    if max_bytes is not None and source.size > max_bytes:
        raise TooBig(name=display(source.name), size=source.size, limit=max_bytes)


@contextlib.contextmanager
def _alone(spool_dir: str) -> Iterator[None]:
    """One recording at a time is let into the spool, by whichever process."""
    with _node_errors(spool_dir):
        os.makedirs(spool_dir, mode=0o770, exist_ok=True)
        descriptor = os.open(spool_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with _node_errors(spool_dir):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_room(source: Source, spool_dir: str, job: int, limit: int, keep_free: int) -> None:
    with _node_errors(spool_dir):
        disk = shutil.disk_usage(spool_dir).free
        left = room.left(spool_dir, limit=limit, keep_free=keep_free, but=job)
    if disk < keep_free:
        raise DiskFull(where=spool_dir, free_gb=disk / GB)
    if source.size > left:  # this one waits; a smaller one may fit
        raise SpoolFull(name=display(source.name), size=source.size, free=left)


def _check_same(source: Source, found: os.stat_result) -> None:
    if (found.st_size, mtime_ns_of(found)) != (source.size, source.mtime_ns):
        raise SourceChanged(name=display(source.name))


# --- copying ------------------------------------------------------------------------------------


def _copy(
    fd: int,
    source: Source,
    spool_fd: int,
    part: str,
    progress: Callable[[int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Staged:
    hashed, copied = hashlib.sha256(), 0
    for piece in _pieces(fd, source.size):
        if cancelled is not None and cancelled():
            raise Cancelled
        hashed.update(piece)
        _write(spool_fd, piece, part)
        copied += len(piece)
        if progress is not None:
            progress(copied)
    if copied != source.size:
        raise SourceChanged(name=display(source.name))
    whole = part.removesuffix(".part")
    with _node_errors(part):
        os.replace(part, whole)
    return Staged(whole, hashed.hexdigest(), copied)


def _pieces(fd: int, size: int) -> Iterator[memoryview]:
    """Read the file; one byte more than it should have, so that growth shows."""
    room = bytearray(PIECE)
    read = 0
    while read <= size and (count := os.readv(fd, [room])):
        read += count
        yield memoryview(room)[:count]


@contextlib.contextmanager
def _new_file(folder: str, file: str, size: int) -> Iterator[int]:
    """Lend a new file of ours of `size` bytes, and leave none behind when something fails.

    It is as long as it will be, and a hole: what it is going to need is seen, and nothing written.
    """
    with _node_errors(folder):
        os.makedirs(folder, mode=0o770, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)  # of an attempt that died
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
    with contextlib.ExitStack() as undo:
        undo.callback(_unlink, file)
        try:
            with _node_errors(file):
                os.truncate(fd, size)
            yield fd
        finally:
            os.close(fd)
        undo.pop_all()


def _unlink(file: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(file)


def _write(fd: int, piece: memoryview, where: str) -> None:
    with _node_errors(where):
        while piece:
            piece = piece[os.write(fd, piece) :]


# --- whose error it was -------------------------------------------------------------------------


@contextlib.contextmanager
def share_errors(share: str, name: str) -> Iterator[None]:
    """Name what a share answered about `name`. Errors of our own disk have their names by now."""
    try:
        yield
    except OSError as error:
        kind = _SHARE.get(error.errno or 0, ShareOffline)
        raise kind(name=name, share=share, what="something unknown") from error


@contextlib.contextmanager
def _node_errors(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(where=where, free_gb=0.0) from error
        raise NodeIO(where=where, why=os.strerror(error.errno or 0)) from error
