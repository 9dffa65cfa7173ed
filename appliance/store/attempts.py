"""Every attempt at a job: when it began and ended, how far it came, what it cost.

Not here: writing an attempt (jobs claims and ends them, in the step's own transaction).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.states import State
from appliance.store.ledger import Ledger


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
    rss_peak: int | None  # bytes, of the decode child


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


def paces(ledger: Ledger, *, limit: int = 50) -> list[Pace]:
    """How long the newest finished recordings took, for estimates."""
    rows = ledger.rows(
        "SELECT job.path, job.size, (attempt.ended_ms - attempt.began_ms) / 1000.0 AS seconds"
        " FROM attempt JOIN job ON job.id = attempt.job WHERE attempt.outcome = ?"
        " ORDER BY attempt.job DESC, attempt.n DESC LIMIT ?",
        [State.DONE, limit],
    )
    return [Pace(**row) for row in rows]
