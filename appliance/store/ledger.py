"""The ledger's file: one connection per thread, and the lock around every write.

SQLite in WAL mode with synchronous=FULL. `ledger.lock` is held (flock) around every
write transaction and around the only checkpoint, and automatic checkpoints are off, so
that SQLite's WAL-reset bug (sqlite.org/wal.html#walresetbug, unfixed in Debian's and
uv's SQLite) never finds a checkpoint racing a commit.

A file that was deleted or replaced under an open connection takes every write in silence
and keeps none of them: each read and each write looks first whether it is still the same.

Not here: tables (schema) and what is in them, mending a damaged file (repair).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

from sqlite_utils import Database

from appliance.errors import (
    ApplianceError,
    DiskFull,
    LedgerBusy,
    LedgerDamaged,
    NodeIO,
    on_the_box,
)
from appliance.store import reserve

NAME: Final = "ledger.db"
T = TypeVar("T")
PATIENCE_SECONDS: Final = 15.0
_CLOCK_BOOTTIME: Final = 7
Row = dict[str, Any]
# PROTOCOL: the locks in the -shm file do not answer as they must.
_NO_DISK: Final = ("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL")


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on two clocks: the wall's to show, the boot's to wait by."""

    wall_ms: int  # since 1970, UTC; may jump
    boot_s: float  # CLOCK_BOOTTIME; only ever grows, until the next boot
    boot_id: str


def read_clock() -> Moment:
    """Look at both clocks."""
    return Moment(time.time_ns() // 1_000_000, time.clock_gettime(_CLOCK_BOOTTIME), _boot_id())


@functools.cache
def _boot_id() -> str:
    file = "/proc/sys/kernel/random/boot_id"
    with on_the_box(file), open(file, encoding="ascii") as stream:
        return stream.read().strip()


class _Mine:
    """What one thread holds: its connection and its own descriptor of the lock."""

    def __init__(self, folder: str, *, make: bool) -> None:
        file = os.path.join(folder, NAME)
        self.depth = 0
        self._folder = folder
        self._lock: int | None = None
        # Looked at before it is opened: one replaced in between is taken for a stranger.
        if make:
            # SQLite would keep it from our group, in which the pages and the messenger are.
            os.close(os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o660))
        self.identity = None if make else identity(file)
        connection = sqlite3.connect(
            f"file:{quote(file)}?mode={'rwc' if make else 'rw'}",
            uri=True,
            timeout=PATIENCE_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # closed by whoever closes the ledger
        )
        self.db = Database(connection, execute_plugins=False)
        self._prepare(connection)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        try:
            for pragma in (
                "journal_mode = WAL",
                "wal_autocheckpoint = 0",
                "synchronous = FULL",
                "foreign_keys = ON",
                "mmap_size = 0",
            ):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise

    def take(self, patience: float) -> None:
        """Take the lock of every writer. Raises LedgerBusy, DiskFull, NodeIO."""
        with on_the_box(self._folder):
            if self._lock is None:
                self._lock = open_lock(self._folder)
            _lock(self._lock, patience)

    def free(self) -> None:
        """Let go of it: what was committed is committed, so this never fails."""
        if self._lock is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        except OSError:
            os.close(self._lock)  # which frees it, whatever was answered
            self._lock = None

    def close(self) -> None:
        self.db.close()
        if self._lock is not None:
            os.close(self._lock)


def identity(file: str) -> tuple[int, int]:
    """Which file lies there: device and inode. Raises LedgerDamaged where none does."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        raise LedgerDamaged(where=os.path.dirname(file), why="its file is gone") from None
    return found.st_dev, found.st_ino


def open_lock(folder: str) -> int:
    """Open `ledger.lock`; the caller closes the descriptor."""
    file = os.path.join(folder, "ledger.lock")
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold the lock of every writer, without any connection. Raises LedgerBusy."""
    fd = open_lock(folder)
    try:
        _lock(fd)
        yield
    finally:
        os.close(fd)


class Ledger:
    """The one truth about every job. Usable from any thread; close it when the process ends."""

    def __init__(
        self, folder: str, *, clock: Callable[[], Moment] = read_clock, make: bool = False
    ) -> None:
        """Open `folder`/ledger.db, which schema.prepare has made: it alone says `make`."""
        self.folder = folder
        self.clock = clock
        self._make = make
        self._local = threading.local()
        self._all: list[_Mine] = []
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _mine(self) -> _Mine:
        mine: _Mine | None = getattr(self._local, "mine", None)
        if mine is None:
            with named_errors(self.folder):
                mine = _Mine(self.folder, make=self._make)
            self._local.mine = mine
            with self._guard:
                self._all.append(mine)
        return mine

    def _same(self) -> _Mine:
        """What this thread holds, sure that it is the file that lies there now."""
        mine = self._mine()
        if mine.identity not in (None, identity(os.path.join(self.folder, NAME))):
            raise LedgerDamaged(where=self.folder, why="its file was replaced")
        return mine

    @property
    def db(self) -> Database:
        """This thread's connection, for reading."""
        return self._mine().db

    def rows(self, sql: str, arguments: object = ()) -> Iterator[Row]:
        """Read rows as dictionaries. Raises what `writing` raises."""
        with named_errors(self.folder):
            cursor = self._same().db.execute(sql, arguments)  # type: ignore[arg-type]
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    def row(self, sql: str, arguments: object = ()) -> Row | None:
        """Read the first row, if there is one."""
        return next(self.rows(sql, arguments), None)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Database]:
        """Hold the lock and one immediate transaction; what is raised inside undoes it.

        Re-entrant: an inner block belongs to the outer one's transaction. Raises
        LedgerBusy, DiskFull, NodeIO or LedgerDamaged where SQLite or the lock cannot serve.
        A full disk gives up its reserve, so that the next write has room: see `insist`.
        """
        mine = self._mine()
        if mine.depth:
            yield mine.db
            return
        with self._locked(mine), named_errors(self.folder):
            self._same()  # whoever replaces the file holds the lock meanwhile
            mine.db.execute("BEGIN IMMEDIATE")
            mine.depth = 1
            try:
                yield mine.db
                mine.db.execute("COMMIT")
            finally:
                mine.depth = 0
                if mine.db.conn.in_transaction:
                    mine.db.execute("ROLLBACK")

    @property
    def is_writing(self) -> bool:
        """Tell whether this thread is in a transaction: what it reads now may yet be undone."""
        return self._mine().depth > 0

    @contextlib.contextmanager
    def _locked(self, mine: _Mine, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
        mine.take(patience)
        try:
            yield
        finally:
            mine.free()

    def knock(self, patience: float) -> None:
        """Find out, within `patience` seconds, whether this ledger can be written.

        Raises what `writing` raises; it spends no reserve.
        """
        mine = self._mine()
        with self._locked(mine, patience), named_errors(self.folder, spend=False):
            self._same()
            mine.db.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
            try:
                mine.db.execute("BEGIN IMMEDIATE")
                mine.db.execute("ROLLBACK")
            finally:
                mine.db.execute(f"PRAGMA busy_timeout = {round(PATIENCE_SECONDS * 1000)}")

    def insist(self, write: Callable[[], T]) -> T:
        """Run something that writes; where the disk is full, once more in the reserve's room.

        What ran the first time was undone with its transaction. Raises what `write` raises.
        """
        try:
            return write()
        except DiskFull:
            return write()

    def copy_into(self, file: str) -> None:
        """Write all that is committed into a new database file (VACUUM INTO).

        Raises what `writing` raises; a copy that finds no room spends no reserve.
        """
        with named_errors(self.folder, spend=False):
            self._same().db.conn.execute("VACUUM INTO ?", [file])

    def checkpoint(self) -> None:
        """Fold the log into the database, as far as no reader needs it. Only recover calls this.

        It holds the lock of every writer, so it waits for nobody: what a reader keeps back
        is folded in the next time.
        """
        mine = self._same()
        with self._locked(mine), named_errors(self.folder):
            mine.db.execute("PRAGMA busy_timeout = 0")
            try:
                mine.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                mine.db.execute(f"PRAGMA busy_timeout = {round(PATIENCE_SECONDS * 1000)}")

    def is_there(self) -> None:
        """Look whether the file is still the one we have open. Raises LedgerDamaged."""
        self._same()

    def close(self) -> None:
        """Close every thread's connection: under the lock, because the last one checkpoints."""
        with self._guard:
            mine, self._all = self._all, []
        self._local = threading.local()
        for one in mine:
            with contextlib.suppress(LedgerBusy, NodeIO):
                one.take(PATIENCE_SECONDS)
            one.close()


def _lock(fd: int, patience: float = PATIENCE_SECONDS) -> None:
    """Take the lock, or raise LedgerBusy: a stopped process must not stop everybody for ever."""
    begun = time.monotonic()
    pause = 0.001
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - begun > patience:
                raise LedgerBusy(seconds=patience) from None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.02)
        else:
            return


@contextlib.contextmanager
def named_errors(folder: str, *, spend: bool = True) -> Iterator[None]:
    """Give SQLite's errors their names; `spend` the reserve of a disk that is full."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        named = _named(error, folder)
        if spend and isinstance(named, DiskFull):
            reserve.release(folder)
        raise named from error


def _named(error: sqlite3.DatabaseError, folder: str) -> ApplianceError:
    name = getattr(error, "sqlite_errorname", "")
    cannot = name.startswith(_NO_DISK)
    if name == "SQLITE_FULL" or (cannot and reserve.is_full(folder)):
        return DiskFull(where=folder, free_gb=0.0)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LedgerBusy(seconds=PATIENCE_SECONDS)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "no such table" in str(error):
        return LedgerDamaged(where=folder, why=str(error))
    if cannot:
        return NodeIO(where=folder, why=f"{name} {os.strerror(errno.EIO)}")
    raise error
