"""Walk through a share and say what lies in it: the truth, where events are only hints.

Folders are opened beneath the root, links are never followed, other file systems never
entered. A full scan looks at every recording; one for changes looks only into folders
whose mtime has moved, which finds every create, rename and delete, not a rewrite.

Not here: what is new about it (finds), when to scan (rounds).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from appliance import beneath
from appliance.admit import rules
from appliance.nouns import mtime_ns_of

LEAVE_ALONE: Final = b".notranscribe"
DEPTH: Final = 32  # folders
_PIECE: Final = 1_000  # entries or folders at a time, so that a caller can pause
_SEALED: Final = {errno.EXDEV: "other-filesystem", errno.ELOOP: "link"}


class Entry(NamedTuple):
    """Something in a folder that looks like a recording; `why` names the rule against it."""

    path: bytes
    size: int
    mtime_ns: int
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of what a scan found."""

    entries: tuple[Entry, ...] = ()
    blind: tuple[bytes, ...] = ()  # folders that it did not look into: nothing below is missing


class Scanner:
    """Walks one share, and remembers the mtimes of its folders."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._folders: dict[bytes, int] = {}
        self._fresh: set[bytes] = set()  # changed a moment ago: their mtime may hide more

    @property
    def folders(self) -> int:
        """How many folders the share has, as far as we went."""
        return len(self._folders)

    def full(self) -> Iterator[Piece]:
        """Look at everything."""
        self._folders = {}
        return self.below(b"")

    def below(self, folder: bytes) -> Iterator[Piece]:
        """Look at everything in a folder and beneath."""
        open_ends = [folder]
        while open_ends:
            yield from self._folder(open_ends.pop(), open_ends)

    def changes(self) -> Iterator[Piece]:
        """Look into the folders whose mtime has moved, and into new ones."""
        again, self._fresh = self._fresh, set()
        for count, (folder, mtime_ns) in enumerate(list(self._folders.items())):
            if count % _PIECE == 0:
                yield Piece()
            found = self._mtime(folder)
            if found is None:
                del self._folders[folder]
            elif found != mtime_ns or folder in again:
                if found != mtime_ns:
                    self._fresh.add(folder)
                inner: list[bytes] = []
                yield from self._folder(folder, inner)
                for child in inner:
                    if child not in self._folders:
                        yield from self.below(child)

    def _mtime(self, folder: bytes) -> int | None:
        try:
            with beneath.root(self._root) as root_fd:
                return os.stat(folder or b".", dir_fd=root_fd, follow_symlinks=False).st_mtime_ns
        except OSError:
            return None

    def _folder(self, folder: bytes, inner: list[bytes]) -> Iterator[Piece]:
        """List one folder; put the folders in it into `inner`."""
        if folder.count(b"/") >= DEPTH:
            yield Piece((Entry(folder, 0, 0, "too-deep"),), (folder,))
            return
        try:
            with beneath.root(self._root) as root_fd:
                fd = beneath.open_at(root_fd, folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            rule = _SEALED.get(error.errno or 0)
            told = (Entry(folder, 0, 0, rule),) if rule else ()
            yield Piece(told, (folder,))
            return
        try:
            yield from self._listing(folder, fd, inner)
        finally:
            os.close(fd)

    def _listing(self, folder: bytes, fd: int, inner: list[bytes]) -> Iterator[Piece]:
        self._folders[folder] = os.fstat(fd).st_mtime_ns  # before we list: what comes later shows
        if (marked := _left_alone(folder, fd)) is not None:
            yield Piece((marked,), (folder,))
            return
        entries: list[Entry] = []
        try:
            with os.scandir(fd) as listing:
                for item in listing:
                    found = _classified(folder, item)
                    if isinstance(found, Entry):
                        entries.append(found)
                    elif found is not None:
                        inner.append(found)
                    if len(entries) == _PIECE:
                        yield Piece(tuple(entries))
                        entries.clear()
        except OSError:  # a listing that breaks off: what it did not name is not missing
            yield Piece(tuple(entries), (folder,))
            return
        yield Piece(tuple(entries))


def _left_alone(folder: bytes, fd: int) -> Entry | None:
    """The file that says a folder is not ours, if it is there."""
    with contextlib.suppress(OSError):
        found = os.stat(LEAVE_ALONE, dir_fd=fd, follow_symlinks=False)
        path = os.path.join(folder, LEAVE_ALONE)
        return Entry(path, found.st_size, mtime_ns_of(found), "notranscribe")
    return None


def _classified(folder: bytes, item: os.DirEntry[str]) -> Entry | bytes | None:
    """A recording, a folder's path, or nothing of interest."""
    name = os.fsencode(item.name)
    path = os.path.join(folder, name)
    try:
        if item.is_dir(follow_symlinks=False):
            return None if rules.of_folder(name) else path
        if rules.of_file(name):
            return None
        found = item.stat(follow_symlinks=False)
        why = "link" if item.is_symlink() else None if item.is_file() else "not-regular"
    except OSError:
        return None  # unknown is not gone: whoever misses it looks again
    return Entry(path, found.st_size, mtime_ns_of(found), why)
