"""The ledger's file and disk, and health's questions, asked whatever has become of it.

Nothing is made and nothing mended: where no ledger is, the questions are put to an empty one
that is thrown away, so that the disk, the engine and the models are told of all the same.

Not here: the questions themselves (health.checks), mending (store.repair).
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from typing import Final

from appliance.errors import ApplianceError, LedgerDamaged
from appliance.health import checks
from appliance.health.finding import Finding, Level
from appliance.settings import Settings
from appliance.store import repair, schema
from appliance.store.ledger import NAME, Ledger
from appliance.watch.mounts import mount_of

_HEADER: Final = b"SQLite format 3\0"
_WAL: Final = b"\2\2"  # of its bytes 18 and 19: sqlite.org/fileformat2.html
_MISSING: Final = Finding(
    *("ledger", Level.WARN, "there is none yet"),
    "`appliance up`, or the units of the box, make it at their first start.",
)


def examine(settings: Settings) -> Iterator[Finding]:
    """Which journal does the ledger keep, and on which disk does it lie?"""
    yield journal(os.path.join(settings.state_dir, NAME))
    mount = mount_of(settings.state_dir)
    if mount.is_local:
        yield Finding("state-disk", Level.OK, f"{settings.state_dir} lies on {mount.fstype}")
    else:
        text = f"{settings.state_dir} lies on {mount.fstype}, which may not hold SQLite's locks"
        remedy = "Set [node] state_dir to a folder on a disk of the box itself, and move it there."
        level = Level.WARN if mount.fstype in _PERHAPS else Level.FAIL
        yield Finding("state-disk", level, text, remedy)


_PERHAPS: Final = frozenset({"unknown", "fuseblk", "9p", "virtiofs"})  # a disk of ours, or not


def journal(file: str) -> Finding:
    """Read in the file itself which journal it is written with: nothing is opened by SQLite."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(20)
    except FileNotFoundError:
        return Finding("journal-mode", Level.OK, "there is no ledger yet")
    except OSError as error:
        text = f"{file} cannot be read: {error.strerror}"
        remedy = "Run this as the account of the box (docs/operations.md)."
        return Finding("journal-mode", Level.FAIL, text, remedy)
    if not head.startswith(_HEADER):
        text = f"{file} is no database"
        return Finding("journal-mode", Level.FAIL, text, LedgerDamaged.hint)
    if head[18:20] != _WAL:
        text = "the ledger is not in WAL mode: somebody opened it with another program"
        remedy = "Start the appliance anew: whoever opens it sets the mode again."
        return Finding("journal-mode", Level.FAIL, text, remedy)
    return Finding("journal-mode", Level.OK, "WAL, synchronous=FULL")


def findings(settings: Settings) -> list[Finding]:
    """What health's questions find, whatever has become of the ledger."""
    try:
        return list(_look(settings).findings)
    except ApplianceError as error:
        return list(checks.unreadable(error, settings).findings)
    except sqlite3.Error as error:  # of another version than ours, most likely
        damaged = LedgerDamaged(where=settings.state_dir, why=str(error))
        return list(checks.unreadable(damaged, settings).findings)


def _look(settings: Settings) -> checks.Seen:
    if why := repair.trouble(settings.state_dir, thorough=False):
        raise LedgerDamaged(where=settings.state_dir, why=why)
    if os.path.exists(settings.state(NAME)):
        with Ledger(settings.state_dir) as ledger:
            return checks.look(ledger, settings)
    with tempfile.TemporaryDirectory() as folder:
        schema.prepare(folder, thorough=False)
        with Ledger(folder) as ledger:
            seen = checks.look(ledger, settings)
    told = (_MISSING, *(one for one in seen.findings if one.code != "ledger"))
    return checks.Seen(told, seen.silent, ready=False)
