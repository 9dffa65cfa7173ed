"""Moving jobs: again, on hold, stopped; one by its page, or many by the list.

Not here: the steps themselves (appliance.moves), showing jobs (pages), the same for programs
(api.moves).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from appliance import moves
from appliance.errors import NotAllowed, NotReady, StepRefused
from appliance.rights import Right
from appliance.states import NEXT, State
from appliance.store import jobs
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from web import bell, db
from web.access import sees
from web.access.asker import asker
from web.access.origin import is_ours

bp = Blueprint("moves", __name__, url_prefix="/jobs")

MOST: Final = 200  # jobs of one form


_AGAIN: Final = frozenset(
    {State.FAILED, State.DEAD, State.CANCELLED, State.SKIPPED, State.RETRY_WAIT}
)


def ways(job: Job) -> tuple[str, ...]:
    """What can be done to a job now: words of ACTS."""
    found = []
    if job.state in _AGAIN:
        found.append("retry")
    if job.state is State.DONE:
        found += ["anew", "files"]
    if job.state is State.HELD:
        found.append("release")
    elif State.HELD in NEXT[job.state]:
        found.append("hold")
    if (job.state is State.RUNNING or State.CANCELLED in NEXT[job.state]) and not job.cancel:
        found.append("cancel")
    return tuple(found)


class Act(Protocol):
    """A step that a person asks for. Raises StepRefused, NotReady."""

    def __call__(self, ledger: Ledger, job: Job, *, who: str) -> Job: ...


ACTS: Final[Mapping[str, Act]] = {
    "retry": moves.retry,
    "anew": moves.retry,  # a new epoch, without what was corrected: it has a name of its own
    "files": moves.deliver_again,  # the last stage alone: a file was lost, or a format is new
    "hold": moves.hold,
    "release": moves.release,
    "cancel": moves.cancel,
}
_QUEUES: Final = frozenset({"retry", "anew", "files", "release"})


@bp.post("/<int:number>/act")
def one(number: int) -> ResponseReturnValue:
    """Move one job."""
    job = jobs.get(db.ledger(), number, shares=sees()) or abort(404)
    act = _act()
    moved = _moved(act, [job])
    return redirect(url_for("pages.job", number=number, done=act if moved else "as-it-was"), 303)


@bp.post("/act")
def many() -> ResponseReturnValue:
    """Move those that were ticked in the list; those that cannot be moved stay."""
    act = _act()
    numbers = request.form.getlist("number", type=int)[:MOST]
    found = [job for n in numbers if (job := jobs.get(db.ledger(), n, shares=sees())) is not None]
    moved = _moved(act, found)
    there = request.form.get("next", "")[:2000]
    back = there if is_ours(there) else url_for("pages.listing")
    mark = "&" if "?" in back else "?"
    return redirect(f"{back}{mark}done={act}&moved={moved}&of={len(numbers)}", 303)


def _act() -> str:
    act = request.form.get("act", "")
    return act if act in ACTS else abort(400, "There is no such thing to be done to a job.")


def _moved(act: str, found: list[Job]) -> int:
    """Move what can be; say how many were. Raises NotAllowed before any is, when one may not."""
    rights, who = asker().rights, asker().who
    if not all(rights.may(Right.OPERATE, job.source.share) for job in found):
        raise NotAllowed
    moved = []
    for job in found:
        try:
            if act in ways(job):
                ACTS[act](db.ledger(), job, who=who)
                moved.append(job.id)
        except (StepRefused, NotReady):  # it has moved by itself since we looked
            continue
    if act in _QUEUES:
        bell.ring(*moved)
    return len(moved)
