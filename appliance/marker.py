"""The share's marker, `.transcribe-id`: how we know that a mounted folder is the one we mean.

An unmounted NAS leaves an empty folder behind and a wrong one looks like a right one;
only what is written in the share itself tells. Written once, when a person adopts the
share, and never made again by itself.

Not here: adopting (watch), what follows from a share that is not well (watch, stage).
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Final

from appliance import beneath
from appliance.errors import ShareOffline, ShareWrongMarker
from appliance.settings import Share
from appliance.store import shares
from appliance.store.ledger import Ledger

NAME: Final = b".transcribe-id"
_LIMIT: Final = 256  # bytes; a marker is 36 and a newline


def read(root_fd: int) -> str | None:
    """What the marker beneath this root says; None where there is none.

    Raises OSError when the share cannot be read.
    """
    try:
        fd = beneath.open_at(root_fd, NAME)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as stream:
        return stream.read(_LIMIT).decode("ascii", "replace").strip() or None


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
    """A question to ask before each write: is this still the share we mean? Raises as `rooted`."""

    def ask() -> None:
        with rooted(share.name, share.root, expected(ledger, share)):
            pass

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
