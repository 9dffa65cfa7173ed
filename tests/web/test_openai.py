"""OpenAI's API by its letters: what waits, what is too slow, what fails, what is asked twice."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance import receive
from appliance.errors import EngineLost, SourceUnreadable
from appliance.nouns import LANGUAGES, UPLOADS, Options
from appliance.rights import Right
from appliance.states import Stage, State, Verdict
from appliance.store import jobs, transcripts, uploads
from appliance.store.jobs import Job
from tests import signed_in
from tests.export import speech
from tests.web.box import Box
from tests.web.test_partial import hear
from web import create_app, db
from web.openai.languages import NAMES, code_of
from web.uploads import slots

SOUND = b"RIFF....WAVE" + bytes(range(256)) * 40
AT = "/v1/audio/transcriptions"


@pytest.fixture
def app(box: Box) -> Iterator[Flask]:
    """Pages that wait for no answer: whoever asks is told at once how it stands."""
    made = create_app(box.settings, clock=itertools.count().__next__, patience=0.0)
    yield made
    db.close(made)


@pytest.fixture
def client(app: Flask, box: Box) -> FlaskClient:
    made = app.test_client(use_cookies=False)
    key = signed_in.key(box.ledger, Right.SUBMIT, shares=[UPLOADS])
    made.environ_base["HTTP_AUTHORIZATION"] = key["Authorization"]
    return made


@pytest.fixture
def patient(box: Box) -> Iterator[FlaskClient]:
    app = create_app(box.settings, clock=itertools.count().__next__, patience=20.0)
    made = app.test_client(use_cookies=False)
    key = signed_in.key(box.ledger, Right.SUBMIT, shares=[UPLOADS])
    made.environ_base["HTTP_AUTHORIZATION"] = key["Authorization"]
    yield made
    db.close(app)


def ask(client: FlaskClient, data: bytes = SOUND, name: str = "talk.mp3", **more: Any) -> Any:
    headers = more.pop("headers", {})
    fields = {"model": "whisper-1", **more, "file": (io.BytesIO(data), name)}
    return client.post(AT, data=fields, headers=headers)


def only(box: Box) -> Job:
    (job,) = jobs.listing(box.ledger)
    return job


def run(box: Box) -> Job:
    job = jobs.claim(box.ledger, only(box).id, owner="w1")
    assert job is not None
    return jobs.enter(box.ledger, job, Stage.TRANSCRIBE, duration=60.0)


def finish(box: Box, job: Job, *texts: str) -> None:
    said = [speech.segment(f" {text}", 30.0 * n, 30.0 * n + 2.0) for n, text in enumerate(texts)]
    transcripts.record(box.ledger, job, speech.transcript(*said), asked_sha256="x")
    jobs.finish(box.ledger, job, [], rss_peak=None)


def events(chunk: bytes) -> list[dict[str, Any]]:
    lines = chunk.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def test_it_is_taken_before_all_others_and_nothing_is_written_beside_it(
    box: Box, client: FlaskClient
) -> None:
    box.add(b"short.wav", size=100)
    ask(client)
    job = next(job for job in jobs.listing(box.ledger) if job.source.share == UPLOADS)
    assert (job.priority, job.options.formats, job.source.name) == (2, (), b"recording.mp3")
    assert job.options == Options(formats=())


def test_who_waits_too_long_is_told_when_to_come_again_and_then_finds_it(
    box: Box, client: FlaskClient
) -> None:
    slow = ask(client)
    assert (slow.status_code, slow.headers["Retry-After"]) == (503, "30")
    assert slow.json["error"]["code"] == "policy.still-working"
    assert slow.json["error"]["type"] == "api_error"
    finish(box, run(box), "good morning")
    again = ask(client)
    assert (again.status_code, again.json["text"]) == (200, "good morning")
    assert only(box).attempt == 1
    assert again.json["usage"]["type"] == "duration"


def test_another_question_about_the_same_recording_is_another_job(
    box: Box, client: FlaskClient
) -> None:
    ask(client)
    ask(client, language="de")
    ask(client, response_format="srt")  # the same work in another form
    assert len(jobs.listing(box.ledger)) == 2


def test_a_recording_that_is_none_is_the_askers_turn_and_is_tried_again(
    box: Box, client: FlaskClient
) -> None:
    ask(client)
    error = SourceUnreadable(name="<b>recording.mp3")
    jobs.end(box.ledger, run(box), Verdict(State.FAILED), error, who="w1")
    job = only(box)
    upload = next(uploads.arrived_before(box.ledger, uploads.ANSWERED, before_ms=1 << 60))
    assert receive.job_of(box.ledger, upload) == job
    ask(client)
    assert len(jobs.listing(box.ledger)) == 2


def test_a_job_that_ends_badly_while_one_waits_is_told_whose_turn_it_is(
    box: Box, patient: FlaskClient
) -> None:
    for error, state, status in (
        (SourceUnreadable(name="recording.mp3"), State.FAILED, 400),
        (EngineLost(), State.DEAD, 500),
    ):
        with ask(patient, SOUND + str(status).encode(), stream="true") as answer:
            heard = answer.iter_encoded()
            next(heard)
            number = jobs.listing(box.ledger, limit=1)[0].id
            job = jobs.claim(box.ledger, number, owner="w1")
            assert job is not None
            jobs.end(box.ledger, job, Verdict(state), error, who="w1")
            told = b"".join(heard)
        assert b"event: error" in told
        assert events(told)[-1]["error"]["code"] == error.code
        kind = "invalid_request_error" if status == 400 else "api_error"
        assert events(told)[-1]["error"]["type"] == kind


def test_a_stream_says_the_words_as_they_are_heard(box: Box, patient: FlaskClient) -> None:
    with ask(patient, stream="true") as answer:
        assert answer.content_type.startswith("text/event-stream")
        heard = answer.iter_encoded()
        assert next(heard).startswith(b":"), "a sign that we live, before the first word"
        job = run(box)
        hear(box, job, 0)
        assert events(next(heard)) == [{"type": "transcript.text.delta", "delta": "window 0"}]
        hear(box, job, 1)
        assert events(next(heard)) == [{"type": "transcript.text.delta", "delta": " window 1"}]
        finish(box, job, "window 0", "window 1", "and the rest")
        *_, last, done = events(b"".join(heard))
        assert last["delta"] == " and the rest"
        assert done == {"type": "transcript.text.done", "text": "window 0 window 1 and the rest"}


def test_who_goes_away_leaves_the_slot_and_the_job(box: Box, patient: FlaskClient) -> None:
    for _ in range(slots.MOST["answers"] + 3):
        with ask(patient, stream="true") as answer:
            next(answer.iter_encoded())
    assert only(box).state is State.QUEUED


def test_only_so_many_wait_at_once(box: Box, patient: FlaskClient) -> None:
    waiting = []
    try:
        for _ in range(slots.MOST["answers"]):
            answer = ask(patient, stream="true")
            next(answer.iter_encoded())
            waiting.append(answer)
        refused = ask(patient, stream="true")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        assert refused.json["error"]["code"] == "policy.too-many-at-once"
    finally:
        for answer in waiting:
            answer.close()
    assert only(box).state is State.QUEUED


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"model": "parrot"}, 404),
        ({"response_format": "diarized_json"}, 400),
        ({"timestamp_granularities[]": "letter"}, 400),
        ({"language": "klingon"}, 400),
        ({"data": b""}, 400),
    ],
)
def test_what_cannot_be_asked_leaves_nothing(
    box: Box, client: FlaskClient, wrong: dict[str, Any], status: int
) -> None:
    answer = ask(client, **wrong)
    assert (answer.status_code, answer.json["error"]["param"]) == (status, None)
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert jobs.listing(box.ledger) == []
    assert list(uploads.unfinished(box.ledger)) == []


def test_errors_there_have_the_shape_of_theirs(app: Flask, box: Box) -> None:
    nobody = app.test_client(use_cookies=False)
    for method, address in (("get", "/v1/models"), ("post", AT), ("get", "/v1/nothing")):
        answer = getattr(nobody, method)(address)
        assert set(answer.json["error"]) == {"message", "type", "param", "code"}, address
    reader = nobody.get("/v1/models", headers=signed_in.key(box.ledger, Right.READ))
    assert (reader.status_code, reader.json["error"]["type"]) == (403, "permission_error")  # type: ignore[index]


def test_a_name_of_a_recording_is_kept_nowhere(box: Box, client: FlaskClient) -> None:
    ask(client, name="dismissal of Mr Smith.m4a")
    assert only(box).source.name == b"recording.m4a"
    row = box.ledger.row("SELECT count(*) AS n FROM upload WHERE instr(path, 'Smith')")
    assert row == {"n": 0}


@pytest.mark.parametrize(
    ("name", "kind", "becomes"),
    [
        ("a.FLAC", "", b"recording.flac"),
        ("blob", "audio/webm;codecs=opus", b"recording.webm"),
        ("file", "audio/x-m4a", b"recording.m4a"),
        ("x.exe", "application/octet-stream", b"recording.wav"),
    ],
)
def test_its_kind_is_told_by_the_name_or_the_type(
    box: Box, client: FlaskClient, name: str, kind: str, becomes: bytes
) -> None:
    fields = {"model": "whisper-1", "file": (io.BytesIO(SOUND), name, kind)}
    client.post(AT, data=fields)
    assert only(box).source.name == becomes


def test_every_language_has_its_name() -> None:
    assert NAMES.keys() == set(LANGUAGES)
    assert [code_of(said) for said in ("de", "German", "de-DE", "pt_BR", "xx")] == [
        *("de", "de", "de", "pt", "xx"),
    ]
