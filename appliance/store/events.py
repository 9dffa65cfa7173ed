"""What happened to a job, one line a step, never changed.

Not here: the journal (report), the transcript's text, which no log ever holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Event:
    """One step of one job."""

    job: int
    epoch: int
    attempt: int
    was: str | None
    became: str
    code: str | None
    who: str
    at_ms: int


class Stepping(Protocol):
    """As much of a job as an event keeps."""

    @property
    def id(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def attempt(self) -> int: ...


def add(
    ledger: Ledger, job: Stepping, *, was: str | None, became: str, code: str | None, who: str
) -> None:
    """Write one step down, in the caller's transaction."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO event (job, epoch, attempt, was, became, code, who, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [job.id, job.epoch, job.attempt, was, became, code, who, ledger.clock().wall_ms],
        )


def of_job(ledger: Ledger, job: int) -> Iterator[Event]:
    """Every step of a job, oldest first."""
    for row in ledger.rows(
        "SELECT job, epoch, attempt, was, became, code, who, at_ms FROM event"
        " WHERE job = ? ORDER BY id",
        [job],
    ):
        yield Event(**row)
