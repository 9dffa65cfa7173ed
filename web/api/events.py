"""What happens to jobs, as it happens: a stream of events, or a page of them to ask for again.

Each step of a job has a number, which never comes twice. Whoever was away says the last one
they know (Last-Event-ID) and is told what they missed; who missed very much is told so
(`lost`) and begins anew with a list. How far running jobs are goes along without numbers.

Not here: who may listen, and how many (streams).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from flask import Response, request, stream_with_context
from pydantic import BaseModel, ConfigDict, Field

from appliance import daemon
from appliance.nouns import display
from appliance.states import State
from appliance.store import board, events
from appliance.store.events import Step
from web import db, words
from web.access import sees
from web.access.asker import asker
from web.api.asked import EventsQuery, LastEventHeader
from web.api.document import part, told
from web.api.rows import WorkingRow, working_row
from web.api.streams import is_welcome, streams
from web.estimate import working

bp = part("events", "What happens to jobs, as it happens.")

_MOST: Final = 1000  # steps that are told again; who missed more begins anew
_AT_ONCE: Final = 200
_LOOK_SECONDS: Final = 1.0
_SIGN_SECONDS: Final = 15.0  # after which a silent stream shows that it lives
_AGAIN_MS: Final = 3000  # after which a browser comes back


class StepRow(BaseModel):
    """A step of a job."""

    id: int
    job: int
    share: str
    recording: str
    was: str | None = Field(alias="from")
    became: State = Field(alias="to")
    code: str | None
    attempt: int
    who: str
    at: str


class StepPage(BaseModel):
    """Steps, the oldest first."""

    model_config = cast(
        ConfigDict,
        {"openapi_extra": {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )

    events: list[StepRow]
    next: int = Field(description="What to ask for afterwards.")
    lost: bool = Field(description="There was more in between than is told: list the jobs anew.")


@bp.get("/events", responses={200: StepPage})
def listen(query: EventsQuery, header: LastEventHeader) -> Response:
    """A stream where text/event-stream is asked for, else a page; both from a number on."""
    after = query.after if header.last_event_id is None else header.last_event_id
    kinds = ("application/json", "text/event-stream")
    if request.accept_mimetypes.best_match(kinds) == "text/event-stream":
        return _stream(after)
    newest = events.newest(db.ledger())
    begin, lost = _begin(after, newest)
    found = events.since(db.ledger(), begin, limit=query.limit, shares=sees())
    following = _up_to(found, newest, full=len(found) == query.limit)
    page = StepPage(events=[_row(one) for one in found], next=following, lost=lost)
    return told(page)


def _begin(after: int | None, newest: int) -> tuple[int, bool]:
    """After which number to begin, and whether something is left out. None: from now on."""
    if after is None:
        return newest, False
    if after > newest:  # the ledger came back from a backup
        return newest, True
    return max(after, newest - _MOST), newest - after > _MOST


def _up_to(found: Sequence[Step], newest: int, *, full: bool) -> int:
    """Until which number all is told: what came after `newest` was read may be among it."""
    last = found[-1].id if found else 0
    return last if full else max(last, newest)


def _row(one: Step) -> StepRow:
    return StepRow.model_validate(
        {
            "id": one.id,
            "job": one.job,
            "share": one.share,
            "recording": display(one.path),
            "from": one.was,
            "to": one.became,
            "code": one.code,
            "attempt": one.attempt,
            "who": one.who,
            "at": words.iso(one.at_ms),
        }
    )


def _stream(after: int | None) -> Response:
    leave = streams().sit(asker().who)
    response = Response(stream_with_context(_lines(after)), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(leave)
    return response


def _lines(after: int | None) -> Iterator[str]:
    """The stream, until whoever listens goes, may no longer listen, or the process is to end."""
    ledger, seats = db.ledger(), streams()
    at, lost = _begin(after, events.newest(ledger))
    yield f"retry: {_AGAIN_MS}\n\n"
    if lost:
        yield _told("lost", {})
    silent = 0.0
    progress: dict[int, WorkingRow] = {}
    while seats.stays():
        newest = events.newest(ledger)
        found = events.since(ledger, at, limit=_AT_ONCE, shares=sees())
        for one in found:
            row = _row(one).model_dump(mode="json", by_alias=True)
            yield _told("job", row, number=one.id)
        at = _up_to(found, max(at, newest), full=len(found) == _AT_ONCE)
        moved, progress = progress, _progress()
        for number, work in progress.items():
            if moved.get(number) != work:
                yield _told("progress", work.model_dump(mode="json"))
        if len(found) == _AT_ONCE:
            continue
        silent = 0.0 if found or moved != progress else silent + _LOOK_SECONDS
        if silent >= _SIGN_SECONDS:
            silent = 0.0
            yield f": {at}\n\n"
        if not is_welcome():
            return
        seats.pause(_LOOK_SECONDS)


def _progress() -> dict[int, WorkingRow]:
    """How far each running job is that is seen."""
    facts = daemon.progress_board(db.settings().run_dir)
    now = time.time()
    running = board.page(db.ledger(), [State.RUNNING], shares=sees())
    return {job.id: working_row(working(job, facts.get(job.id, {}), now)) for job in running}


def _told(kind: str, facts: dict[str, Any], *, number: int | None = None) -> str:
    """One event as it goes over the wire: JSON has no line ends in it."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(facts)}\n\n"
