"""Which jobs need somebody's hand: claimed, due, behind an open gate, or never heard of.

Asked every few seconds by recover. Not here: moving a job (jobs).
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.states import ENDED, LIVE, State
from appliance.store import sightings
from appliance.store.jobs import SELECT, Job, from_row
from appliance.store.ledger import Ledger, Moment


def running(ledger: Ledger) -> list[Job]:
    """Every job somebody has claimed."""
    return [from_row(row) for row in ledger.rows(f"{SELECT} WHERE state = ?", [State.RUNNING])]


def unsettled(ledger: Ledger, share: str) -> list[Job]:
    """Jobs of a share whose source changed under somebody's hands: it must settle again."""
    rows = ledger.rows(f"{SELECT} WHERE state = ? AND share = ?", [State.DISCOVERED, share])
    return [from_row(row) for row in rows]


def back_in_place(ledger: Ledger, share: str, *, since_ms: int = 0) -> list[Job]:
    """Jobs that ended since then because their file was away, while it lies where it lay."""
    rows = ledger.rows(
        f"{SELECT} JOIN sighting USING (share, path, size, mtime_ns)"
        " WHERE job.state = ? AND job.share = ? AND job.updated_ms >= ? AND sighting.state = ?",
        [State.SOURCE_MISSING, share, since_ms, sightings.SETTLED],
    )
    return [from_row(row) for row in rows]


def due(ledger: Ledger, now: Moment) -> list[Job]:
    """Jobs whose wait is over; after a reboot every wait is."""
    rows = ledger.rows(
        f"{SELECT} WHERE state = ? AND (boot_id IS NOT ? OR due_bt IS NULL OR due_bt <= ?)",
        [State.RETRY_WAIT, now.boot_id, now.boot_s],
    )
    return [from_row(row) for row in rows]


def waiting(ledger: Ledger) -> list[Job]:
    """Every job that waits for a gate."""
    return [from_row(row) for row in ledger.rows(f"{SELECT} WHERE state = ?", [State.WAITING])]


def behind(ledger: Ledger, gate: str) -> bool:
    """Tell whether any job waits for this gate."""
    sql = "SELECT 1 FROM job WHERE state = ? AND gate = ?"
    return ledger.row(sql, [State.WAITING, gate]) is not None


def behind_open_gates(ledger: Ledger) -> list[Job]:
    """Jobs that wait for a gate nobody keeps closed."""
    rows = ledger.rows(
        f"{SELECT} WHERE state = ? AND NOT EXISTS (SELECT 1 FROM gate WHERE name = job.gate)",
        [State.WAITING],
    )
    return [from_row(row) for row in rows]


def unheard(ledger: Ledger, now: Moment, *, older_than: float, limit: int) -> list[int]:
    """Queued jobs whose bell was never rung, or `older_than` seconds ago, most urgent first."""
    rows = ledger.rows(
        "SELECT id FROM job WHERE state = ?"
        " AND (hint_bt IS NULL OR hint_bt > ? OR hint_bt < ?) ORDER BY priority DESC, id LIMIT ?",
        [State.QUEUED, now.boot_s, now.boot_s - older_than, limit],
    )
    return [row["id"] for row in rows]


def rung(ledger: Ledger, job_ids: Sequence[int]) -> None:
    """Note that the bell was rung for these."""
    with ledger.writing() as db:
        now = ledger.clock()
        db.conn.executemany(
            "UPDATE job SET hint_bt = ? WHERE id = ? AND state = ?",
            [(now.boot_s, job_id, State.QUEUED) for job_id in job_ids],
        )


def forgive_losses(ledger: Ledger, *, before_ms: int) -> None:
    """Forget deaths of the worker that lie an hour back: only five within one hour count.

    One that lies in the future is as old: the wall clock has been set back since.
    """
    with ledger.writing() as db:
        marks = ", ".join("?" * len(LIVE))
        db.execute(
            f"UPDATE job SET losses = 0 WHERE losses > 0 AND state IN ({marks}) AND NOT EXISTS ("
            " SELECT 1 FROM attempt WHERE job = job.id AND code = ? AND ended_ms BETWEEN ? AND ?)",
            [*LIVE, "node.worker-died", before_ms, ledger.clock().wall_ms],
        )


def folders_of_ended(ledger: Ledger, share: str, *, since_ms: int) -> list[bytes]:
    """Folders of a share in which an attempt at a job that has ended was made since then."""
    marks = ", ".join("?" * len(ENDED))
    rows = ledger.rows(
        "SELECT DISTINCT job.path FROM job JOIN attempt ON attempt.job = job.id"
        f" WHERE job.share = ? AND attempt.began_ms >= ? AND job.state IN ({marks})",
        [share, since_ms, *ENDED],
    )
    return sorted({row["path"].rpartition(b"/")[0] for row in rows})
