"""The same for programs: jobs and status as JSON, under /api/v1. Read-only yet.

A program comes with a key of scope `read`, a page with its cookie; each is told of the
shares it may see, and anything else is not there.

Times are RFC 3339 in UTC, names of files are spelt as in `nouns.display`. The status
carries an ETag, so that looking every two seconds costs nothing while nothing happens.

Not here: health for machines that watch the box (health).
"""

from __future__ import annotations

import hashlib
import time
from typing import Any, Final

from flask import Blueprint, Response, abort, jsonify, request, url_for
from flask.typing import ResponseReturnValue

from appliance import daemon, logbook
from appliance.nouns import display
from appliance.report import shown
from appliance.states import State
from appliance.store import attempts, board, events, exports, jobs
from appliance.store.jobs import Job
from web import db, overview, partial, told, words
from web.access import sees
from web.estimate import Working, working
from web.overview import Overview

bp = Blueprint("api", __name__, url_prefix="/api/v1")


def _number(text: str) -> int:
    """A job's number as the ledger can hold it. Raises ValueError."""
    number = int(text)
    if not 0 <= number < 1 << 63:
        raise ValueError(text)
    return number


_MOST: Final = 200


@bp.get("/status")
def status() -> ResponseReturnValue:
    """The box at one moment; 304 when nothing has changed."""
    seen = overview.gather(db.ledger(), db.settings(), sees())
    response = jsonify(_status_row(seen) | {"page": page_of(seen)})
    return _revalidated(response)


@bp.get("/jobs")
def listing() -> ResponseReturnValue:
    """Jobs, newest first: ?state=&share=&limit=&cursor=."""
    states, share, _before = asked_for()
    limit = min(_MOST, max(1, request.args.get("limit", 50, type=int)))
    cursor = request.args.get("cursor", type=_number)
    found = board.page(
        db.ledger(), states, share=share, before=cursor, limit=limit + 1, shares=sees()
    )
    response = jsonify(jobs=[job_row(job) for job in found[:limit]], next_cursor=None)
    if len(found) > limit:
        last = str(found[limit - 1].id)
        response = jsonify(jobs=[job_row(job) for job in found[:limit]], next_cursor=last)
        following = url_for(
            "api.listing", state=[str(s) for s in states], share=share, limit=limit, cursor=last
        )
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


@bp.get("/jobs/<int:number>")
def one(number: int) -> ResponseReturnValue:
    """One job, with its exports, attempts and events."""
    ledger = db.ledger()
    job = jobs.get(ledger, number, shares=sees()) or abort(404)
    row = job_row(job) | {
        "options": {"model": job.options.model, "language": job.options.language},
        "exports": [_export_row(one) for one in exports.of_job(ledger, number)],
        "attempts": [_attempt_row(one) for one in attempts.of_job(ledger, number)],
        "events": [_event_row(one) for one in events.of_job(ledger, number)],
    }
    if job.state is State.RUNNING:
        row["progress"] = working_row(working_on(job))
    return _revalidated(jsonify(row))


@bp.get("/jobs/<int:number>/partial")
def so_far(number: int) -> ResponseReturnValue:
    """What has been heard of a running job from window ?after= on, in its order."""
    job = jobs.get(db.ledger(), number, shares=sees()) or abort(404)
    heard = partial.read(db.ledger(), job, request.args.get("after", 0, type=_number))
    return _revalidated(
        jsonify(
            segments=[
                {"start": one.start, "end": one.end, "text": shown(one.text.strip())}
                for one in heard.segments
            ],
            next=heard.next,
        )
    )


@bp.get("/jobs/<int:number>/attempts/<int:attempt>/log")
def log(number: int, attempt: int) -> ResponseReturnValue:
    """The log of one attempt: an object a line."""
    job = jobs.get(db.ledger(), number, shares=sees()) or abort(404)
    lines = logbook.read(db.settings().state("logs"), job.id, attempt)
    if lines is None:
        abort(404)
    return _revalidated(jsonify(lines=lines))


def _revalidated(response: Response) -> Response:
    """Answer 304 where the asker has it already."""
    response.add_etag(weak=True)
    response.make_conditional(request)
    return response


# --- what was asked for -------------------------------------------------------------------------


def asked_for() -> tuple[list[State], str | None, int | None]:
    """State, share and page in the address; what is no state of ours is a mistake, told as 400."""
    wanted = [word for word in request.args.getlist("state") if word]
    if unknown := [word for word in wanted if word not in set(State)]:
        abort(400, f"There is no state {shown(unknown[0])}; there are {', '.join(State)}.")
    share = request.args.get("share") or None
    return [State(word) for word in wanted], share, request.args.get("before", type=_number)


# --- rows ---------------------------------------------------------------------------------------


def working_on(job: Job) -> Working:
    """How far a running job is."""
    facts = daemon.progress_board(db.settings().run_dir).get(job.id, {})
    return working(job, facts, time.time())


def job_row(job: Job) -> dict[str, object]:
    """A job as programs see it."""
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
            {"code": notice.code, "sentence": told.warning(notice)} for notice in job.warnings
        ],
        "attempt": job.attempt,
        "created_at": words.iso(job.created_ms),
        "updated_at": words.iso(job.updated_ms),
        "url": url_for("pages.job", number=job.id),
    }


def working_row(work: Working) -> dict[str, object]:
    """How far a running job is, as programs see it."""
    return {
        "id": work.job.id,
        "recording": display(work.job.source.path),
        "share": work.job.source.share,
        "stage": work.stage,
        "doing": words.STAGES[work.stage],
        "percent": work.percent,
        "seconds_heard": work.done,
        "seconds_total": work.total,
        "seconds_left": None if work.seconds_left is None else round(work.seconds_left),
        "left": None if work.seconds_left is None else words.span(work.seconds_left),
    }


def _export_row(one: exports.Published) -> dict[str, object]:
    return {
        "path": display(one.path),
        "format": one.format,
        "bytes": one.bytes,
        "sha256": one.sha256,
        "state": one.state,
        "at": words.iso(one.at_ms),
    }


def _attempt_row(one: attempts.Attempt) -> dict[str, object]:
    return {
        "n": one.n,
        "began_at": words.iso(one.began_ms),
        "ended_at": words.iso(one.ended_ms) if one.ended_ms else None,
        "stage": one.stage,
        "outcome": one.outcome,
        "code": one.code,
        "memory_peak": one.memory_peak or one.rss_peak,
        "cpu_seconds": one.cpu_seconds,
        "wall_seconds": one.wall_seconds,
        "throttled_seconds": one.throttled_seconds,
        "log_url": url_for("api.log", number=one.job, attempt=one.n),
    }


def _event_row(one: events.Event) -> dict[str, object]:
    return {
        "from": one.was,
        "to": one.became,
        "code": one.code,
        "attempt": one.attempt,
        "who": one.who,
        "at": words.iso(one.at_ms),
    }


def _status_row(seen: Overview) -> dict[str, Any]:
    verdict = seen.verdict
    return {
        "verdict": {
            "tone": verdict.tone,
            "sentence": verdict.sentence,
            "ready_at": _minute(verdict.ready_ms),
        },
        "needs": [
            {"sentence": need.sentence, "next_step": need.step, "code": need.code}
            for need in seen.needs
        ],
        "working": [working_row(one) for one in seen.working],
        "counts": {str(state): number for state, number in sorted(seen.counts.items())},
        "arriving": seen.arriving.count,
        "last_24_hours": {
            "done": seen.day.done,
            "with_warnings": seen.day.warned,
            "failed": seen.day.failed,
        },
        "shares": [
            {
                "name": row.name,
                "state": row.state,
                "adopted": row.adopted_ms is not None,
                "found_by": row.method,
                "scanned_at": words.iso(row.scanned_ms) if row.scanned_ms else None,
                "why": row.why,
            }
            for row in seen.shares
        ],
        "disk": {"free_gb": round(seen.disk.free / 1e9, 1), "level": seen.disk.level},
        "selftest_model": seen.selftest,
        "limits": seen.limits,
    }


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
