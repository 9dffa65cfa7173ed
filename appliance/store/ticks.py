"""Spans of a text that somebody has listened to and found right: not doubtful any more.

A tick is no revision: the text stays as it is, its files too, and what the model thought of it
is still true. It holds for these words at this time, so that it survives edits around it, and
ends with what is transcribed anew.

Not here: which spans are doubtful (revise.doubts).
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.store.jobs import Job
from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Span:
    """Some words of a text, and when they are heard."""

    start: float  # seconds
    end: float
    text: str


def add(ledger: Ledger, job: Job, task: str, span: Span, *, who: str) -> None:
    """Tick a span off; one that is ticked off stays so."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO tick (job, epoch, task, start, end, text, who, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                *(job.id, job.epoch, task, span.start, span.end, span.text),
                *(who, ledger.clock().wall_ms),
            ],
        )


def clear(ledger: Ledger, job: Job, task: str) -> None:
    """Take every tick of a text away."""
    with ledger.writing() as db:
        db.execute(
            "DELETE FROM tick WHERE job = ? AND epoch = ? AND task = ?", [job.id, job.epoch, task]
        )


def of_text(ledger: Ledger, job: Job, task: str) -> frozenset[Span]:
    """What is ticked off of one text of the job's epoch."""
    rows = ledger.rows(
        "SELECT start, end, text FROM tick WHERE job = ? AND epoch = ? AND task = ?",
        [job.id, job.epoch, task],
    )
    return frozenset(Span(**row) for row in rows)
