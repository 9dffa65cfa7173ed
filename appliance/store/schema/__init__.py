"""The tables of the ledger, as ordered migrations.

`prepare` brings a state directory to the newest version; every process may call it,
one at a time does the work. Times end in _ms (wall clock, to show) or _bt (seconds of
CLOCK_BOOTTIME, to wait by, worth nothing under another boot_id).

Not here: the tables themselves (tables), reading or writing a row (the table's own file).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from sqlite_utils import Database, Migrations

from appliance.errors import on_the_box
from appliance.states import NEXT
from appliance.store import backups, repair, restores
from appliance.store.ledger import Ledger, named_errors
from appliance.store.repair import Mended
from appliance.store.schema import census, chosen, tables
from appliance.store.schema.tables import statements

migrations = Migrations("ledger")

# Of an index, and word for word of whoever wants to use it (sqlite.org/partialindex.html).
# The plus keeps SQLite from sorting every job of these states instead.
HAS_ENDED: Final = (
    "+job.state IN ('cancelled', 'dead', 'done', 'failed', 'skipped', 'source-missing')"
)

TO_EXPORT: Final = "workload = 'reexport'"  # likewise
IS_QUEUED: Final = "+job.state = 'queued'"  # likewise
IS_ARRIVING: Final = "sighting.state IN ('receiving', 'settling')"  # likewise


@migrations()
def first(db: Database) -> None:
    """The ledger of the first version."""
    for statement in statements(tables.FIRST):
        db.conn.execute(statement)
    db.conn.executemany(
        "INSERT INTO transition (was, became) VALUES (?, ?)",
        [(was, became) for was, nexts in NEXT.items() for became in nexts],
    )


@migrations()
def jobs_by_time(db: Database) -> None:
    """The page asks what ended lately."""
    db.conn.execute("CREATE INDEX job_by_time ON job (updated_ms)")


@migrations()
def restored(db: Database) -> None:
    """A ledger that came back from a backup knows it, and which transcripts it was handed."""
    db.conn.execute(
        "CREATE TABLE restore (at_ms INTEGER NOT NULL, backup TEXT, why TEXT NOT NULL,"
        " quarantine TEXT) STRICT"
    )
    db.conn.execute("ALTER TABLE transcript ADD COLUMN regained INTEGER NOT NULL DEFAULT 0")


@migrations()
def housekeeping(db: Database) -> None:
    """What was deleted, and when it was last looked for."""
    db.conn.execute(
        "CREATE TABLE housekeeping (id INTEGER PRIMARY KEY, rule TEXT NOT NULL,"
        " files INTEGER NOT NULL, bytes INTEGER NOT NULL, at_ms INTEGER NOT NULL) STRICT"
    )
    db.conn.execute("CREATE INDEX housekeeping_by_rule ON housekeeping (rule, at_ms)")


@migrations()
def jobs_by_their_end(db: Database) -> None:
    """What ended lately is found without walking past a hundred thousand that wait."""
    db.conn.execute("DROP INDEX job_by_time")
    db.conn.execute(f"CREATE INDEX job_by_end ON job (updated_ms) WHERE {HAS_ENDED}")


@migrations()
def partials(db: Database) -> None:
    """What has been heard of a recording outlives the attempt that heard it."""
    db.conn.execute(
        "CREATE TABLE partial (job INTEGER NOT NULL REFERENCES job (id), n INTEGER NOT NULL,"
        " made_by TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (job, n)) STRICT"
    )


@migrations()
def access(db: Database) -> None:
    """People, programs, what they may do, and what they did."""
    for statement in statements(tables.ACCESS):
        db.conn.execute(statement)


@migrations()
def revisions(db: Database) -> None:
    """What people changed in a transcript; which jobs are queued for that alone."""
    for statement in statements(tables.REVISIONS):
        db.conn.execute(statement)
    db.conn.execute(f"CREATE INDEX job_to_export ON job (id) WHERE {TO_EXPORT}")


@migrations()
def search(db: Database) -> None:
    """What was said, to be searched. What is recorded already is filled in later, bit by bit."""
    for statement in statements(tables.SEARCH):
        db.conn.execute(statement)
    db.conn.execute(
        "INSERT INTO unindexed (below) SELECT max(job) + 1 FROM transcript HAVING count(*) > 0"
    )


@migrations()
def alerts(db: Database) -> None:
    """What is wrong with the box, what people are told of it, and the hour as last known."""
    for statement in statements(tables.ALERTS):
        db.conn.execute(statement)


@migrations()
def wishes(db: Database) -> None:
    """What people ask for: tags, a pause, a scan, that a job be forgotten."""
    for statement in statements(tables.WISHES):
        db.conn.execute(statement)
    db.conn.execute("ALTER TABLE share ADD COLUMN rescan_ms INTEGER")


@migrations()
def uploads(db: Database) -> None:
    """What is sent to the box over the page and the API, and whose job it becomes."""
    for statement in statements(tables.UPLOADS):
        db.conn.execute(statement)


@migrations()
def ticks(db: Database) -> None:
    """What people have listened to again and found right."""
    db.conn.execute(
        "CREATE TABLE tick (job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,"
        " epoch INTEGER NOT NULL, task TEXT NOT NULL, start REAL NOT NULL, end REAL NOT NULL,"
        " text TEXT NOT NULL, who TEXT NOT NULL, at_ms INTEGER NOT NULL,"
        " PRIMARY KEY (job, epoch, task, start, end, text)) STRICT, WITHOUT ROWID"
    )


@migrations()
def usage(db: Database) -> None:
    """What the decode child of an attempt has used up."""
    for column in ("memory_peak INTEGER", *(f"{what}_seconds REAL" for what in _SPENT)):
        db.conn.execute(f"ALTER TABLE attempt ADD COLUMN {column}")


@migrations()
def choices(db: Database) -> None:
    """What people choose on the page in the place of what the files say."""
    for statement in statements(chosen.CHOICES):
        db.conn.execute(statement)


_SPENT: Final = ("cpu", "wall", "throttled")


@migrations()
def tags_in_the_order_of_their_key(db: Database) -> None:
    """Debian 12's quick_check takes a sound row of the old table for a damaged one."""
    for statement in statements(tables.TAGS):
        db.conn.execute(statement)


@migrations()
def sights(db: Database) -> None:
    """Who sees a share alone is answered without a walk past what lies in the others."""
    for statement in statements(census.CENSUS):
        db.conn.execute(statement)
    for name in ("job_by_end", "job_by_submitter"):
        db.conn.execute(f"DROP INDEX {name}")
    for name, rows in {
        "job_of_share": "job (share, state)",
        "job_by_end": f"job (share, updated_ms, state, warnings) WHERE {HAS_ENDED}",
        "job_in_line": f"job (share, priority DESC) WHERE {IS_QUEUED}",
        "job_sent_in_line": f"job (submitter, priority DESC) WHERE {IS_QUEUED} AND {_SENT}",
        "job_by_submitter": f"job (submitter, state) WHERE {_SENT}",
        "job_sent_by_end": f"job (submitter, updated_ms) WHERE {HAS_ENDED} AND {_SENT}",
        "sighting_arriving": f"sighting (share, last_ms) WHERE {IS_ARRIVING}",
    }.items():
        db.conn.execute(f"CREATE INDEX {name} ON {rows}")


@migrations()
def births(db: Database) -> None:
    """Jobs found since a day are counted by state without a look at one of them."""
    db.conn.execute("CREATE INDEX job_by_birth ON job (share, created_ms, state)")


_SENT: Final = "submitter IS NOT NULL"


def prepare(folder: str, *, thorough: bool = True) -> Mended | None:
    """Make the state directory's ledger, mend it, bring it to the newest version.

    `thorough` reads the whole file for damage, as every start of a process does. Says what
    had to be mended. Raises DiskFull, NodeIO, LedgerBusy.
    """
    with _alone(folder):
        mended = repair.mend(folder, migrate=migrate, thorough=thorough)
        migrate(folder)
        os.makedirs(os.path.join(folder, backups.FOLDER), mode=0o770, exist_ok=True)
        if mended and mended.in_place:
            aside = os.path.basename(mended.quarantine or "")
            with Ledger(folder) as ledger:
                restores.note(ledger, backup=None, why=mended.why, quarantine=aside)
    return mended


def restore(folder: str, why: str, backup: backups.Backup | None) -> Mended:
    """Put a backup (None: the newest sound one) in the ledger's place. Raises as `prepare`."""
    with _alone(folder):
        return repair.replace(folder, why, migrate=migrate, backup=backup)


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Be the only one who makes or mends the ledger in `folder`."""
    os.umask(0o007)  # people's words: for our accounts, which share a group, and nobody else
    with on_the_box(folder):
        os.makedirs(folder, mode=0o770, exist_ok=True)
        with open(os.path.join(folder, "migrate.lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def migrate(folder: str) -> None:
    """Bring the ledger in `folder` to the newest version, a backup first; or make it."""
    with Ledger(folder, make=True) as ledger, named_errors(folder):
        if not migrations.pending(ledger.db):
            return
        if migrations.applied(ledger.db) and os.path.isdir(os.path.join(folder, backups.FOLDER)):
            backups.make(ledger, datetime.now(UTC))
        migrations.apply(ledger.db)
        ledger.checkpoint()
