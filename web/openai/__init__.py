"""OpenAI's way to have a recording transcribed, so that programs made for it work with this box.

    asking     what is asked for
    waiting    until its job has ended
    answers    the text, in five forms or as it is heard
    languages  what languages are called there

A question is an upload of the uploads share that is taken before all others; no files are
written beside it, and it and its text are forgotten after a day. The same question again, from
the same asker, waits for the same job: their client repeats by itself what took too long.

Errors on these addresses have the shape of theirs; their codes are ours.

Not here: where the recording goes (appliance.receive).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from appliance import receive
from appliance.errors import ApplianceError, StillWorking, UploadRefused
from appliance.export.json import whole_text
from appliance.export.text import joint, spoken
from appliance.receive import Wish
from appliance.states import State
from appliance.store import uploads as rows
from web import bell, db, partial
from web import uploads as sending
from web.openai import answers, asking, waiting
from web.openai.asking import Question
from web.openai.waiting import Connection
from web.uploads import form, slots

bp = Blueprint("openai", __name__, url_prefix="/v1")

_BREATH: Final = 30  # looks without news, a quarter of a minute; then a sign that we live


@bp.post("/audio/transcriptions")
def transcriptions() -> ResponseReturnValue:
    """The words of a recording, in its own language."""
    return _answered("transcribe")


@bp.post("/audio/translations")
def translations() -> ResponseReturnValue:
    """The words of a recording, in English."""
    return _answered("translate")


@bp.get("/models")
def models() -> ResponseReturnValue:
    """The names one may send as `model`."""
    names = asking.models(db.settings())
    return jsonify(object="list", data=[_model(name) for name in names])


@bp.get("/models/<path:model>")
def model(model: str) -> ResponseReturnValue:
    """One of them."""
    asking.profile_of(db.settings(), model)
    return jsonify(_model(model))


def _model(name: str) -> dict[str, object]:
    created = asking.made_at(db.settings(), name)
    return {"id": name, "object": "model", "created": created, "owned_by": "appliance"}


def _answered(task: str) -> ResponseReturnValue:
    with contextlib.ExitStack() as held:
        held.enter_context(slots.one_of("answers"))
        asked, number = _taken(task)
        here = waiting.here()
        if not asked.stream:
            job = here.ended(number)
            transcript = answers.transcript_of(here.ledger, job)
            if transcript is None:
                return answers.refusal(*answers.trouble(job))
            return answers.answer(transcript, asked)
        response = Response(_heard(here, number), content_type="text/event-stream")
        response.headers["X-Accel-Buffering"] = "no"
        response.call_on_close(held.pop_all().close)
        return response


def _taken(task: str) -> tuple[Question, int]:
    """Take the recording, and the number of its job."""
    who, key = sending.sender(), sending.key()
    settings, ledger = db.settings(), db.ledger()
    announced = request.content_length or 0
    with (
        slots.one_of("uploads"),
        receive.Whole(ledger, settings, who=who, announced=announced) as file,
    ):
        sent = form.read(file.write, before=sending.check_word)
        if sent.filename is None:
            raise UploadRefused(why="its form has no field `file`")
        asked = asking.question(settings, sent, task=task)
        wish = Wish(who, asking.name_of(sent), asked.options, rows.ANSWERED, key)
        upload = file.keep(wish)
    job = receive.job_of(ledger, upload)
    if job is None:
        raise UploadRefused(why="it was removed while it came")
    bell.ring(job.id)
    return asked, job.id


# --- as it is heard -----------------------------------------------------------------------------


def _heard(here: Connection, number: int) -> Iterator[str]:
    """Events with the words as they are heard, and all of them at the end."""
    said, after, silent = "", 0, 0
    try:
        for job in here.looks(number):
            news = partial.read(here.ledger, job, after) if job.state is State.RUNNING else None
            texts = [spoken(one) for one in news.segments] if news else []
            after = news.next if news else after
            more = ""
            for text in texts:
                more += joint(said + more, text) + text
            said += more
            silent = 0 if more else silent + 1
            if more:
                yield answers.delta(more)
            elif silent % _BREATH == 1:
                yield ": the box is listening\n\n"
    except StillWorking as error:
        yield answers.failed(error, HTTPStatus.SERVICE_UNAVAILABLE)
        return
    except ApplianceError as error:
        yield answers.failed(error, HTTPStatus.INTERNAL_SERVER_ERROR)
        return
    transcript = answers.transcript_of(here.ledger, job)
    if transcript is None:
        yield answers.failed(*answers.trouble(job))
        return
    whole = whole_text(transcript)
    if whole != said and whole.startswith(said):
        yield answers.delta(whole[len(said) :])
    yield answers.done(whole)
