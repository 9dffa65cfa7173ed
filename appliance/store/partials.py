"""What has been heard of recordings that are still being transcribed: a row per window.

The next attempt at a job begins where this one was stopped, and the page shows the words so
far. The rows go with the end of their job (jobs.move), and with other options.

Not here: what a row holds (transcribe.checkpoint).
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.store import jobs
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger


def keep(ledger: Ledger, job: Job, made_by: str, rows: Mapping[int, bytes]) -> None:
    """Write rows down, fenced by the job's attempt. Raises Fenced, DiskFull, LedgerBusy, NodeIO."""
    with ledger.writing() as db:
        jobs.cancel_asked(ledger, job)  # raises Fenced when somebody newer has the job
        db.execute("DELETE FROM partial WHERE job = ? AND made_by <> ?", [job.id, made_by])
        for number, body in rows.items():
            db.execute(
                "INSERT OR REPLACE INTO partial (job, n, made_by, body) VALUES (?, ?, ?, ?)",
                [job.id, number, made_by, body],
            )


def made_by(ledger: Ledger, job: Job, made_by: str) -> dict[int, bytes]:
    """The rows of a job that were made in this way."""
    rows = ledger.rows(
        "SELECT n, body FROM partial WHERE job = ? AND made_by = ?", [job.id, made_by]
    )
    return {row["n"]: row["body"] for row in rows}


def since(ledger: Ledger, job_id: int, number: int, *, limit: int = 200) -> dict[int, bytes]:
    """The rows of a job from a number on, as they stand: to be read along while it runs."""
    rows = ledger.rows(
        "SELECT n, body FROM partial WHERE job = ? AND n >= ? ORDER BY n LIMIT ?",
        [job_id, number, limit],
    )
    return {row["n"]: row["body"] for row in rows}
