"""The ledger counted and looked over from outside, for a support call: whatever still answers.

Nothing is opened for writing, nothing made, nothing mended, nobody's lock taken; each question
stands alone, so that a damaged table costs its own answer and no other. No word of a
transcript is ever selected.

Not here: the questions of health (health.checks), what may be shown of a row (support).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from appliance.store.ledger import NAME

_STEPS: Final = 10_000  # of SQLite's machine, between two looks at the time
_WAIT_SECONDS: Final = 5.0
_NOBODY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT")
Row = dict[str, Any]


class Unanswered(Exception):
    """The ledger does not answer, and why."""


_QUESTIONS: Final = {
    "migrations": "SELECT name FROM _sqlite_migrations ORDER BY rowid",
    "jobs": "SELECT share, state, code, count(*) AS n FROM job GROUP BY 1, 2, 3",
    "attempts": "SELECT outcome, code, stage, count(*) AS n FROM attempt GROUP BY 1, 2, 3",
    "sightings": "SELECT share, state, count(*) AS n FROM sighting GROUP BY 1, 2",
    "shares": "SELECT name AS share, existing, adopted_ms, old_files, state, why, scanned_ms,"
    " method FROM share",
    "gates": "SELECT name AS gate, code, since_ms FROM gate",
    "alerts": "SELECT name AS alert, level, error AS code, phase, since_ms, opened_ms FROM alert"
    " WHERE phase <> 'closed'",
    "outbox": "SELECT channel, state, count(*) AS n, max(tries) AS tries FROM outbox GROUP BY 1, 2",
    "channels": "SELECT name AS channel, failures FROM channel",
    "pause": "SELECT at_ms FROM pause",
    "restores": "SELECT at_ms, backup, why FROM restore ORDER BY at_ms DESC LIMIT 20",
    "accounts": "SELECT role, count(*) AS n FROM account GROUP BY 1",
    "housekeeping": "SELECT rule, max(at_ms) AS at_ms, sum(files) AS files, sum(bytes) AS bytes"
    " FROM housekeeping GROUP BY 1",
}
_FAILED: Final = (
    "SELECT id AS job, share, path, size, duration, state, stage, attempt, errors, crashes, losses,"
    " code, workload, created_ms, updated_ms FROM job WHERE state IN ('failed', 'dead')"
    " ORDER BY updated_ms DESC LIMIT ?"
)
_ATTEMPTS: Final = (
    "SELECT n AS attempt, began_ms, ended_ms, stage, outcome, code, rss_peak, memory_peak,"
    " cpu_seconds, wall_seconds, throttled_seconds FROM attempt WHERE job = ?"
    " ORDER BY n DESC LIMIT ?"
)


def rows(state_dir: str, *, seconds: float) -> Iterator[Row]:
    """Every answer as a row, with the question it belongs to (`about`); for so long at most.

    A question that could not be answered is a row with its `trouble`. Raises Unanswered
    where no further one would be answered either.
    """
    with _opened(state_dir, seconds) as db:
        yield from _asked(db, "tables", _tables)
        for about, question in _QUESTIONS.items():
            yield from _asked(db, about, lambda db, sql=question: _select(db, sql))


def failed(state_dir: str, *, jobs: int, attempts: int, seconds: float) -> Iterator[Row]:
    """The newest failed jobs, and under `attempts` how each of the last ones went.

    Raises Unanswered.
    """
    with _opened(state_dir, seconds) as db:
        for one in _select(db, _FAILED, [jobs]):
            yield {**one, "attempts": list(_select(db, _ATTEMPTS, [one["job"], attempts]))}


@contextlib.contextmanager
def _opened(state_dir: str, seconds: float) -> Iterator[sqlite3.Connection]:
    """A connection that can only read, and stops by itself. Raises Unanswered."""
    until = time.monotonic() + seconds
    address = f"file:{quote(os.path.join(state_dir, NAME))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS)) as db:
            db.row_factory = sqlite3.Row
            db.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            yield db
    except sqlite3.Error as error:
        raise Unanswered(str(error)) from error


def _asked(db: sqlite3.Connection, about: str, question: Any) -> Iterator[Row]:  # noqa: ANN401
    try:
        for row in question(db):
            yield {"about": about, **row}
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith(_NOBODY):
            raise  # the next question would wait as long
        yield {"about": about, "trouble": str(error)}


def _select(db: sqlite3.Connection, sql: str, values: list[int] | None = None) -> Iterator[Row]:
    for row in db.execute(sql, values or []):
        yield dict(row)


def _tables(db: sqlite3.Connection) -> Iterator[Row]:
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    (version,) = db.execute("PRAGMA schema_version").fetchone()
    yield {"journal_mode": mode, "schema_version": version}
    names = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    for (name,) in names.fetchall():
        if not name.startswith(("sqlite_", "spoken_")):  # an index of words has its own tables
            (count,) = db.execute(f'SELECT count(*) FROM "{name}"').fetchone()
            yield {"table": name, "rows": count}
