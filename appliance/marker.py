"""The share's marker, `.transcribe-id`: how we know that a mounted folder is the one we mean.

An unmounted NAS leaves an empty folder behind and a wrong one looks like a right one;
only what is written in the share itself tells. Written once, when a person adopts the
share, and never made again by itself.

Not here: adopting (watch), what follows from a share that is not well (watch, stage).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from typing import Final

from appliance import beneath
from appliance.errors import ShareDenied, ShareOffline, ShareWrongMarker
from appliance.settings import Share
from appliance.store import shares
from appliance.store.ledger import Ledger

NAME: Final = b".transcribe-id"
_LIMIT: Final = 256  # bytes; a marker is 36 and a newline
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
_NO_FILE: Final = frozenset({errno.ELOOP, errno.EXDEV, errno.ENXIO})  # a link, a mount, a socket


def read(root_fd: int) -> str | None:
    """What the marker beneath this root says; None where there is none, "" for no marker of ours.

    Raises OSError when the share cannot be read.
    """
    try:
        fd = beneath.open_at(root_fd, NAME)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _NO_FILE:
            return ""
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LIMIT:
            return ""
        return os.read(fd, _LIMIT).decode("ascii", "replace").strip()
    finally:
        os.close(fd)


@contextlib.contextmanager
def rooted(share: str, root: str, expected: str | None) -> Iterator[int]:
    """Lend a descriptor of the share's root, sure that it is the share we mean.

    `expected` None: a share without a marker, any folder will do. Raises ShareOffline when
    the root is away or is the empty folder of a mount that failed, ShareWrongMarker when
    something else is there, OSError when the server fails.
    """
    with contextlib.ExitStack() as stack:
        try:
            root_fd = stack.enter_context(beneath.root(root))
        except (FileNotFoundError, NotADirectoryError):
            raise ShareOffline(share=share) from None
        if expected is not None and (found := read(root_fd)) != expected:
            if found is None and _is_empty(root_fd):
                raise ShareOffline(share=share)
            raise ShareWrongMarker(share=share, root=root)
        yield root_fd


def expected(ledger: Ledger, share: Share) -> str | None:
    """What the marker of an adopted share must say; None where the share needs none."""
    return shares.get(ledger, share.name).marker if share.require_marker else None


def guard(ledger: Ledger, share: Share) -> Callable[[], None]:
    """A question to ask before each write: is this still the share we mean? Raises share.*."""

    def ask() -> None:
        try:
            with rooted(share.name, share.root, expected(ledger, share)):
                pass
        except OSError as error:
            kind = ShareDenied if error.errno in _DENIED else ShareOffline
            raise kind(share=share.name, name=share.root) from error

    return ask


def _is_empty(root_fd: int) -> bool:
    fd = beneath.open_at(root_fd, b"", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(fd) as entries:
            return next(entries, None) is None
    finally:
        os.close(fd)


def write(root_fd: int) -> str:
    """Mark this root with a new id and return it. Raises FileExistsError where it has one."""
    text = str(uuid.uuid4())
    fd = beneath.open_at(root_fd, NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(fd, "wb") as stream:
        stream.write(f"{text}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())
    with contextlib.suppress(OSError):  # some network file systems cannot sync a folder
        folder = beneath.open_at(root_fd, b"", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return text
