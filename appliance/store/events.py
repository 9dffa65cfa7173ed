"""What happened to a job, one line a step, never changed; deleted by `expire` alone.

Not here: the journal (report), the transcript's text, which no log ever holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from appliance.rights import Shares
from appliance.states import ENDED, State
from appliance.store import numbers
from appliance.store.ledger import Ledger
from appliance.store.sight import of_jobs

_NEWEST: Final = numbers.newest(numbers.EVENT)


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
            "INSERT INTO event (id, job, epoch, attempt, was, became, code, who, at_ms)"
            f" VALUES ({_NEWEST} + 1, ?, ?, ?, ?, ?, ?, ?, ?)",
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


@dataclass(frozen=True, slots=True)
class End:
    """A job that came to its end, with a transcript or without."""

    job: int
    share: str
    path: bytes
    code: str | None  # why there is none
    became: str


def newest(ledger: Ledger) -> int:
    """The number of the last step that any job took."""
    row = ledger.row(f"SELECT {_NEWEST} AS id")
    return int(row["id"]) if row else 0


def ends(
    ledger: Ledger, states: Sequence[State], *, after: int, until: int, limit: int = 1000
) -> list[End]:
    """Jobs that came into these states, in the steps after that number until this one."""
    marks = ", ".join("?" * len(states))
    rows = ledger.rows(
        "SELECT event.job, job.share, job.path, event.code, event.became FROM event"
        " JOIN job ON job.id = event.job"
        f" WHERE event.id > ? AND event.id <= ? AND event.became IN ({marks})"
        " ORDER BY event.id LIMIT ?",
        [after, until, *states, limit],
    )
    return [End(**row) for row in rows]


def expired(ledger: Ledger, *, before_ms: int, limit: int = -1) -> list[int]:
    """Numbers of steps older than that, of jobs that have ended; -1: all of them."""
    marks = ", ".join("?" * len(ENDED))
    rows = ledger.rows(
        "SELECT event.id FROM event JOIN job ON job.id = event.job"
        f" WHERE event.at_ms < ? AND job.state IN ({marks}) ORDER BY event.id LIMIT ?",
        [before_ms, *ENDED, limit],
    )
    return [row["id"] for row in rows]


def expire(ledger: Ledger, *, before_ms: int, batch: int = 500) -> int:
    """Delete those, `batch` a transaction; say how many."""
    gone = 0
    while numbers := expired(ledger, before_ms=before_ms, limit=batch):
        with ledger.writing() as db:
            db.conn.executemany("DELETE FROM event WHERE id = ?", [(one,) for one in numbers])
        gone += len(numbers)
    return gone


@dataclass(frozen=True, slots=True)
class Step:
    """An event with its number, and the recording it is about."""

    id: int
    job: int
    share: str
    path: bytes
    attempt: int
    was: str | None
    became: str
    code: str | None
    who: str
    at_ms: int


def since(ledger: Ledger, after: int, *, limit: int, shares: Shares = None) -> list[Step]:
    """Steps after that number, the oldest first, of jobs in these shares (None: all)."""
    seen, values = of_jobs(shares, walking=True)
    rows = ledger.rows(
        "SELECT event.id, event.job, job.share, job.path, event.attempt, event.was, event.became,"
        " event.code, event.who, event.at_ms FROM event"
        " CROSS JOIN job ON job.id = event.job"  # in this order, not share by share
        f" WHERE event.id > ? AND {seen} ORDER BY event.id LIMIT ?",
        [after, *values, limit],
    )
    return [Step(**row) for row in rows]
