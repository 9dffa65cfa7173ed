"""When the ledger came back from a backup: since then it may have forgotten finished work.

Not here: restoring it (repair), finding the work again (regain).
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.states import State
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Restore:
    """One time that the ledger was put right."""

    at_ms: int
    backup: str | None  # the backup it came from; None: it began anew, or lost its log only
    why: str  # what had become of it
    quarantine: str | None  # the folder that holds what lay there before


def note(ledger: Ledger, *, backup: str | None, why: str, quarantine: str | None) -> None:
    """Write down, in the ledger that takes the lost one's place, that it did.

    Bells rung before are not heard any more. A share whose old files were to be left alone,
    but were not all noted yet, is asked about again: new ones could pass for old. Everybody
    signs in again: a session that was ended since the backup was made would be open once more.
    """
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO restore (at_ms, backup, why, quarantine) VALUES (?, ?, ?, ?)",
            [ledger.clock().wall_ms, backup, why, quarantine],
        )
        db.execute("UPDATE job SET hint_bt = NULL")
        db.execute("DELETE FROM session")
        db.execute(
            "UPDATE share SET adopted_ms = NULL"
            " WHERE existing = 'ignore' AND adopted_ms IS NOT NULL AND scanned_ms IS NULL"
        )


def newest(ledger: Ledger) -> Restore | None:
    """The last time, if there was one."""
    row = ledger.row(
        "SELECT at_ms, backup, why, quarantine FROM restore ORDER BY at_ms DESC LIMIT 1"
    )
    return None if row is None else Restore(**row)


def may_have_forgotten(ledger: Ledger, job: Job) -> Restore | None:
    """The restore that may have made the ledger forget that this job is done, if any."""
    done = ledger.row(
        "SELECT 1 FROM event WHERE job = ? AND became = ? LIMIT 1", [job.id, State.DONE]
    )
    return None if done else newest(ledger)
