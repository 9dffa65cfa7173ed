"""Put bytes under a name in an open folder: whole or not at all, in nobody's place.

Every function takes the descriptor of a folder and a name in it, follows no link and
raises plain OSError.

Not here: which name, whose file it is, what an errno means to a person (deliver).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import stat
from typing import Final

from appliance import beneath

EMPTY: Final = hashlib.sha256().hexdigest()
_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_DIGITS: Final = 16  # of a sha256, in a name
_ASIDE: Final = re.compile(rb".*\.([0-9a-f]{16})-([0-9a-f]{16})", re.DOTALL)
_MODE: Final = 0o664  # the kernel takes the umask off, or the folder's default ACL
_CHUNK: Final = 1 << 20
# Bytes. JSON, the longest of all, has 2.1 MB for an hour of 9,000 words (measured): ten days fit.
_LONGEST: Final = 1 << 29
_NO_FLAG: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF})
_libc = ctypes.CDLL(None, use_errno=True)


# --- looking ------------------------------------------------------------------------------------


def size(folder: int, name: bytes) -> int | None:
    """Bytes of the ordinary file there; None for no file at all, -1 for anything else."""
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return seen.st_size if stat.S_ISREG(seen.st_mode) else -1


def is_file(folder: int, name: bytes) -> bool:
    """Tell whether an ordinary file lies there."""
    return size(folder, name) not in (None, -1)


def sha256(folder: int, name: bytes) -> str | None:
    """Hash the ordinary file there; None where there is none, or none we may read.

    What is longer than anything of ours is not read either: a terabyte of nothing, saved over an
    export, would hold up its share.
    """
    try:
        fd = beneath.open_at(folder, name)
    except (FileNotFoundError, PermissionError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            return None
        raise
    with os.fdopen(fd, "rb", buffering=0) as stream:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > _LONGEST:
            return None
        digest = hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
        return digest.hexdigest()


# --- writing ------------------------------------------------------------------------------------


def write(folder: int, name: bytes, content: bytes, *, beside: bytes | None = None) -> None:
    """Write a new file and wait until it is on disk. Raises FileExistsError, takes nothing over.

    Where everybody may read the file `beside` it, or its group and that is this one's too, they
    may read this one.
    """
    fd = beneath.open_at(folder, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        _give_to_group_of(folder, fd)
        if beside is not None:
            _open_to_readers_of(folder, beside, fd)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _give_to_group_of(folder: int, fd: int) -> None:
    """Who may read the folder may read the export, also where the folder is not setgid."""
    group = os.fstat(folder).st_gid
    if os.fstat(fd).st_gid != group:
        with contextlib.suppress(OSError):  # not a member, or no such thing on this share
            os.fchown(fd, -1, group)


def _open_to_readers_of(folder: int, beside: bytes, fd: int) -> None:
    """Only add to who may read. Where the folder has an ACL of its own, that has the last word."""
    ours = os.fstat(fd)
    theirs = os.stat(beside, dir_fd=folder, follow_symlinks=False)
    same = stat.S_IRGRP if theirs.st_gid == ours.st_gid else 0
    readers = theirs.st_mode & (stat.S_IROTH | same)
    if stat.S_ISREG(theirs.st_mode) and readers & ~ours.st_mode and not _has_acl(fd):
        with contextlib.suppress(OSError):  # a server that maps everybody to one mode
            os.fchmod(fd, stat.S_IMODE(ours.st_mode) | readers)


def _has_acl(fd: int) -> bool:
    """Then the bits of the group are the ACL's mask, and say nothing of the group."""
    try:
        return bool(os.getxattr(fd, "system.posix_acl_access"))
    except OSError:
        return False


def put(folder: int, temp: bytes, name: bytes, *, over: str | None) -> bool:
    """Give a finished file its name; False where what lies there is not what we looked at.

    `over` is the sha256 of the file we may replace, None when the name must be free.
    """
    if over is None:
        return _put_where_free(folder, temp, name)
    if sha256(folder, name) != over:
        return False
    return _exchange(folder, temp, name, over)


def _exchange(folder: int, temp: bytes, name: bytes, over: str) -> bool:
    """Swap the two and look at what came out: somebody may have saved since we looked.

    Theirs is swapped back. Meanwhile it lies under a name that says what may be removed there,
    for whoever sweeps after us if we die. A file system that cannot swap replaces.
    """
    ours = sha256(folder, temp)
    aside = _aside(temp, over, str(ours))
    os.rename(temp, aside, src_dir_fd=folder, dst_dir_fd=folder)
    try:
        _rename(folder, aside, name, _EXCHANGE)
    except OSError as error:
        os.rename(aside, temp, src_dir_fd=folder, dst_dir_fd=folder)
        if error.errno == errno.ENOENT:  # its owner has just taken it away
            return _put_where_free(folder, temp, name)
        if error.errno not in _NO_FLAG:
            raise
        os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
        return True
    if sha256(folder, aside) == over:
        remove(folder, aside)
        return True
    _rename(folder, aside, name, _EXCHANGE)
    if sha256(folder, aside) != ours:  # and saved once more: the newest words stay where they were
        _rename(folder, aside, name, _EXCHANGE)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)
    os.rename(aside, temp, src_dir_fd=folder, dst_dir_fd=folder)
    return False


def take_away(folder: int, name: bytes, temp: bytes, over: str) -> bool:
    """Remove the file there if it is the one with this sha256; False leaves what somebody saved.

    `temp` is a hidden name of ours.
    """
    aside = _aside(temp, over, over)
    try:
        os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    except FileNotFoundError:
        return False
    if sha256(folder, aside) == over:
        remove(folder, aside)
        return True
    _put_where_free(folder, aside, name)  # else they have saved once more; this stays hidden
    return False


def _aside(temp: bytes, *hashes: str) -> bytes:
    return b"%s.%s" % (temp, b"-".join(one[:_DIGITS].encode() for one in hashes))


def is_anothers(folder: int, name: bytes) -> bool:
    """Tell whether a person's words lie under this hidden name: we died while they saved."""
    said = _ASIDE.fullmatch(name)
    return said is not None and (sha256(folder, name) or "")[:_DIGITS].encode() not in said.groups()


def _put_where_free(folder: int, temp: bytes, name: bytes) -> bool:
    """The ladder: rename that refuses to replace, else a hard link, else claim the name first."""
    try:
        _rename(folder, temp, name, _NOREPLACE)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_FLAG:
            raise
        return _link_where_free(folder, temp, name)
    return True


def _rename(folder: int, was: bytes, becomes: bytes, flag: int) -> None:
    rename = getattr(_libc, "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), becomes)
    if rename(folder, ctypes.c_char_p(was), folder, ctypes.c_char_p(becomes), flag) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), becomes)


def _link_where_free(folder: int, temp: bytes, name: bytes) -> bool:
    try:
        os.link(temp, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _claim_where_free(folder, temp, name)
    os.unlink(temp, dir_fd=folder)
    return True


def _claim_where_free(folder: int, temp: bytes, name: bytes) -> bool:
    """Take the name with an empty file of ours, then replace that. The last resort."""
    try:
        fd = beneath.open_at(folder, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    except FileExistsError:
        return False
    os.close(fd)
    os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
    return True


def remove(folder: int, name: bytes) -> None:
    """Remove a file of ours; it may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def sync(folder: int) -> None:
    """Wait until the folder's names are on disk, where the file system knows how to."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:  # CIFS and some NFS servers keep no promise here
            raise
