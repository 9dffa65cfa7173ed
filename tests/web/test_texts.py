"""What was said, for programs: files to fetch, the text, corrections made on what was read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance.errors import NoAudioTrack
from appliance.export import EXPORTERS, MEDIA_TYPES
from appliance.states import State
from appliance.store import audit, jobs, revisions
from tests.web.box import HOSTILE, Box


def text_of(client: FlaskClient, number: int, query: str = "") -> tuple[dict[str, Any], str]:
    answer = client.get(f"/api/v1/jobs/{number}/transcript{query}")
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json, dict)
    return answer.json, answer.headers["ETag"]


def patch(
    client: FlaskClient, number: int, body: object, tag: str | None, status: int = 200
) -> dict[str, Any]:
    headers = {} if tag is None else {"If-Match": tag}
    address = f"/api/v1/jobs/{number}/transcript"
    answer = client.patch(address, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json, dict)
    return answer.json


@pytest.mark.parametrize("format_", EXPORTERS)
def test_a_text_is_fetched_in_every_format(box: Box, program: FlaskClient, format_: str) -> None:
    job = box.finish(b"2026/talk.mp4")
    answer = program.get(f"/api/v1/jobs/{job.id}/export?format={format_}")
    assert answer.status_code == 200
    assert answer.content_type == MEDIA_TYPES[format_]
    assert answer.headers["Content-Disposition"] == f"attachment; filename=talk.{format_}"
    assert answer.data
    again = program.get(
        f"/api/v1/jobs/{job.id}/export?format={format_}",
        headers={"If-None-Match": answer.headers["ETag"]},
    )
    assert (again.status_code, again.data) == (304, b"")
    (entry,) = audit.page(box.ledger, limit=1)
    assert entry.did == "export-fetched"


@pytest.mark.parametrize("name", [*HOSTILE, b"..", b"../../etc/passwd", b"a\\b.wav", b'x"y.wav'])
def test_no_name_leads_anywhere_or_out_of_its_header(
    box: Box, program: FlaskClient, name: bytes
) -> None:
    job = box.finish(name)
    header = program.get(f"/api/v1/jobs/{job.id}/export?format=txt").headers["Content-Disposition"]
    assert header.startswith("attachment; filename")
    assert header.isascii()
    assert header.isprintable()
    assert "/" not in header
    assert "\\" not in header
    assert "%2F" not in header
    assert "%E2%80%AE" not in header  # what turns the rest of a name around


def test_a_name_beyond_ascii_is_spelt_twice(box: Box, program: FlaskClient) -> None:
    job = box.finish("Öhringen №1.wav".encode())
    header = program.get(f"/api/v1/jobs/{job.id}/export?format=srt").headers["Content-Disposition"]
    assert "filename*=UTF-8''%C3%96hringen%20%E2%84%961.srt" in header  # RFC 8187


@pytest.mark.parametrize("what", ["export?format=txt", "transcript"])
def test_without_a_text_the_state_is_told(box: Box, program: FlaskClient, what: str) -> None:
    job = box.stop(b"a.wav", NoAudioTrack(name="a.wav"), State.FAILED)
    answer = program.get(f"/api/v1/jobs/{job.id}/{what}")
    assert answer.status_code == 409
    assert answer.json is not None
    assert answer.json["code"] == "policy.not-ready"
    assert "failed" in answer.json["detail"]


def test_a_text_is_read_with_words_and_doubts_where_asked(box: Box, program: FlaskClient) -> None:
    job = box.finish(b"talk.mp4")
    row, tag = text_of(program, job.id)
    assert tag == f'"{row["revision"]}"'
    assert row["segments"][0]["text"] == "Good morning, everybody."
    assert row["segments"][0]["words"] is row["doubts"] is None
    more, _ = text_of(program, job.id, "?words=true&doubts=true")
    assert isinstance(more["segments"][0]["words"], list)
    assert isinstance(more["doubts"], list)
    address = f"/api/v1/jobs/{job.id}/transcript"
    assert program.get(address, headers={"If-None-Match": tag}).status_code == 304
    assert program.get(f"{address}?task=translate").status_code == 422


def test_an_edit_is_made_on_what_was_read_and_its_files_follow(
    box: Box, program: FlaskClient
) -> None:
    job = box.finish(b"talk.mp4")
    _, tag = text_of(program, job.id)
    body = {"edit": {"first": 0, "texts": ["Good evening, everybody."]}}
    made = patch(program, job.id, body, tag)
    assert made["changed"]
    row, newer = text_of(program, job.id)
    assert row["segments"][0]["text"] == "Good evening, everybody."
    assert newer == f'"{made["revision"]}"' != tag
    now = jobs.must(box.ledger, job.id)
    assert (now.state, now.workload) == (State.QUEUED, jobs.REEXPORT)
    (one,) = revisions.history(box.ledger, now)
    assert one.who.startswith("key:")
    told = program.get(f"/api/v1/jobs/{job.id}/revisions").json
    assert told is not None
    assert told["revisions"][0]["revision"] == made["revision"]


def test_an_edit_on_an_older_text_is_refused_and_loses_nobodys_words(
    box: Box, program: FlaskClient
) -> None:
    job = box.finish(b"talk.mp4")
    _, tag = text_of(program, job.id)
    patch(program, job.id, {"edit": {"first": 0, "texts": ["First."]}}, tag)
    late = {"edit": {"first": 0, "texts": ["Second."]}}
    assert patch(program, job.id, late, tag, 412)["code"] == "policy.stale-edit"
    assert patch(program, job.id, late, None, 428)["code"] == "policy.tag-missing"
    assert patch(program, job.id, late, "nonsense, ,", 412)["code"] == "policy.stale-edit"
    assert text_of(program, job.id)[0]["segments"][0]["text"] == "First."


def test_a_word_is_exchanged_everywhere_and_that_is_undone(box: Box, program: FlaskClient) -> None:
    job = box.finish(b"talk.mp4")
    before, tag = text_of(program, job.id)
    exchange = {"replace": {"heard": "everybody", "written": "everyone"}}
    made = patch(program, job.id, exchange, f"W/{tag}")  # as a proxy that packs it hands it on
    assert text_of(program, job.id)[0]["segments"][0]["text"] == "Good morning, everyone."
    patch(program, job.id, {"undo": {"to": 0}}, f'"{made["revision"]}"')
    assert text_of(program, job.id)[0]["segments"] == before["segments"]


def test_what_changes_nothing_makes_no_revision(box: Box, program: FlaskClient) -> None:
    job = box.finish(b"talk.mp4")
    _, tag = text_of(program, job.id)
    same = {"edit": {"first": 0, "texts": ["Good morning, everybody."]}}
    assert patch(program, job.id, same, tag)["changed"] is False
    assert jobs.must(box.ledger, job.id) == job


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "policy.request-unfit"),
        ({"edit": {"first": 0, "texts": ["x"]}, "undo": {"to": 0}}, "policy.request-unfit"),
        ({"edit": {"first": -1, "texts": ["x"]}}, "policy.request-unfit"),
        ({"edit": {"first": 0, "texts": ["\ud800"]}}, "policy.request-unfit"),
        ({"edit": {"first": 99, "texts": ["x"]}}, "policy.edit-refused"),
        ({"edit": {"first": 0, "texts": ["x"], "task": "translate"}}, "policy.request-unfit"),
        ({"undo": {"to": 0}}, "policy.edit-refused"),
        ({"replace": {"heard": "  ", "written": "x"}}, "policy.edit-refused"),
    ],
)
def test_an_edit_that_cannot_be_made_says_why(
    box: Box, program: FlaskClient, body: object, code: str
) -> None:
    job = box.finish(b"talk.mp4")
    _, tag = text_of(program, job.id)
    assert patch(program, job.id, json.loads(json.dumps(body)), tag, 422)["code"] == code
    assert revisions.newest(box.ledger, job) == 0
