"""A transcript in the forms of OpenAI's API, and what went wrong in its form as well.

Not here: waiting for it (waiting), the files of a share (appliance.export).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from flask import Response, jsonify

from appliance.errors import ApplianceError, Bug, SourceError, SourceMissing, named
from appliance.export import EXPORTERS, MEDIA_TYPES
from appliance.export.cues import rules_for
from appliance.export.json import whole_text
from appliance.nouns import Segment, Transcript, Word
from appliance.report import spelled
from appliance.states import State
from appliance.store import revisions
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from web.failures import as_openai
from web.openai.asking import Question
from web.openai.languages import NAMES

_SEGMENT: Final = (
    *("id", "seek", "start", "end", "text", "tokens", "temperature"),
    *("avg_logprob", "compression_ratio", "no_speech_prob"),
)


def transcript_of(ledger: Ledger, job: Job) -> Transcript | None:
    """The text of a job; None where it ended without."""
    found = revisions.text(ledger, job) if job.state is State.DONE else None
    return found[0] if found else None


def answer(transcript: Transcript, asked: Question) -> Response:
    """The text as it was asked for."""
    if asked.format in ("srt", "vtt"):
        rules = rules_for(transcript, asked.options.subtitle_rules)
        body = EXPORTERS[asked.format](transcript, rules)
        return Response(body, content_type=MEDIA_TYPES[asked.format])
    text = whole_text(transcript)
    if asked.format == "text":
        return Response(f"{text}\n", content_type=MEDIA_TYPES["txt"])
    usage = {"type": "duration", "seconds": transcript.duration}
    if asked.format == "json":
        return jsonify(text=text, usage=usage)
    whole: dict[str, Any] = {
        "task": transcript.task,
        "language": NAMES.get(transcript.text_language, transcript.text_language),
        "duration": transcript.duration,
        "text": text,
        "usage": usage,
    }
    if asked.segments:
        whole["segments"] = [_segment(one) for one in transcript.segments]
    if asked.words:
        whole["words"] = [_word(word) for one in transcript.segments for word in one.words]
    return jsonify(whole)


def _segment(one: Segment) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _SEGMENT}


def _word(one: Word) -> dict[str, Any]:
    return {"word": one.word.strip(), "start": one.start, "end": one.end}


# --- what went wrong ----------------------------------------------------------------------------


def trouble(job: Job) -> tuple[ApplianceError, HTTPStatus]:
    """What ended a job without a text, and whose turn that is: the sender's, or the box's."""
    error = named(job.code, job.detail) if job.code else Bug(name="this recording")
    theirs = isinstance(error, SourceError | SourceMissing) or job.state is State.CANCELLED
    return error, HTTPStatus.BAD_REQUEST if theirs else HTTPStatus.INTERNAL_SERVER_ERROR


def refusal(error: ApplianceError, status: HTTPStatus) -> Response:
    """An error in the shape of OpenAI's."""
    told = spelled(error)
    response = jsonify(as_openai(f"{told.sentence} {told.next_step}", status, told.code))
    response.status_code = status
    return response


# --- as it is heard -----------------------------------------------------------------------------


def delta(text: str) -> str:
    """An event with some more of the text."""
    return _event({"type": "transcript.text.delta", "delta": text})


def done(text: str) -> str:
    """The last event: all of the text."""
    return _event({"type": "transcript.text.done", "text": text})


def failed(error: ApplianceError, status: HTTPStatus) -> str:
    """An error after the first byte has gone: their client raises it."""
    told = spelled(error)
    body = as_openai(f"{told.sentence} {told.next_step}", status, told.code)
    return f"event: error\n{_event(body)}"


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
