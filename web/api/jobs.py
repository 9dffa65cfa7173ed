"""Jobs: lists of them, one of them, what was heard so far, the logs of its attempts.

Not here: the shapes (asked, rows).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flask import Response, abort, url_for

from appliance import logbook
from appliance.report import shown
from appliance.states import State
from appliance.store import board
from appliance.store.jobs import Job
from web import db, partial
from web.access import sees
from web.api import rows
from web.api.asked import AfterQuery, AttemptPath, JobPath, JobsQuery
from web.api.document import part, told
from web.api.found import seen

bp = part("jobs", "Recordings and what became of them.")


@bp.get("/jobs", responses={200: rows.JobPage})
def listing(query: JobsQuery) -> Response:
    """Jobs, newest first; the next page is a Link as well."""
    found = board.page(
        db.ledger(),
        query.state,
        before=query.cursor,
        limit=query.limit + 1,
        shares=sees(),
        choice=query.choice(),
    )
    shown_now = found[: query.limit]
    last = str(shown_now[-1].id) if len(found) > query.limit else None
    counts = _counts(query, found) if query.counts else None
    page = rows.JobPage(jobs=rows.job_rows(shown_now), next_cursor=last, counts=counts)
    response = told(page)
    if last is not None:
        chosen = query.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", "limit"})
        following = url_for("api.jobs.listing", **chosen, limit=query.limit, cursor=last)
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


def _counts(query: JobsQuery, found: Sequence[Job]) -> dict[State, int]:
    """How many of the choice are in each state; `found` is its first page, one job longer.

    Where that holds them all, nobody looks at every job a second time: for a name that nobody
    has, that took as long as the page.
    """
    if query.cursor is None and not query.state and len(found) <= query.limit:
        return dict(Counter(job.state for job in found))
    return board.counts(db.ledger(), query.choice(), shares=sees())


@bp.get("/jobs/<int:number>", responses={200: rows.JobWhole})
def one(path: JobPath) -> Response:
    """One job, with its exports, attempts and events."""
    return told(rows.job_whole(seen(path.number)))


@bp.get("/jobs/<int:number>/partial", responses={200: rows.HeardPage})
def so_far(path: JobPath, query: AfterQuery) -> Response:
    """What has been heard of a running job, from a window on, in its order."""
    heard = partial.read(db.ledger(), seen(path.number), query.after)
    segments = [
        rows.HeardRow(start=one.start, end=one.end, text=shown(one.text.strip()))
        for one in heard.segments
    ]
    return told(rows.HeardPage(segments=segments, next=heard.next))


@bp.get("/jobs/<int:number>/attempts/<int:attempt>/log", responses={200: rows.LogPage})
def log(path: AttemptPath) -> Response:
    """The log of one attempt: an object a line."""
    job = seen(path.number)
    lines = logbook.read(db.settings().state("logs"), job.id, path.attempt)
    if lines is None:
        abort(404)
    return told(rows.LogPage(lines=lines))
