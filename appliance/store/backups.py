"""Copies of the ledger: made whole, looked through, named by their UTC time, thinned out.

A copy comes from VACUUM INTO, which reads one state of a busy ledger; SQLite's step-wise
backup begins again with each commit of another process and may never end. It gets its
name only when it was read back and is on disk, so whatever has a name was sound.

Not here: when to make one (supervise, a timer), putting one back (repair).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from appliance.errors import NodeIO, on_the_box
from appliance.store.ledger import Ledger

FOLDER: Final = "backups"
HOURS, DAYS, WEEKS = 24, 7, 4  # of each so many are kept
_STAMP: Final = "%Y-%m-%dT%H-%M-%SZ"
_NAME: Final = re.compile(r"ledger-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)\.db")
_NEW: Final = ".new"
_MACHINE: Final = "/etc/machine-id"
_COPY_FAILED: Final = "copy-failed.txt"
_AHEAD: Final = timedelta(hours=1)  # a name further in the future was made under a wrong clock


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of the ledger."""

    name: str
    path: str
    at: datetime  # UTC
    size: int  # bytes


def name_at(now: datetime) -> str:
    """What a backup of that moment is called."""
    return f"ledger-{now.astimezone(UTC).strftime(_STAMP)}.db"


def time_of(name: str) -> datetime | None:
    """The moment a backup's name says; None for another file's name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def listed(folder: str, now: datetime) -> list[Backup]:
    """Every backup in `folder`, the one to trust most first: the newest that is not of tomorrow."""
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        at = time_of(name)
        if at is not None:
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):  # thinned out this very moment
                found.append(Backup(name, path, at, os.path.getsize(path)))
    return sorted(found, key=lambda one: (one.at <= now + _AHEAD, one.at), reverse=True)


def is_sound(file: str) -> bool:
    """Read a whole backup (integrity_check) and tell whether it is a ledger."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(os.path.abspath(file))}?mode=ro&immutable=1", uri=True)
        ) as db:
            tables = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'job'").fetchone()
            return bool(tables) and db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        return False


# --- making one ---------------------------------------------------------------------------------


def make(ledger: Ledger, now: datetime) -> Backup:
    """Make a backup in the state directory and thin out the old ones.

    Raises DiskFull, NodeIO, LedgerDamaged; what was half made is gone then.
    """
    folder = os.path.join(ledger.folder, FOLDER)
    path = os.path.join(folder, name_at(now))
    with on_the_box(folder), _alone(folder):
        _sweep(folder)
        temp = path + _NEW
        try:
            ledger.copy_into(temp)
            if not is_sound(temp):
                raise NodeIO(where=folder, why="what was written there does not read back")
            _into_place(temp, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temp)
        thin_out(folder, now)
    return Backup(os.path.basename(path), path, now, os.path.getsize(path))


def this_box() -> str:
    """A name that no other box has: its own, and four letters made of an id that stays here."""
    try:
        with open(_MACHINE, encoding="ascii") as stream:
            own = hashlib.sha256(f"backups of {stream.read().strip()}".encode()).hexdigest()[:4]
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}-{own}"


def copy(backup: Backup, to: str, now: datetime, *, box: str | None = None) -> str | None:
    """Put a second copy below the folder `to`, whole or not at all; says why it could not be.

    Several boxes may have one such folder: each has a folder of its own in it, called as `box`
    (None: `this_box`), and thins out there alone.

    The answer is kept beside the backups, for `copy_failure`.
    """
    note = os.path.join(os.path.dirname(backup.path), _COPY_FAILED)
    try:
        if not os.path.isdir(to):  # a mount that is away is not a folder to make
            raise FileNotFoundError(f"{to} is not there")
        ours = os.path.join(to, box or this_box())
        os.makedirs(ours, mode=0o750, exist_ok=True)
        temp = os.path.join(ours, f".{backup.name}{_NEW}")
        try:
            shutil.copyfile(backup.path, temp)
            os.chmod(temp, 0o640)
            _into_place(temp, os.path.join(ours, backup.name))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temp)
        thin_out(ours, now)
    except OSError as error:
        why = error.strerror or str(error)
        with open(note, "w", encoding="utf-8") as stream:
            stream.write(f"{backup.name} could not be copied to {to}: {why}\n")
        return why
    with contextlib.suppress(FileNotFoundError):
        os.unlink(note)
    return None


def copy_failure(state_dir: str) -> str | None:
    """What the last try to make a second copy said, if it failed."""
    try:
        with open(os.path.join(state_dir, FOLDER, _COPY_FAILED), encoding="utf-8") as stream:
            return stream.read().strip()
    except OSError:
        return None


def _into_place(temp: str, path: str) -> None:
    for each in (temp, os.path.dirname(path)):
        if each != temp:
            os.rename(temp, path)
        sync(each)


def sync(path: str) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError:
        if not os.path.isdir(path):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    os.makedirs(folder, mode=0o770, exist_ok=True)
    with open(os.path.join(folder, ".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(folder: str) -> None:
    for name in os.listdir(folder):
        if name.endswith(_NEW):
            os.unlink(os.path.join(folder, name))


# --- thinning out -------------------------------------------------------------------------------


def thin_out(folder: str, now: datetime) -> None:
    """Remove the backups that nobody needs to keep."""
    for name in superfluous(os.listdir(folder), now):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))


def superfluous(names: Iterable[str], now: datetime) -> list[str]:
    """Name the backups that may go. Pure.

    Kept is the newest of each of the last 24 hours, 7 days and 4 weeks that have one, so
    that a box which was off for a year keeps its old ones. What a wrong clock named for
    the future is counted by itself: it neither lasts for ever nor pushes others out.
    """
    timed = [(at, name) for name in names if (at := time_of(name)) is not None]
    future = [one for one in timed if one[0] > now + _AHEAD]
    past = [one for one in timed if one[0] <= now + _AHEAD]
    keep = _kept(past) | _kept(future)
    return sorted(name for _, name in timed if name not in keep)


def _kept(timed: Sequence[tuple[datetime, str]]) -> set[str]:
    newest_first = sorted(timed, reverse=True)
    keep: set[str] = set()
    for count, unit in _UNITS:
        slots: dict[object, str] = {}
        for at, name in newest_first:
            slots.setdefault(unit(at), name)
        keep.update(list(slots.values())[:count])
    return keep


_UNITS: Final[tuple[tuple[int, Callable[[datetime], object]], ...]] = (
    (HOURS, lambda at: (at.date(), at.hour)),
    (DAYS, lambda at: at.date()),
    (WEEKS, lambda at: at.isocalendar()[:2]),
)
