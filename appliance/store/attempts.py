"""Every attempt at a job: when it began and ended, how far it came, what it cost.

Not here: how an attempt begins and ends (jobs, in the step's own transaction).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.nouns import Usage
from appliance.states import State
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

_LATELY: Final = 2000  # attempts among which finished ones are looked for


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one job."""

    job: int
    n: int
    epoch: int
    owner: str
    began_ms: int
    ended_ms: int | None
    stage: str | None
    outcome: str | None
    code: str | None
    rss_peak: int | None  # bytes, of the decode child, with what it shared with others
    memory_peak: int | None  # bytes that it held itself
    cpu_seconds: float | None
    wall_seconds: float | None
    throttled_seconds: float | None  # it was kept from a processor; None: not known


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one finished recording of so many bytes took."""

    path: bytes
    size: int
    seconds: float


def of_job(ledger: Ledger, job: int) -> Iterator[Attempt]:
    """Every attempt at a job, oldest first."""
    for row in ledger.rows("SELECT * FROM attempt WHERE job = ? ORDER BY n", [job]):
        yield Attempt(**row)


def used(ledger: Ledger, job: Job, usage: Usage) -> None:
    """Write down what the decode child of a job's attempt has used up. Raises DiskFull, LedgerBusy.

    Late or early, it belongs to that attempt and no other: nothing else is written.
    """
    with ledger.writing() as db:
        db.execute(
            "UPDATE attempt SET memory_peak = ?, cpu_seconds = ?, wall_seconds = ?,"
            " throttled_seconds = ? WHERE job = ? AND n = ?",
            [
                *(usage.memory_peak, usage.cpu_seconds, usage.wall_seconds),
                *(usage.throttled_seconds, job.id, job.attempt),
            ],
        )


def paces(ledger: Ledger, *, limit: int = 50) -> list[Pace]:
    """How long the newest finished recordings took, for estimates."""
    rows = ledger.rows(
        "SELECT job.path, job.size, (attempt.ended_ms - attempt.began_ms) / 1000.0 AS seconds"
        " FROM (SELECT * FROM attempt ORDER BY job DESC, n DESC LIMIT ?) AS attempt"
        " JOIN job ON job.id = attempt.job WHERE attempt.outcome = ?"
        " ORDER BY attempt.job DESC, attempt.n DESC LIMIT ?",
        [_LATELY, State.DONE, limit],
    )
    return [Pace(**row) for row in rows]
