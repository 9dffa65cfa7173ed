"""What the API tells of jobs: the shapes of its answers, and how they are filled.

Not here: what may be asked (asked), the box as a whole (status).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from flask import url_for
from pydantic import BaseModel, Field

from appliance import daemon
from appliance.nouns import display
from appliance.states import Stage, State
from appliance.store import attempts, events, exports, marks
from appliance.store.jobs import Job
from web import db, told, words
from web.estimate import Working, working


class ProblemRow(BaseModel):
    """Why something was not done (RFC 9457), and ours: its code, what to do, its number."""

    type: str = Field(description="`/help/<code>`, or about:blank.")
    title: str
    status: int
    detail: str
    instance: str
    code: str | None
    next_step: str | None
    request_id: str


class WarningRow(BaseModel):
    """Something a reader of the text should know."""

    code: str
    sentence: str


class JobRow(BaseModel):
    """A recording and what became of it."""

    id: int
    state: State
    stage: Stage | None = Field(description="Of a job in work.")
    share: str
    recording: str
    size: int = Field(description="Bytes.")
    duration: float | None = Field(description="Seconds, once known.")
    code: str | None = Field(description="What stopped it, by name.")
    sentence: str | None
    next_step: str | None
    warnings: list[WarningRow]
    tags: list[str]
    priority: int
    attempt: int
    created_at: str
    updated_at: str
    url: str


class JobPage(BaseModel):
    """Some jobs."""

    jobs: list[JobRow]
    next_cursor: str | None = Field(description="Where the next page begins; null: this was all.")
    counts: dict[State, int] | None = Field(description="Where they were asked for.")


class WorkingRow(BaseModel):
    """How far a running job is."""

    id: int
    recording: str
    share: str
    stage: Stage
    doing: str
    percent: int | None
    seconds_heard: float | None
    seconds_total: float | None
    seconds_left: int | None
    left: str | None


class OptionsRow(BaseModel):
    """What a job was asked for."""

    profile: str
    model: str
    language: str | None
    task: str
    formats: list[str]


class ExportRow(BaseModel):
    """A file beside the recording that is ours."""

    path: str
    format: str
    bytes: int
    sha256: str
    state: str
    at: str


class AttemptRow(BaseModel):
    """One attempt at a job."""

    n: int
    began_at: str
    ended_at: str | None
    stage: str | None
    outcome: str | None
    code: str | None
    memory_peak: int | None = Field(description="Bytes.")
    cpu_seconds: float | None
    wall_seconds: float | None
    throttled_seconds: float | None
    log_url: str


class EventRow(BaseModel):
    """A step of a job."""

    was: str | None = Field(alias="from")
    became: str = Field(alias="to")
    code: str | None
    attempt: int
    who: str
    at: str


class JobWhole(JobRow):
    """A job, and all that is known of it."""

    options: OptionsRow
    exports: list[ExportRow]
    attempts: list[AttemptRow]
    events: list[EventRow]
    progress: WorkingRow | None = Field(description="Of a job in work.")


class HeardRow(BaseModel):
    """A phrase of what was heard so far."""

    start: float
    end: float
    text: str


class HeardPage(BaseModel):
    """What was heard of a running job."""

    segments: list[HeardRow]
    next: int = Field(description="What to ask for afterwards.")


class LogPage(BaseModel):
    """The log of an attempt."""

    lines: list[dict[str, Any]]


# --- filled -------------------------------------------------------------------------------------


def working_on(job: Job) -> Working:
    """How far a running job is."""
    facts = daemon.progress_board(db.settings().run_dir).get(job.id, {})
    return working(job, facts, time.time())


def _facts(job: Job, tags: list[str]) -> dict[str, Any]:
    error = told.trouble(job)
    return {
        "id": job.id,
        "state": job.state,
        "stage": job.stage if job.state is State.RUNNING else None,
        "share": job.source.share,
        "recording": display(job.source.path),
        "size": job.source.size,
        "duration": job.duration,
        "code": job.code,
        "sentence": error.sentence if error else None,
        "next_step": error.next_step if error else None,
        "warnings": [
            WarningRow(code=notice.code, sentence=told.warning(notice)) for notice in job.warnings
        ],
        "tags": tags,
        "priority": job.priority,
        "attempt": job.attempt,
        "created_at": words.iso(job.created_ms),
        "updated_at": words.iso(job.updated_ms),
        "url": url_for("pages.job", number=job.id),
    }


def job_row(job: Job) -> JobRow:
    """A job as programs see it."""
    return JobRow(**_facts(job, marks.of_job(db.ledger(), job.id)))


def job_rows(found: Sequence[Job]) -> list[JobRow]:
    """Jobs as programs see them."""
    tags = marks.of_jobs(db.ledger(), [job.id for job in found])
    return [JobRow(**_facts(job, tags.get(job.id, []))) for job in found]


def job_whole(job: Job) -> JobWhole:
    """A job with its exports, attempts and events."""
    ledger = db.ledger()
    return JobWhole(
        **_facts(job, marks.of_job(ledger, job.id)),
        options=OptionsRow(
            profile=job.options.profile,
            model=job.options.model,
            language=job.options.language,
            task=job.options.task,
            formats=list(job.options.formats),
        ),
        exports=[_export_row(one) for one in exports.of_job(ledger, job.id)],
        attempts=[_attempt_row(one) for one in attempts.of_job(ledger, job.id)],
        events=[_event_row(one) for one in events.of_job(ledger, job.id)],
        progress=working_row(working_on(job)) if job.state is State.RUNNING else None,
    )


def working_row(work: Working) -> WorkingRow:
    """How far a running job is, as programs see it."""
    left = work.seconds_left
    return WorkingRow(
        id=work.job.id,
        recording=display(work.job.source.path),
        share=work.job.source.share,
        stage=work.stage,
        doing=words.STAGES[work.stage],
        percent=work.percent,
        seconds_heard=work.done,
        seconds_total=work.total,
        seconds_left=None if left is None else round(left),
        left=None if left is None else words.span(left),
    )


def _export_row(one: exports.Published) -> ExportRow:
    return ExportRow(
        path=display(one.path),
        format=one.format,
        bytes=one.bytes,
        sha256=one.sha256,
        state=one.state,
        at=words.iso(one.at_ms),
    )


def _attempt_row(one: attempts.Attempt) -> AttemptRow:
    return AttemptRow(
        n=one.n,
        began_at=words.iso(one.began_ms),
        ended_at=words.iso(one.ended_ms) if one.ended_ms else None,
        stage=one.stage,
        outcome=one.outcome,
        code=one.code,
        memory_peak=one.memory_peak or one.rss_peak,
        cpu_seconds=one.cpu_seconds,
        wall_seconds=one.wall_seconds,
        throttled_seconds=one.throttled_seconds,
        log_url=url_for("api.jobs.log", number=one.job, attempt=one.n),
    )


def _event_row(one: events.Event) -> EventRow:
    return EventRow.model_validate(
        {
            "from": one.was,
            "to": one.became,
            "code": one.code,
            "attempt": one.attempt,
            "who": one.who,
            "at": words.iso(one.at_ms),
        }
    )
