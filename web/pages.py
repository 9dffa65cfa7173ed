"""The pages for people: status, jobs, one job, help. They show, and change nothing.

Not here: what they show (overview, told, passages), the JSON of the same (api), correcting a
text (texts), moving jobs (moves).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance import logbook, revise
from appliance.errors import CATALOGUE, WARNINGS, ApplianceError
from appliance.revise import doubts
from appliance.revise.alignment import shown
from appliance.rights import Right
from appliance.settings import FORMATS
from appliance.states import State
from appliance.store import attempts, board, events, exports, gates, jobs, revisions, ticks
from appliance.store.board import Choice
from appliance.store.jobs import Job
from web import api, db, media, moves, overview, partial, passages, told
from web.access import sees
from web.access.asker import asker

bp = Blueprint("pages", __name__)

_PAGE: Final = 50
_LONGEST: Final = 200  # characters of a name that is looked for; the API takes as many


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


@bp.app_context_processor
def _banner() -> dict[str, object]:
    return {
        "selftest_banner": overview.uses_selftest(db.settings()),
        "told": told,
        "media_type": media.type_of,
    }


@bp.get("/")
def status() -> ResponseReturnValue:
    """What the box is doing, and who is needed."""
    seen = overview.gather(db.ledger(), db.settings(), sees())
    return render_template("status.html", now=seen, page=api.page_of(seen))


@bp.get("/jobs")
def listing() -> ResponseReturnValue:
    """Every job, newest first; which ones is in the address."""
    states, share, before = api.asked_for()
    name = request.args.get("name", "")[:_LONGEST].strip() or None
    found = board.page(
        *(db.ledger(), states),
        before=before,
        limit=_PAGE + 1,
        shares=sees(),
        choice=Choice(share=share, named=name or ""),
    )
    older = None
    if len(found) > _PAGE:
        chosen = [str(state) for state in states]
        last = found[_PAGE - 1].id
        older = url_for("pages.listing", state=chosen, share=share, name=name, before=last)
    return render_template(
        "jobs.html",
        jobs=found[:_PAGE],
        older=older,
        states=states,
        share=share,
        name=name,
        before=before,
        shares=[one.name for one in db.settings().watched if overview.in_sight(one.name, sees())],
        views=_VIEWS,
        may_move=asker().rights.shares(Right.OPERATE) != frozenset(),
        done=_moved(),
    )


def _moved() -> str | None:
    """What was done to the jobs that were ticked, in a sentence."""
    act, moved, of = (request.args.get(key, "") for key in ("done", "moved", "of"))
    if act not in _MOVED or not (moved.isdecimal() and of.isdecimal()):
        return None
    if of == "0":
        return "Nothing was ticked, so nothing was done."
    stayed = " The others cannot be moved that way, and stay as they are." if of != moved else ""
    return f"{_MOVED[act]} {moved[:5]} of {of[:5]}.{stayed}"


_MOVED: Final = {
    "retry": "Put into the queue again:",
    "hold": "Put on hold:",
    "release": "Let go on:",
    "cancel": "Stopped:",
}


@bp.get("/jobs/<int:number>")
def job(number: int) -> ResponseReturnValue:
    """One job: what happened, what came out of it."""
    one = jobs.get(db.ledger(), number, shares=sees()) or abort(404)
    return job_page(one)


@dataclass(frozen=True, slots=True)
class Editing:
    """What is being edited: so many passages from the first on, a line each."""

    first: int
    count: int
    text: str
    apart: bool = False  # what it was typed over stands there no more: it is shown by itself


def job_page(
    one: Job, *, editing: Editing | None = None, edit_error: ApplianceError | None = None
) -> str:
    """The page of a job; with what somebody has typed when it could not be saved."""
    ledger = db.ledger()
    sheet = passages.sheet(ledger, one)
    may_edit = asker().rights.may(Right.OPERATE, one.source.share)
    if sheet and editing is None and may_edit:
        editing = _asked_to_edit(sheet)
    elif sheet and editing and not sheet.first <= editing.first < sheet.last:
        editing = replace(editing, apart=True)
    return render_template(
        "job.html",
        job=one,
        working=api.working_on(one) if one.state is State.RUNNING else None,
        partial=partial.read(ledger, one) if one.state is State.RUNNING else None,
        gates=tuple(gates.closed(ledger)),
        again_ms=told.again_ms(one, ledger.clock()),
        events=list(events.of_job(ledger, one.id)),
        attempts=list(attempts.of_job(ledger, one.id)),
        logs=_logs(one),
        exports=list(exports.of_job(ledger, one.id)),
        sheet=sheet,
        history=revisions.history(ledger, one),
        doubtful=_doubtful(one, sheet) if sheet else 0,
        editing=editing,
        edit_error=edit_error,
        may_edit=may_edit,
        ways=moves.ways(one),
        formats=FORMATS,
        at=request.args.get("t", type=float),
        done=_DONE.get(request.args.get("done", "")),
    )


_DONE: Final = {
    "edit": "Saved. The files beside the recording are written anew.",
    "same": "That is what it says already.",
    "undo": "Undone. The files beside the recording are written anew.",
    "replace": "Replaced. The files beside the recording are written anew.",
    "retry": "It is in the queue again.",
    "files": "The files beside the recording are written again.",
    "anew": "It is in the queue again, from the beginning.",
    "hold": "It waits until somebody lets it go on.",
    "release": "It goes on.",
    "cancel": "It is stopped, or will be in a moment.",
    "as-it-was": "It had moved on by itself: nothing was done.",
}


def _asked_to_edit(sheet: passages.Sheet) -> Editing | None:
    """The passages that the address wants edited, with what they say."""
    first = request.args.get("edit", type=int)
    count = request.args.get("count", 1, type=int)
    segments = sheet.transcript.segments
    if first is None or not (
        sheet.first <= first < sheet.last and 1 <= count <= revise.MOST_SEGMENTS
    ):
        return None
    chosen = segments[first : first + count]
    return Editing(first, len(chosen), "\n".join(shown(one) for one in chosen))


def _doubtful(one: Job, sheet: passages.Sheet) -> int:
    right = ticks.of_text(db.ledger(), one, sheet.task)
    return len(doubts.doubts(sheet.transcript, but=right))


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
