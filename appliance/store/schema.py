"""The tables of the ledger, as ordered migrations.

`prepare` brings a state directory to the newest version; every process may call it,
one at a time does the work. Times end in _ms (wall clock, to show) or _bt (seconds of
CLOCK_BOOTTIME, to wait by, worth nothing under another boot_id).

Not here: reading or writing a row (the table's own file).
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

migrations = Migrations("ledger")

# Of an index, and word for word of whoever wants to use it (sqlite.org/partialindex.html).
# The plus keeps SQLite from sorting every job of these states instead.
HAS_ENDED: Final = (
    "+job.state IN ('cancelled', 'dead', 'done', 'failed', 'skipped', 'source-missing')"
)


@migrations()
def first(db: Database) -> None:
    """The ledger of the first version."""
    for statement in _FIRST.split(";\n\n"):
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


_FIRST = """
CREATE TABLE share (
    name TEXT PRIMARY KEY,
    marker TEXT,                 -- what .transcribe-id holds
    existing TEXT,               -- ask | ignore | process: what was decided about old files
    adopted_ms INTEGER,          -- NULL: nothing runs yet
    old_files INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'unknown',   -- unknown | online | offline | suspect
    why TEXT,
    scanned_ms INTEGER,
    method TEXT                  -- how we find files there: events+scan | scan
) STRICT;

CREATE TABLE sighting (
    share TEXT NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('receiving', 'settling', 'settled', 'ignored', 'gone')),
    why TEXT,
    correlation TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (share, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    workload TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 1,
    share TEXT NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT,
    state TEXT NOT NULL,
    stage TEXT,
    priority INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    boot_id TEXT,
    deadline_bt REAL,            -- running: when it is overdue
    due_bt REAL,                 -- retry-wait: when it may queue again
    hint_bt REAL,                -- queued: when the bell was last rung
    cancel INTEGER NOT NULL DEFAULT 0,
    gate TEXT,                   -- waiting: the gate that must open
    code TEXT,
    detail TEXT,
    warnings TEXT,
    duration REAL,               -- seconds of the recording, once known
    correlation TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    UNIQUE (share, path, size, mtime_ns)
) STRICT;

CREATE INDEX job_by_state ON job (state, priority DESC, id);

CREATE INDEX job_by_content ON job (sha256) WHERE sha256 IS NOT NULL;

CREATE TABLE epoch (
    job INTEGER NOT NULL REFERENCES job (id),
    n INTEGER NOT NULL,
    options TEXT NOT NULL,
    who TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER epoch_is_final BEFORE UPDATE ON epoch
BEGIN SELECT raise(ABORT, 'the options of a job never change'); END;

CREATE TABLE attempt (
    job INTEGER NOT NULL REFERENCES job (id),
    n INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT NOT NULL,
    began_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    stage TEXT,
    outcome TEXT,
    code TEXT,
    rss_peak INTEGER,            -- bytes, of the decode child
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE transcript (
    job INTEGER NOT NULL REFERENCES job (id),
    epoch INTEGER NOT NULL,
    task TEXT NOT NULL,
    source_sha256 TEXT NOT NULL,
    asked_sha256 TEXT NOT NULL,  -- of the options and the model's weights
    sha256 TEXT NOT NULL,
    body BLOB NOT NULL,          -- zlib of JSON
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (job, epoch, task)
) STRICT;

CREATE INDEX transcript_by_content ON transcript (source_sha256, asked_sha256, task);

CREATE TRIGGER transcript_is_final BEFORE UPDATE ON transcript
BEGIN SELECT raise(ABORT, 'a transcript is recorded once'); END;

CREATE TABLE export (
    share TEXT NOT NULL,
    path BLOB NOT NULL,
    job INTEGER NOT NULL REFERENCES job (id),
    epoch INTEGER NOT NULL,
    format TEXT NOT NULL,
    suffix TEXT NOT NULL,
    sha256 TEXT NOT NULL,        -- of what we last meant to write there
    before TEXT,                 -- of what we had published there before that
    bytes INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intended', 'published')),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (share, path)
) STRICT, WITHOUT ROWID;

CREATE INDEX export_by_job ON export (job, suffix);

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES job (id),
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    was TEXT,
    became TEXT NOT NULL,
    code TEXT,
    who TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX event_by_job ON event (job, id);

CREATE TRIGGER event_is_final BEFORE UPDATE ON event
BEGIN SELECT raise(ABORT, 'what happened has happened'); END;

CREATE TABLE gate (
    name TEXT PRIMARY KEY,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE transition (
    was TEXT NOT NULL,
    became TEXT NOT NULL,
    PRIMARY KEY (was, became)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER job_moves_by_the_table BEFORE UPDATE OF state ON job
WHEN new.state <> old.state
    AND NOT EXISTS (SELECT 1 FROM transition WHERE was = old.state AND became = new.state)
BEGIN SELECT raise(ABORT, 'not a step of the table of states'); END
"""


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
