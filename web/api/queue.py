"""The queue: what is next, and whether it stands still because somebody said so.

Not here: moving a single job (moves).
"""

from __future__ import annotations

from typing import Final

from flask import Response
from pydantic import BaseModel, Field

from appliance.states import State
from appliance.store import audit, board, pause
from appliance.store.pause import Pause
from web import bell, db, words
from web.access import sees
from web.access.asker import asker
from web.api import rows
from web.api.asked import LimitQuery, PauseBody
from web.api.document import part, told

bp = part("queue", "What is next, and whether the queue stands still.")

_SHOWN: Final = 50
_RUNG: Final = 16  # threads of the worker that may be free


class PauseRow(BaseModel):
    """Who stopped the queue, and why."""

    who: str
    why: str
    since: str


class QueueRow(BaseModel):
    """The queue, as far as it is seen."""

    paused: PauseRow | None = Field(description="null: jobs are taken.")
    queued: int
    next: list[rows.JobRow] = Field(description="In the order in which they are taken.")


@bp.get("/queue", responses={200: QueueRow})
def queue(query: LimitQuery) -> Response:
    """What is next."""
    return told(_row(query.limit))


@bp.post("/queue/pause", responses={200: QueueRow})
def stop(body: PauseBody) -> Response:
    """Let no job be taken; what is in work is finished, what waits keeps its turn."""
    ledger, who = db.ledger(), asker()
    with ledger.writing():
        if pause.now(ledger) is None:
            pause.begin(ledger, who=who.who, why=body.why)
            audit.add(ledger, who.actor, "queue-paused", why=body.why)
    return told(_row(_SHOWN))


@bp.post("/queue/resume", responses={200: QueueRow})
def resume() -> Response:
    """Let jobs be taken again."""
    ledger, who = db.ledger(), asker()
    with ledger.writing():
        if pause.end(ledger):
            audit.add(ledger, who.actor, "queue-resumed")
    bell.ring(*(job.id for job in board.next_up(ledger, limit=_RUNG)))
    return told(_row(_SHOWN))


def _row(limit: int) -> QueueRow:
    ledger = db.ledger()
    found = board.next_up(ledger, limit=limit, shares=sees())
    counts = board.counts(ledger, board.EVERY, shares=sees())
    return QueueRow(
        paused=_pause_row(pause.now(ledger)),
        queued=counts.get(State.QUEUED, 0),
        next=rows.job_rows(found),
    )


def _pause_row(lasting: Pause | None) -> PauseRow | None:
    if lasting is None:
        return None
    return PauseRow(who=lasting.who, why=lasting.why, since=words.iso(lasting.at_ms))
