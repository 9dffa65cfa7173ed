"""Wait until a dropped file has stopped growing.

In: paths that something happened to. Out: a Source, once, when the file has looked the
same for long enough and nobody has it open for writing. Copies over SMB arrive in
pieces, some with their final size from the first moment, and NFS sends no events at
all, so we trust equal looks, a granted read lease where the file system can give one,
and nothing else. Never the clock against a file's mtime.

Not here: deciding whether we want the file (admit), or noticing it (watch).
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import signal
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from appliance import beneath
from appliance.nouns import Source, mtime_ns_of

_OLDEST: Final = 100  # files among which one is looked for that may go
_BLOCK: Final = 512  # bytes, the unit of st_blocks whatever the file system's own
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENXIO})


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at a file."""

    source: Source
    ctime_ns: int = 0  # 0 where the file system's is worth nothing
    writer: bool | None = None  # somebody has it open for writing; None: cannot be told
    holes: bool = False  # its size was set before its data came

    def same(self, other: Glance) -> bool:
        """Tell whether nothing happened to the file between the two looks."""
        return self.source.same_file(other.source) and self.ctime_ns == other.ctime_ns


Look = Callable[[bytes], Glance | None]  # None: the file is gone, or no ordinary file any more


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a file must stay as it is, in seconds, before we believe it complete."""

    quiet: float = 2.0
    looks: int = 2  # equal ones, spread over the quiet time
    closed: float = 0.3  # quiet time after its writer closed it: `cp -p` sets the mtime last
    holes: float = 60.0  # for a file with holes that nobody writes: its sender may come back
    empty: float = 600.0
    memory: float = 3_600.0  # a file that changes within so long after it was trusted…
    again: float = 4.0  # …must stay as it is for so many times longer than the last time


def on_network(attribute_cache: float = 1.0, *, quiet: float | None = None) -> Patience:
    """Patience for a network share, whose looks may be as old as its attribute cache (seconds)."""
    return Patience(quiet=max(quiet or 15.0, 2 * attribute_cache), looks=3)


@dataclass(frozen=True, slots=True)
class News:
    """What a file in waiting has come to: still arriving, quiet by now, or gone."""

    source: Source
    state: str  # receiving | settling | gone


@dataclass(frozen=True, slots=True)
class _Trust:
    """A file that was handed out: what it was, when, and how long it had to be quiet at least."""

    source: Source
    at: float
    least: float


@dataclass(slots=True)
class _Waiting:
    """A file we do not trust yet."""

    due: float  # when to look again
    closed: bool
    before: _Trust | None = None  # we have handed it out lately
    glance: Glance | None = None
    since: float = 0.0  # when it first looked like this
    looks: int = 0  # equal ones in a row
    state: str = ""


class Settling:
    """The files we have seen and do not trust yet."""

    def __init__(
        self, look: Look, *, patience: Patience | None = None, capacity: int = 10_000
    ) -> None:
        """Wait for at most `capacity` files at a time; looks are taken through `look`."""
        self._look = look
        self._patience = patience or Patience()
        self._capacity = capacity
        self._seen: dict[bytes, _Waiting] = {}
        self._past: dict[bytes, _Trust] = {}
        self._news: list[News] = []

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, path: bytes) -> bool:
        return path in self._seen

    def touch(self, path: bytes, now: float, *, closed: bool = False) -> bool:
        """Something happened to this file; `closed`: its writer closed it, or it was moved here.

        False when there is no room: the next scan will bring it again.
        """
        waiting = self._seen.get(path)
        if waiting is None:
            if len(self._seen) >= self._capacity and not self._make_room(now):
                return False
            self._seen[path] = _Waiting(due=now, closed=closed, before=self._lately(path, now))
        elif closed:
            waiting.closed, waiting.due = True, min(waiting.due, now)
        return True

    def settled(self, now: float) -> Iterator[Source]:
        """Hand out each file that is complete as far as anybody can tell."""
        for path, waiting in list(self._seen.items()):
            if waiting.due > now:
                continue
            glance = self._look(path)
            if glance is None:
                del self._seen[path]
                self._tell(waiting, "gone")
            elif self._trusted(waiting, glance, now):
                del self._seen[path]
                self._remember(path, _Trust(glance.source, now, self._least(waiting, glance)))
                yield glance.source

    def news(self) -> list[News]:
        """What has changed about the files in waiting since this was last asked."""
        news, self._news = self._news, []
        return news

    @property
    def has_news(self) -> bool:
        """Whether `news` would tell anything."""
        return bool(self._news)

    def next_due(self) -> float | None:
        """When the next look is due; None when nothing waits."""
        return min((waiting.due for waiting in self._seen.values()), default=None)

    def _lately(self, path: bytes, now: float) -> _Trust | None:
        before = self._past.get(path)
        return before if before and now - before.at < self._patience.memory else None

    def _remember(self, path: bytes, trust: _Trust) -> None:
        self._past.pop(path, None)
        while len(self._past) >= self._capacity:
            del self._past[next(iter(self._past))]  # the one trusted longest ago
        self._past[path] = trust

    def _least(self, waiting: _Waiting, glance: Glance) -> float:
        """How long a file must be quiet that we have trusted too early before.

        A recorder that opens, appends and closes every few seconds would be transcribed at
        each pause; some five times too early, and we wait longer than it ever pauses.
        """
        before, patience = waiting.before, self._patience
        if before is None or before.source.same_file(glance.source):
            return before.least if before else 0.0
        return min(max(before.least * patience.again, patience.quiet), patience.empty)

    def _make_room(self, now: float) -> bool:
        """Drop a file that has been in somebody's hands for long: the next scan brings it back.

        Ten thousand files that we may not read must not keep the others out.
        """
        for path, waiting in itertools.islice(self._seen.items(), _OLDEST):
            stuck = waiting.glance is not None and waiting.glance.writer is True
            if stuck and now - waiting.since > self._patience.empty:
                del self._seen[path]
                return True
        return False

    def _trusted(self, waiting: _Waiting, glance: Glance, now: float) -> bool:
        """Take one look into account; say whether the file may go."""
        before = waiting.glance
        grown = before is not None and before.source.size != glance.source.size
        if before is not None and before.same(glance):
            waiting.looks += 1
        else:
            waiting.since, waiting.looks = now, 1
        waiting.glance = glance
        needed, looks = self._needed(waiting, glance)
        if glance.writer is not True and waiting.looks >= looks and now - waiting.since >= needed:
            return True
        waiting.due = now + self._pause(waiting, glance, now)
        quiet = waiting.looks > 1 and not glance.writer
        self._tell(waiting, "settling" if quiet else "receiving", again=grown)
        return False

    def _needed(self, waiting: _Waiting, glance: Glance) -> tuple[float, int]:
        """How long this file must look the same, and how often."""
        patience, least = self._patience, self._least(waiting, glance)
        if glance.source.size == 0:
            return patience.empty, patience.looks
        if glance.holes:
            return max(patience.holes, patience.quiet, least), patience.looks
        if waiting.closed and glance.writer is False:
            return max(min(patience.closed, patience.quiet), least), 2
        return max(patience.quiet, least), patience.looks

    def _pause(self, waiting: _Waiting, glance: Glance, now: float) -> float:
        """How long until the next look is worth its cost."""
        needed, looks = self._needed(waiting, glance)
        if glance.writer:
            # What is open for hours need not be looked at ten times a second.
            return min(max((now - waiting.since) / 8, 0.5), self._patience.quiet)
        return min(needed, self._patience.quiet) / max(looks - 1, 1)

    def _tell(self, waiting: _Waiting, state: str, *, again: bool = False) -> None:
        if waiting.glance is not None and (again or state != waiting.state):
            waiting.state = state
            self._news.append(News(waiting.glance.source, state))


# --- looking ------------------------------------------------------------------------------------


def look_at(share: str, root: str, path: bytes, *, local: bool, holes_tell: bool) -> Glance | None:
    """Look at one file through an open descriptor, as a network share demands.

    `local`: this kernel alone writes here, so leases and ctime tell the truth.
    `holes_tell`: the file system counts every written block, so missing ones are missing
    data (not where it compresses). A file that cannot be opened is being written. Raises
    OSError only when the root itself is away.
    """
    with beneath.root(root) as root_fd:
        try:
            fd = beneath.open_at(root_fd, path)
        except OSError as error:
            return _unopened(share, root_fd, path, error)
        try:
            return _inspect(share, path, fd, local=local, holes_tell=holes_tell)
        finally:
            os.close(fd)


def _inspect(share: str, path: bytes, fd: int, *, local: bool, holes_tell: bool) -> Glance | None:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        return None
    return Glance(
        Source(share, path, found.st_size, mtime_ns_of(found)),
        ctime_ns=found.st_ctime_ns if local else 0,
        writer=_written(fd) if local else None,
        holes=holes_tell and found.st_blocks * _BLOCK < found.st_size,
    )


def _unopened(share: str, root_fd: int, path: bytes, error: OSError) -> Glance | None:
    """What can be said of a file that does not open: gone, or in somebody's hands."""
    if error.errno in _GONE:
        return None
    try:
        found = os.stat(path, dir_fd=root_fd, follow_symlinks=False)
    except OSError as unseen:
        if unseen.errno in _GONE:
            return None
        return Glance(Source(share, path, 0, 0), writer=True)
    if not stat.S_ISREG(found.st_mode):
        return None
    # EBUSY, ETXTBSY, EACCES say that it is being written; any other error says nothing
    # of this file, so it waits just the same.
    return Glance(Source(share, path, found.st_size, mtime_ns_of(found)), writer=True)


def _written(fd: int) -> bool | None:
    """Ask the kernel for a read lease: it is refused while anybody has the file open for writing.

    None where we may not ask (neither the owner nor CAP_LEASE) or the file system cannot say.
    """
    try:
        # A lease that is broken sends SIGIO, which kills; SIGURG is ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno in (errno.EAGAIN, errno.EBUSY) else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
