"""The pages for people: status, jobs, one job, help. They show; they change nothing yet.

Not here: what they show (overview, told), the JSON of the same (api).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, abort, render_template, url_for
from flask.typing import ResponseReturnValue

from appliance import logbook
from appliance.errors import CATALOGUE, WARNINGS
from appliance.states import State
from appliance.store import attempts, board, events, exports, gates, jobs, revisions
from appliance.store.jobs import Job
from web import api, db, overview, partial, told
from web.access import sees

bp = Blueprint("pages", __name__)

_PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class View:
    """A choice of jobs that has a name."""

    title: str
    states: list[State]


_VIEWS: Final = (
    View("All", []),
    View("In work", [State.RUNNING]),
    View("Waiting", [State.QUEUED, *overview.WAITING]),
    View("Done", [State.DONE]),
    View("Failed", [State.FAILED, State.DEAD]),
    View("Other", [State.CANCELLED, State.SKIPPED, State.SOURCE_MISSING]),
)
_LOGS: Final = 10  # attempts of a job whose logs are put in short
_LINES: Final = 500  # of a log; all of it: `appliance jobs show N --log`
_SEGMENTS: Final = 200  # of a transcript; the whole of it lies in the share


@bp.app_context_processor
def _banner() -> dict[str, object]:
    return {"selftest_banner": overview.uses_selftest(db.settings()), "told": told}


@bp.get("/")
def status() -> ResponseReturnValue:
    """What the box is doing, and who is needed."""
    seen = overview.gather(db.ledger(), db.settings(), sees())
    return render_template("status.html", now=seen, page=api.page_of(seen))


@bp.get("/jobs")
def listing() -> ResponseReturnValue:
    """Every job, newest first; which ones is in the address."""
    states, share, before = api.asked_for()
    found = board.page(
        db.ledger(), states, share=share, before=before, limit=_PAGE + 1, shares=sees()
    )
    older = None
    if len(found) > _PAGE:
        chosen = [str(state) for state in states]
        older = url_for("pages.listing", state=chosen, share=share, before=found[_PAGE - 1].id)
    return render_template(
        "jobs.html",
        jobs=found[:_PAGE],
        older=older,
        states=states,
        share=share,
        before=before,
        shares=[one.name for one in db.settings().watched if overview.in_sight(one.name, sees())],
        views=_VIEWS,
    )


@bp.get("/jobs/<int:number>")
def job(number: int) -> ResponseReturnValue:
    """One job: what happened, what came out of it."""
    ledger = db.ledger()
    one = jobs.get(ledger, number, shares=sees()) or abort(404)
    return render_template(
        "job.html",
        job=one,
        working=api.working_on(one) if one.state is State.RUNNING else None,
        partial=partial.read(ledger, one) if one.state is State.RUNNING else None,
        gates=tuple(gates.closed(ledger)),
        again_ms=told.again_ms(one, ledger.clock()),
        events=list(events.of_job(ledger, number)),
        attempts=list(attempts.of_job(ledger, number)),
        logs=_logs(one),
        exports=list(exports.of_job(ledger, number)),
        transcripts=revisions.text(ledger, one) or (),
        most=_SEGMENTS,
    )


def _logs(one: Job) -> dict[int, logbook.Summary]:
    """What the logs of its newest attempts say in short, by attempt; the oldest first."""
    folder = db.settings().state("logs")
    newest = range(max(1, one.attempt - _LOGS + 1), one.attempt + 1)
    found = {number: logbook.read(folder, one.id, number) for number in newest}
    return {number: logbook.summary(lines) for number, lines in found.items() if lines is not None}


@bp.get("/jobs/<int:number>/log/<int:attempt>")
def log(number: int, attempt: int) -> ResponseReturnValue:
    """The log of one attempt, line by line."""
    one = jobs.get(db.ledger(), number, shares=sees()) or abort(404)
    lines = logbook.read(db.settings().state("logs"), number, attempt)
    if lines is None:
        abort(404)
    return render_template(
        "log.html", job=one, attempt=attempt, lines=lines[-_LINES:], of=len(lines)
    )


@bp.get("/help")
def help_() -> ResponseReturnValue:
    """Every failure and every warning there is."""
    return render_template("help.html", errors=CATALOGUE, warnings=WARNINGS)


@bp.get("/help/<code>")
def help_on(code: str) -> ResponseReturnValue:
    """One failure or one warning: what it means and what to do."""
    known = CATALOGUE.get(code) or WARNINGS.get(code) or abort(404)
    return render_template("help_on.html", known=known, is_warning=code in WARNINGS)
