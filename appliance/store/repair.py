"""A ledger that cannot be trusted is put aside, and the newest backup that can takes its place.

Asked by schema.prepare before anything else, one process at a time. Nothing is deleted:
what lay there goes into `quarantine/<time>/`. The new file is made ready beside the old
one and then renamed, so that a start which is itself interrupted begins again.

The queue (huey.db) goes the same way, but nothing replaces it: it knows nothing that the
ledger does not know.

Not here: making backups (backups), finding again what was done since (regain).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from appliance.errors import LedgerDamaged, NodeIO, on_the_box
from appliance.store import backups, reserve, restores, wal
from appliance.store.backups import Backup
from appliance.store.ledger import NAME, Ledger, locked, named_errors

log = logging.getLogger("appliance.store")
QUARANTINE: Final = "quarantine"
_ROOM: Final = "restoring"
_MORE_BYTES: Final = 1 << 20  # that a ledger takes while it is made
_ENDS: Final = ("", "-wal", "-shm")
_STAMP: Final = "%Y-%m-%dT%H-%M-%SZ"

Migrate = Callable[[str], None]  # brings the ledger in a folder to the newest version, or makes it


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done about a ledger that was lost."""

    why: str  # what had become of it
    backup: Backup | None  # what took its place; None: an empty one
    quarantine: str | None  # where it lies now; None: nothing was left of it
    in_place: bool = False  # the ledger stayed: it lost the newest commits of its log only


def mend(folder: str, *, migrate: Migrate, thorough: bool = True) -> Mended | None:
    """Look at the ledger in `folder`; replace it where it is lost. None when all is well.

    `thorough` reads all of it, else only what costs nothing. One that lost no more than
    the newest commits of its log stays: its caller notes that, once it has the tables.
    Raises DiskFull, NodeIO, LedgerBusy where not even that can be done.
    """
    aside = _named_for_now(folder)
    log_lost = _look_at_log(folder, aside) if thorough else None  # before SQLite opens it
    if why := trouble(folder, thorough=thorough):
        return replace(folder, why, migrate=migrate, aside=aside)
    return None if log_lost is None else Mended(log_lost, None, aside, in_place=True)


def replace(
    folder: str,
    why: str,
    *,
    migrate: Migrate,
    backup: Backup | None = None,
    aside: str | None = None,
) -> Mended:
    """Put the ledger into the folder `aside`, and `backup` in its place.

    Without `backup` the newest that is sound; where none is, an empty ledger. Raises
    NodeIO for a backup that does not read back.
    """
    aside = aside or _named_for_now(folder)
    with on_the_box(folder):
        chosen = _make_ready(folder, why, aside, migrate, backup)
        with locked(folder):  # of every writer: none of them writes into the file put aside
            kept = quarantine(folder, NAME, aside, why)
            os.rename(os.path.join(folder, _ROOM, NAME), os.path.join(folder, NAME))
            backups.sync(folder)
        shutil.rmtree(os.path.join(folder, _ROOM), ignore_errors=True)
    told = chosen.name if chosen else "no backup: it begins anew"
    log.warning("the ledger was lost (%s); restored: %s", why, told)
    return Mended(why, chosen, aside if kept else None)


def _make_ready(
    folder: str, why: str, aside: str, migrate: Migrate, backup: Backup | None
) -> Backup | None:
    """Make the ledger that is to be, in a room of its own; say which backup it comes from."""
    room = os.path.join(folder, _ROOM)
    candidates = [backup] if backup else [*_candidates(folder), None]
    needed = 2 * max(one.size for one in candidates if one) if any(candidates) else 0
    if reserve.is_full(folder, below=needed + _MORE_BYTES):
        reserve.release(folder)
    for chosen in candidates:
        shutil.rmtree(room, ignore_errors=True)
        os.mkdir(room, 0o770)
        if chosen is not None:
            if not backups.is_sound(chosen.path):
                log.warning("%s does not read back and is passed over", chosen.name)
                continue
            shutil.copyfile(chosen.path, os.path.join(room, NAME))
        migrate(room)
        with Ledger(room) as ledger:
            name = chosen.name if chosen else None
            restores.note(ledger, backup=name, why=why, quarantine=os.path.basename(aside))
        backups.sync(os.path.join(room, NAME))
        return chosen
    raise NodeIO(where=folder, why="the backup does not read back")


def _candidates(folder: str) -> list[Backup]:
    return backups.listed(os.path.join(folder, backups.FOLDER), datetime.now(UTC))


# --- looking ------------------------------------------------------------------------------------


def trouble(folder: str, *, thorough: bool = True) -> str | None:
    """Say why the ledger in `folder` cannot be trusted; None for one that can, or the first one."""
    file = os.path.join(folder, NAME)
    try:
        size = os.path.getsize(file)
    except FileNotFoundError:
        return "its file was gone" if _was_here(folder) else None
    if size == 0:
        return "its file was empty" if _was_here(folder) else None
    if not thorough:
        return None
    return _damage(file, locked(folder), holds="job" if _was_here(folder) else None)


def _was_here(folder: str) -> bool:
    """Tell whether there was a ledger: the room of its backups is made together with it."""
    return os.path.isdir(os.path.join(folder, backups.FOLDER))


def _damage(
    file: str, lock: contextlib.AbstractContextManager[None], *, holds: str | None = None
) -> str | None:
    """Read a database through; `holds` is a table that must be in it.

    It is closed under `lock`: the last one out folds the log in. Raises DiskFull, NodeIO
    and LedgerBusy for trouble that is none of the file's.
    """
    folder = os.path.dirname(os.path.abspath(file))
    with named_errors(folder):
        db = sqlite3.connect(f"file:{quote(os.path.abspath(file))}?mode=rw", uri=True, timeout=15)
    try:
        with named_errors(folder):
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema")]
            said = _first_complaint(db)
    except LedgerDamaged as error:
        return f"it was damaged: {error.detail['why']}"
    finally:
        with lock:
            db.close()
    if said != "ok":
        return f"it was damaged: {said.splitlines()[-1]}"
    return None if holds is None or holds in tables else "its tables were gone"


def _first_complaint(db: sqlite3.Connection) -> str:
    """What SQLite says of a database: "ok", or what is wrong first.

    Debian 12's quick_check calls a sound row NULL in a table without rowid whose key has its
    columns in another order than the table. The slower check, which does not, has the last word.
    """
    said = "ok"
    for check in ("quick_check", "integrity_check"):
        said = str(db.execute(f"PRAGMA {check}(1)").fetchone()[0])
        if said == "ok":
            break
    return said


def _look_at_log(folder: str, aside: str) -> str | None:
    """Say how the ledger's log lost commits, and keep what it was; None when it did not."""
    file = os.path.join(folder, f"{NAME}-wal")
    with locked(folder):
        why = wal.damage(file)
        if why is not None:
            os.makedirs(aside, mode=0o770)
            shutil.copyfile(file, os.path.join(aside, f"{NAME}-wal.lost"))
            _say_why(aside, why)
            log.warning("the ledger lost its newest commits: %s", why)
    return why


# --- putting aside ------------------------------------------------------------------------------


def quarantine(folder: str, name: str, aside: str, why: str) -> bool:
    """Move a database and what belongs to it into the folder `aside`; False where none lies there.

    The log goes after its file: without it the log is worth nothing, but a file that
    loses its log looks whole and has forgotten the newest commits.
    """
    moved = False
    for end in _ENDS:
        file = os.path.join(folder, name + end)
        if os.path.lexists(file):
            os.makedirs(aside, mode=0o770, exist_ok=True)
            os.rename(file, os.path.join(aside, name + end))
            moved = True
    if moved:
        _say_why(aside, why)
        backups.sync(aside)
        backups.sync(folder)
    return moved


def discard_broken_queue(folder: str) -> bool:
    """Put a damaged queue aside; say whether there was one. The caller is the only consumer."""
    file = os.path.join(folder, "huey.db")
    if not os.path.exists(file):
        return False
    why = _damage(file, contextlib.nullcontext())
    if why is None:
        return False
    quarantine(folder, "huey.db", _named_for_now(folder), f"the queue was put aside: {why}")
    log.warning("huey.db was damaged and is put aside; nothing is lost")
    return True


def put_aside(folder: str) -> list[str]:
    """Every folder of the quarantine, oldest first."""
    try:
        return sorted(os.listdir(os.path.join(folder, QUARANTINE)))
    except FileNotFoundError:
        return []


def _named_for_now(folder: str) -> str:
    stamp = datetime.now(UTC).strftime(_STAMP)
    room = os.path.join(folder, QUARANTINE)
    names = [stamp, *(f"{stamp}.{n}" for n in range(2, 1000))]
    free = next(name for name in names if not os.path.exists(os.path.join(room, name)))
    return os.path.join(room, free)


def _say_why(aside: str, why: str) -> None:
    with open(os.path.join(aside, "why.txt"), "w", encoding="utf-8") as stream:
        stream.write(f"{why}\n")
