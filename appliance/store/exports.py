"""Which file beside a recording is ours, and what we last wrote into it.

Not here: writing it (deliver), rendering it (export).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.store import jobs
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger, Row


@dataclass(frozen=True, slots=True)
class Published:
    """A file we wrote, or meant to write when we were stopped."""

    share: str
    path: bytes
    job: int
    epoch: int
    format: str
    suffix: str
    sha256: str  # of what we last meant to write
    before: str | None  # of what we had published there before
    bytes: int
    state: str  # intended | published
    at_ms: int

    def wrote(self, sha256: str) -> bool:
        """Tell whether a file with this content is our own work."""
        return sha256 in (self.sha256, self.before)


def at(ledger: Ledger, share: str, path: bytes) -> Published | None:
    """What we know of the file at this path."""
    row = ledger.row("SELECT * FROM export WHERE share = ? AND path = ?", [share, path])
    return None if row is None else _published(row)


def of_job(ledger: Ledger, job_id: int) -> Iterator[Published]:
    """Every file of a job, by name."""
    for row in ledger.rows("SELECT * FROM export WHERE job = ? ORDER BY path", [job_id]):
        yield _published(row)


def of_source(ledger: Ledger, share: str, path: bytes, suffix: str) -> Published | None:
    """The newest file with this suffix that we wrote for the recording at this path."""
    row = ledger.row(
        "SELECT export.* FROM export JOIN job ON job.id = export.job"
        " WHERE job.share = ? AND job.path = ? AND export.suffix = ? ORDER BY export.at_ms DESC",
        [share, path, suffix],
    )
    return None if row is None else _published(row)


def error_notes(ledger: Ledger, share: str) -> Iterator[Published]:
    """Every error file that lies beside a recording of this share whose job has failed."""
    for row in ledger.rows(
        "SELECT export.* FROM export JOIN job ON job.id = export.job WHERE export.share = ?"
        " AND export.format = 'error' AND export.state = 'published'"
        " AND job.state IN ('failed', 'dead')",
        [share],
    ):
        yield _published(row)


def vanished(ledger: Ledger, share: str, path: bytes) -> None:
    """Strike out a file that its owner took away."""
    with ledger.writing() as db:
        db.execute("DELETE FROM export WHERE share = ? AND path = ?", [share, path])


def _published(row: Row) -> Published:
    return Published(**row)


def intend(
    ledger: Ledger,
    job: Job,
    *,
    path: bytes,
    format_: str,
    suffix: str,
    sha256: str,
    size: int,
    before: str | None = None,
) -> None:
    """Write down, fenced by the attempt, that we are about to put this content at this path.

    `before` is the sha256 of our own work that lies there now: until the new content
    has taken its place, either of the two is ours.
    """
    with ledger.writing() as db:
        jobs.cancel_asked(ledger, job)  # raises Fenced when somebody newer has the job
        db.execute(
            "INSERT INTO export (share, path, job, epoch, format, suffix, sha256, before, bytes,"
            " state, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'intended', ?)"
            " ON CONFLICT (share, path) DO UPDATE SET job = excluded.job, epoch = excluded.epoch,"
            " format = excluded.format, suffix = excluded.suffix,"
            " sha256 = excluded.sha256, before = excluded.before, bytes = excluded.bytes,"
            " state = 'intended', at_ms = excluded.at_ms",
            [
                *(job.source.share, path, job.id, job.epoch, format_, suffix),
                *(sha256, before, size, ledger.clock().wall_ms),
            ],
        )


def published(ledger: Ledger, job: Job, path: bytes) -> None:
    """Note, fenced, that the file is in its place and safe on disk."""
    with ledger.writing() as db:
        jobs.cancel_asked(ledger, job)
        db.execute(
            "UPDATE export SET state = 'published', before = NULL, at_ms = ?"
            " WHERE share = ? AND path = ? AND job = ?",
            [ledger.clock().wall_ms, job.source.share, path, job.id],
        )


def forget(ledger: Ledger, job: Job, path: bytes) -> None:
    """Strike out, fenced, what we knew of the file at this path: it is gone, or not ours."""
    with ledger.writing() as db:
        jobs.cancel_asked(ledger, job)
        db.execute("DELETE FROM export WHERE share = ? AND path = ?", [job.source.share, path])
