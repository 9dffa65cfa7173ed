"""Correcting a text: each form names the revision that it was made on, and makes the next one.

Forms and links work by themselves; a script exchanges the part of the page that they change
(static/swap.js), so that the recording plays on.

Not here: what an edit does (appliance.revise), showing a text (pages, passages).
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance import revise
from appliance.errors import (
    ApplianceError,
    EditRefused,
    NotAllowed,
    NothingToEdit,
    StaleEdit,
)
from appliance.revise import doubts
from appliance.rights import Right
from appliance.store import jobs, ticks
from appliance.store.jobs import Job
from web import bell, db, pages, passages
from web.access import sees
from web.access.asker import asker

bp = Blueprint("texts", __name__, url_prefix="/jobs/<int:number>")

_REFUSED = {
    StaleEdit: HTTPStatus.CONFLICT,
    EditRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    NothingToEdit: HTTPStatus.CONFLICT,
}
_MOST_PLACES = 500  # shown of a preview; all of them are replaced


def _job(number: int, right: Right) -> Job:
    """The job, if whoever asks may do this in its share; 404 where they do not even see it."""
    job = jobs.get(db.ledger(), number, shares=sees()) or abort(404)
    if not asker().rights.may(right, job.source.share):
        raise NotAllowed
    return job


def _field(name: str, most: int = 300) -> str:
    return request.form.get(name, "")[:most]


def _number(name: str, least: int = 0) -> int:
    found = request.form.get(name, least, type=int)
    return found if least <= found < 1 << 31 else abort(400)


def _revised(job: Job, make: Callable[[], str], done: str, at: int | None = None) -> str:
    """Make a revision and ring for its files; say where to go on. Raises what `make` does."""
    tag = make()
    changed = tag != _field("on")
    if changed:
        bell.ring(job.id)
    more: dict[str, Any] = {"from": _number("from")}
    return url_for(
        "pages.job",
        **more,
        number=job.id,
        task=_field("task") or None,
        done=done if changed else "same",
        _anchor="text" if at is None else f"s{at}",
    )


@bp.post("/text")
def edit(number: int) -> ResponseReturnValue:
    """Let these lines stand in the place of some passages, one passage a line."""
    job = _job(number, Right.OPERATE)
    first, count = _number("first"), _number("count", 1)
    text = request.form.get("text", "").replace("\r\n", "\n")
    try:
        there = _revised(
            job,
            lambda: revise.edit(
                db.ledger(),
                job.id,
                on=_field("on"),
                task=_field("task"),
                first=first,
                count=count,
                texts=text.split("\n"),
                who=asker().who,
            ),
            "edit",
            at=first,
        )
    except tuple(_REFUSED) as error:
        # A form with the newest tag would change whatever stands in that place by now.
        apart = isinstance(error, StaleEdit) and not revise.is_still_there(
            db.ledger(), job.id, on=_field("on"), task=_field("task"), first=first, count=count
        )
        typed = pages.Editing(first, count, text, apart)
        return pages.job_page(job, editing=typed, edit_error=error), _REFUSED[type(error)]
    return redirect(there, 303)


@bp.post("/text/undo")
def undo(number: int) -> ResponseReturnValue:
    """Let the text read as it did before."""
    job = _job(number, Right.OPERATE)
    to = _number("to")
    try:
        there = _revised(
            job,
            lambda: revise.undo(db.ledger(), job.id, on=_field("on"), to=to, who=asker().who),
            "undo",
        )
    except tuple(_REFUSED) as error:
        return pages.job_page(job, edit_error=error), _REFUSED[type(error)]
    return redirect(there, 303)


# --- everywhere ---------------------------------------------------------------------------------


@bp.get("/replace", endpoint="replace")
def ask_what(number: int) -> ResponseReturnValue:
    """Ask for a word and what it shall be; show every place where it stands."""
    return _replace_page(_job(number, Right.OPERATE), None)


@bp.post("/replace")
def replace_all(number: int) -> ResponseReturnValue:
    """Do it, as one revision."""
    job = _job(number, Right.OPERATE)
    exchange = _exchange()
    try:
        there = _revised(
            job,
            lambda: revise.replace_everywhere(
                db.ledger(),
                job.id,
                on=_field("on"),
                task=_field("task"),
                exchange=exchange,
                who=asker().who,
            ),
            "replace",
        )
    except tuple(_REFUSED) as error:
        return _replace_page(job, error), _REFUSED[type(error)]
    return redirect(there, 303)


def _exchange() -> revise.Exchange:
    """What is wanted, in an address or a form."""
    given = request.values
    return revise.Exchange(
        given.get("heard", "")[:300],
        given.get("written", "")[:300],
        whole_words="parts" not in given,
        match_case="case" in given,
    )


def _replace_page(job: Job, error: ApplianceError | None) -> str:
    sheet = passages.sheet(db.ledger(), job)
    if sheet is None:
        abort(404)
    exchange = _exchange()
    try:
        found = list(revise.places(sheet.transcript, exchange)) if exchange.heard.strip() else None
    except ValueError:
        found = []
    return render_template(
        "text/replace.html",
        job=job,
        sheet=sheet,
        exchange=exchange,
        places=None if found is None else found[:_MOST_PLACES],
        count=len(found or ()),
        error=error,
    )


# --- listening again ----------------------------------------------------------------------------


@bp.get("/review", endpoint="review")
def doubtful(number: int) -> ResponseReturnValue:
    """What had better be listened to again, the worst first."""
    job = _job(number, Right.READ)
    sheet = passages.sheet(db.ledger(), job)
    if sheet is None:
        abort(404)
    ticked = ticks.of_text(db.ledger(), job, sheet.task)
    found = doubts.doubts(sheet.transcript, but=ticked)
    return render_template(
        "text/review.html",
        job=job,
        sheet=sheet,
        doubts=found,
        ticked=len(ticked),
        around=_around(sheet, found),
        may_edit=asker().rights.may(Right.OPERATE, job.source.share),
    )


def _around(sheet: passages.Sheet, found: list[doubts.Doubt]) -> dict[int, passages.Passage]:
    """The passages in which something is doubtful, by their numbers."""
    segments = sheet.transcript.segments
    numbers = {one.segment for one in found}
    return {number: passages.passage(number, segments[number]) for number in sorted(numbers)}


@bp.post("/review", endpoint="tick")
def found_right(number: int) -> ResponseReturnValue:
    """Tick a span off: somebody has listened, and it says what was said."""
    job = _job(number, Right.OPERATE)
    start, end = (request.form.get(name, type=float) for name in ("start", "end"))
    if start is None or end is None:
        abort(400)
    task, text = _field("task"), _field("text", 20_000)
    span = ticks.Span(start, end, text)
    if "again" in request.form:
        ticks.clear(db.ledger(), job, task)
    else:
        ticks.add(db.ledger(), job, task, span, who=asker().who)
    return redirect(url_for("texts.review", number=job.id, task=task, _anchor="doubts"), 303)
