"""The box at one moment, for programs and for pages that look every two seconds.

It carries an ETag, so that looking costs nothing while nothing happens.

Not here: gathering it (overview).
"""

from __future__ import annotations

import hashlib

from flask import Response
from pydantic import BaseModel, Field

from appliance.states import State
from web import db, overview, words
from web.access import sees
from web.api.document import part, told
from web.api.rows import WorkingRow, working_row
from web.overview import Overview

bp = part("status", "The box at one moment.")


class VerdictRow(BaseModel):
    """The one sentence above everything."""

    tone: str = Field(description="good, busy or bad.")
    sentence: str
    ready_at: str | None = Field(description="When everything will be done.")


class NeedRow(BaseModel):
    """Something that needs a person."""

    sentence: str
    next_step: str | None
    code: str | None


class DayRow(BaseModel):
    """How jobs ended in the last 24 hours."""

    done: int
    with_warnings: int
    failed: int


class ShareState(BaseModel):
    """A share as the status tells it."""

    name: str
    state: str
    adopted: bool
    found_by: str | None
    scanned_at: str | None
    why: str | None


class DiskRow(BaseModel):
    """The disk the box keeps its own things on."""

    free_gb: float
    level: str


class StatusRow(BaseModel):
    """The box at one moment."""

    verdict: VerdictRow
    needs: list[NeedRow]
    working: list[WorkingRow]
    counts: dict[State, int]
    arriving: int
    last_24_hours: DayRow
    shares: list[ShareState]
    disk: DiskRow
    selftest_model: bool
    limits: str | None = Field(description="How jobs are held to theirs: cgroup2, partial, rlimit.")
    page: str = Field(description="Another word when the status page looks different.")


@bp.get("/status", responses={200: StatusRow})
def status() -> Response:
    """The box at one moment; 304 when nothing has changed."""
    seen = overview.gather(db.ledger(), db.settings(), sees())
    return told(_status_row(seen))


def _status_row(seen: Overview) -> StatusRow:
    verdict = seen.verdict
    return StatusRow(
        verdict=VerdictRow(
            tone=verdict.tone, sentence=verdict.sentence, ready_at=_minute(verdict.ready_ms)
        ),
        needs=[
            NeedRow(sentence=need.sentence, next_step=need.step, code=need.code)
            for need in seen.needs
        ],
        working=[working_row(one) for one in seen.working],
        counts=dict(sorted(seen.counts.items())),
        arriving=seen.arriving.count,
        last_24_hours=DayRow(
            done=seen.day.done, with_warnings=seen.day.warned, failed=seen.day.failed
        ),
        shares=[
            ShareState(
                name=row.name,
                state=row.state,
                adopted=row.adopted_ms is not None,
                found_by=row.method,
                scanned_at=words.iso(row.scanned_ms) if row.scanned_ms else None,
                why=row.why,
            )
            for row in seen.shares
        ],
        disk=DiskRow(free_gb=round(seen.disk.free / 1e9, 1), level=seen.disk.level),
        selftest_model=seen.selftest,
        limits=seen.limits,
        page=page_of(seen),
    )


def _minute(ms: int | None) -> str | None:
    return None if ms is None else words.iso(ms // 60_000 * 60_000)


def page_of(seen: Overview) -> str:
    """A word that changes when the status page would look different, progress left aside."""
    parts = [
        [(one.job.id, one.stage, one.total is None) for one in seen.working],
        [(job.id, job.state, job.updated_ms) for job in (*seen.queue, *seen.waiting)],
        [(job.id, job.state, job.updated_ms) for job in seen.recent],
        [(one.path, one.state, one.size) for one in seen.arriving.files],
        (seen.needs, seen.shares, seen.day, seen.queued, seen.waits, seen.arriving.count),
        (round(seen.disk.free / 1e9), seen.disk.level, seen.limits),
    ]
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]
