"""Jobs moved: retried, run with other options, cancelled, held, released, hurried, forgotten.

Not here: which step there is (appliance.moves), lists (jobs).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from flask import Response, abort
from pydantic import BaseModel, Field

from appliance import moves, weights
from appliance.errors import ModelMissing, NothingChosen, RequestUnfit
from appliance.nouns import Options, Replacement, display
from appliance.rights import Right
from appliance.settings.sections import AUTO
from appliance.states import ENDED, Stage, State
from appliance.store import audit, board, exports, marks, revisions
from appliance.store.board import Choice
from appliance.store.jobs import Job
from web import bell, db
from web.access.asker import asker
from web.api import rows
from web.api.asked import ChoiceQuery, ForgetQuery, JobPatch, JobPath, RetryBody, Wishes
from web.api.document import problems, told
from web.api.found import operated
from web.api.jobs import bp
from web.uploads.wishes import profiles as profiles_in_sight

__all__ = ["bp"]  # that of jobs: an address belongs to one part

_REFUSED: Final = {200: rows.JobRow, **problems(HTTPStatus.CONFLICT)}


class ForgottenRow(BaseModel):
    """A job that is forgotten, or would be."""

    id: int
    state: State
    share: str
    recording: str
    edits: int = Field(description="Revisions of its text that go with it.")
    files: list[str] = Field(description="Files of ours beside the recording.")


class ForgottenPage(BaseModel):
    """What was forgotten, or would be. Recordings stay where they are."""

    dry_run: bool
    files_go: bool = Field(description="Files that nobody changed go, too; else they stay.")
    jobs: list[ForgottenRow]
    kept: int = Field(description="Jobs of the choice that have not ended and stay.")
    more: bool = Field(description="There are more that were chosen: ask again.")


@bp.post("/jobs/<int:number>/retry", responses=_REFUSED)
def retry(path: JobPath, body: RetryBody) -> Response:
    """Queue a job again: all of it, its last stage alone, or with other options."""
    job = operated(path.number)
    if body.options is not None:
        options = _wished(job, body.options)
        return _moved(job, lambda: moves.rerun(db.ledger(), job, options, who=_who()))
    again = moves.deliver_again if body.stage is Stage.DELIVER else moves.retry
    return _moved(job, lambda: again(db.ledger(), job, who=_who()))


@bp.post("/jobs/<int:number>/cancel", responses=_REFUSED)
def cancel(path: JobPath) -> Response:
    """Stop a job: at once when it waits, at its next window when it runs."""
    job = operated(path.number)
    return _moved(job, lambda: moves.cancel(db.ledger(), job, who=_who()))


@bp.post("/jobs/<int:number>/hold", responses=_REFUSED)
def hold(path: JobPath) -> Response:
    """Let a job wait until somebody releases it."""
    job = operated(path.number)
    return _moved(job, lambda: moves.hold(db.ledger(), job, who=_who()))


@bp.post("/jobs/<int:number>/release", responses=_REFUSED)
def release(path: JobPath) -> Response:
    """Let a job that is held go on."""
    job = operated(path.number)
    return _moved(job, lambda: moves.release(db.ledger(), job, who=_who()))


@bp.patch("/jobs/<int:number>", responses={200: rows.JobRow})
def mark(path: JobPath, body: JobPatch) -> Response:
    """Give a job other tags, or say how urgent it is."""
    job = operated(path.number)
    ledger = db.ledger()
    with ledger.writing():
        if body.tags is not None:
            marks.tag(ledger, job, body.tags)
        if body.priority is not None:
            marks.hurry(ledger, job, body.priority)
    return told(rows.job_row(operated(path.number)))


@bp.delete("/jobs/<int:number>", responses={200: ForgottenPage, **problems(HTTPStatus.CONFLICT)})
def forget(path: JobPath, query: ForgetQuery) -> Response:
    """Forget a job that has ended, its texts and its logs; and its files, where asked for."""
    job = operated(path.number)
    row = _forgotten(job)
    if not query.dry_run:
        _forget([job], files_too=query.files)
    return told(
        ForgottenPage(dry_run=query.dry_run, files_go=query.files, jobs=[row], kept=0, more=False)
    )


@bp.delete("/jobs", responses={200: ForgottenPage})
def forget_many(query: ChoiceQuery) -> Response:
    """Forget every job of a choice that has ended; with dry_run, say which."""
    choice = query.choice()
    if choice == Choice() and not query.state:
        raise NothingChosen
    may = asker().rights.shares(Right.OPERATE)
    states = [state for state in query.state or ENDED if state in ENDED]
    found = board.page(db.ledger(), states, limit=query.limit + 1, shares=may, choice=choice)
    chosen = found[: query.limit] if states else []
    counts = board.counts(db.ledger(), choice, shares=may)
    kept = sum(counts.get(state, 0) for state in query.state or State if state not in ENDED)
    gone = [_forgotten(job) for job in chosen]
    if not query.dry_run:
        _forget(chosen, files_too=query.files)
    page = ForgottenPage(
        dry_run=query.dry_run,
        files_go=query.files,
        jobs=gone,
        kept=kept,
        more=bool(states) and len(found) > query.limit,
    )
    return told(page)


def _forgotten(job: Job) -> ForgottenRow:
    return ForgottenRow(
        id=job.id,
        state=job.state,
        share=job.source.share,
        recording=display(job.source.path),
        edits=revisions.newest(db.ledger(), job),
        files=[display(one.path) for one in exports.of_job(db.ledger(), job.id)],
    )


def _forget(found: Sequence[Job], *, files_too: bool) -> None:
    """Forget jobs, one after the other; with their files, the worker does it."""
    ledger = db.ledger()
    for job in found:
        facts: dict[str, object] = {
            "share": job.source.share,
            "recording": display(job.source.path),
        }
        with ledger.writing():
            if files_too:
                moves.forget_with_files(ledger, job, who=_who())
            else:
                moves.forget(ledger, job)
            audit.add(ledger, asker().actor, "job-forgotten", str(job.id), files=files_too, **facts)
        if not files_too:
            logs = db.settings().state("logs", str(job.id))
            shutil.rmtree(logs, ignore_errors=True)  # what stays goes with the logs that are old
    if files_too:
        bell.ring(*(job.id for job in found))


def _moved(job: Job, move: Callable[[], Job]) -> Response:
    moved = move()
    if moved.state is State.QUEUED:
        bell.ring(job.id)
    return told(rows.job_row(moved))


def _who() -> str:
    return asker().who


def _wished(job: Job, wishes: Wishes) -> Options:
    """What a job was asked for, with these wishes instead. Raises RequestUnfit."""
    settings = db.settings()
    options = job.options
    if wishes.profile is not None:
        share = settings.share_named(job.source.share) or abort(409)
        # Its own it has already; of others those that one may choose for an upload, too.
        if wishes.profile not in {*profiles_in_sight(settings), share.profile}:
            raise RequestUnfit(where="options.profile", why=f"there is no {wishes.profile}")
        options = settings.options_for(share.model_copy(update={"profile": wishes.profile}))
    said: dict[str, Any] = wishes.model_dump(exclude_none=True, exclude={"profile"})
    if said.get("language") == AUTO:
        said["language"] = None
    if "replacements" in said:
        said["replacements"] = tuple(Replacement(*pair) for pair in said["replacements"].items())
    if "model" in said:
        try:
            weights.glance(said["model"], settings.model_dir)
        except ModelMissing as error:
            raise RequestUnfit(where="options.model", why=error.sentence) from error
    return replace(options, **said)
