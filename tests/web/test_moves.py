"""What programs ask of jobs: each step of the table, by those who may, and by no others."""

from __future__ import annotations

import os
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance.errors import NoAudioTrack
from appliance.rights import Right, Role
from appliance.states import ENDED, NEXT, State
from appliance.store import audit, events, jobs, marks, pause
from tests import signed_in
from tests.web.box import Box
from web import create_app, db


def asked(
    client: FlaskClient, method: str, address: str, status: int = 200, **more: Any
) -> dict[str, Any]:
    answer = client.open(f"/api/v1{address}", method=method, **more)
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json, dict)
    return answer.json


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(
    ("verb", "to"),
    [("retry", State.QUEUED), ("hold", State.HELD), ("cancel", State.CANCELLED)],
)
def test_a_step_is_taken_where_the_table_has_it_and_refused_elsewhere(
    box: Box, program: FlaskClient, state: State, verb: str, to: State
) -> None:
    job = box.every_state()[state]
    may = to in NEXT[state] and not (state is State.RUNNING and verb == "retry")
    told = asked(program, "POST", f"/jobs/{job.id}/{verb}", 200 if may else 409)
    if not may:
        assert told["code"] == "policy.step-refused"
        assert str(state) in told["detail"]
    now = jobs.must(box.ledger, job.id)
    if may and state is State.RUNNING:
        assert (now.state, now.cancel) == (State.RUNNING, True)  # at its next window
    else:
        assert now.state is (to if may else state)


def test_who_moved_a_job_stands_in_its_events(box: Box, program: FlaskClient) -> None:
    job = box.add(b"a.wav")
    asked(program, "POST", f"/jobs/{job.id}/hold")
    asked(program, "POST", f"/jobs/{job.id}/release")
    *_, held, released = events.of_job(box.ledger, job.id)
    assert (held.became, released.became) == (State.HELD, State.QUEUED)
    assert held.who == released.who
    assert held.who.startswith("key:")


def test_only_what_is_held_is_released(box: Box, program: FlaskClient) -> None:
    job = box.stop(b"a.wav", NoAudioTrack(name="a.wav"), State.FAILED)
    asked(program, "POST", f"/jobs/{job.id}/release", 409)


def test_a_job_is_run_again_with_other_options(box: Box, program: FlaskClient) -> None:
    job = box.finish(b"a.wav")
    wishes = {"language": "de", "formats": ["srt"], "vocabulary": ["Öhringen"]}
    asked(program, "POST", f"/jobs/{job.id}/retry", json={"options": wishes})
    now = jobs.must(box.ledger, job.id)
    assert (now.state, now.epoch) == (State.QUEUED, job.epoch + 1)
    assert (now.options.language, now.options.formats) == ("de", ("srt",))
    assert now.options.vocabulary == ("Öhringen",)
    assert now.options.model == job.options.model


@pytest.mark.parametrize(
    "body",
    [
        {"options": {"language": "klingon"}},
        {"options": {"formats": ["exe"]}},
        {"options": {"profile": "nobody's"}},
        {"options": {"beam": 99}},
        {"stage": "record"},
        {"state": "deliver"},
        ["deliver"],
    ],
)
def test_what_cannot_be_asked_for_is_refused_and_nothing_moves(
    box: Box, program: FlaskClient, body: object
) -> None:
    job = box.finish(b"a.wav")
    told = asked(program, "POST", f"/jobs/{job.id}/retry", 422, json=body)
    assert told["code"] == "policy.request-unfit"
    assert jobs.must(box.ledger, job.id) == job


def test_a_body_that_is_no_json_is_not_taken_for_none(box: Box, program: FlaskClient) -> None:
    job = box.finish(b"a.wav")
    for sent in ({"data": "{"}, {"data": "stage=deliver"}, {"data": "null"}):
        asked(program, "POST", f"/jobs/{job.id}/retry", 422, **sent)
    assert jobs.must(box.ledger, job.id) == job


def test_a_model_that_is_not_here_is_named(box: Box, program: FlaskClient) -> None:
    job = box.finish(b"a.wav")
    body = {"options": {"model": "large-v9"}}
    told = asked(program, "POST", f"/jobs/{job.id}/retry", 422, json=body)
    assert "large-v9" in told["detail"]
    assert jobs.must(box.ledger, job.id) == job


def test_files_are_written_anew_without_transcribing(box: Box, program: FlaskClient) -> None:
    done, failed = box.finish(b"a.wav"), box.stop(b"b.wav", NoAudioTrack(name="b"), State.FAILED)
    asked(program, "POST", f"/jobs/{done.id}/retry", json={"stage": "deliver"})
    now = jobs.must(box.ledger, done.id)
    assert (now.workload, now.epoch) == (jobs.REEXPORT, done.epoch)
    told = asked(program, "POST", f"/jobs/{failed.id}/retry", 409, json={"stage": "deliver"})
    assert told["code"] == "policy.not-ready"


# --- marks --------------------------------------------------------------------------------------


def test_tags_are_given_found_and_taken(box: Box, program: FlaskClient) -> None:
    first, second = box.add(b"a.wav"), box.add(b"b.wav")
    asked(program, "PATCH", f"/jobs/{first.id}", json={"tags": ["board", "2026 Q4", "board"]})
    asked(program, "PATCH", f"/jobs/{second.id}", json={"tags": ["board"]})
    assert asked(program, "GET", f"/jobs/{first.id}")["tags"] == ["2026 Q4", "board"]

    def found(query: str) -> list[int]:
        return [job["id"] for job in asked(program, "GET", f"/jobs?{query}")["jobs"]]

    assert found("tag=2026+Q4") == [first.id]
    assert found("tag=2026+Q4&tag=board") == [second.id, first.id]  # any of them
    asked(program, "PATCH", f"/jobs/{first.id}", json={"tags": []})
    assert found("tag=board") == [second.id]


@pytest.mark.parametrize("tag", ["", " x", "x ", "a,b", "x" * 41, "\ud800"])
def test_a_tag_is_a_word_that_can_be_asked_for(box: Box, program: FlaskClient, tag: str) -> None:
    job = box.add(b"a.wav")
    asked(program, "PATCH", f"/jobs/{job.id}", 422, json={"tags": [tag]})
    assert marks.of_job(box.ledger, job.id) == []


def test_what_is_urgent_comes_first(box: Box, program: FlaskClient) -> None:
    first, second = box.add(b"a.wav"), box.add(b"b.wav")
    asked(program, "PATCH", f"/jobs/{second.id}", json={"priority": 5})
    following = asked(program, "GET", "/queue")["next"]
    assert [job["id"] for job in following] == [second.id, first.id]
    asked(program, "PATCH", f"/jobs/{second.id}", 422, json={"priority": 101})


def test_jobs_are_chosen_by_name_time_and_state_and_counted(box: Box, program: FlaskClient) -> None:
    box.add(b"2026/Board Meeting.wav")
    box.finish(b"2026/board_notes.wav")
    box.add(b"other.wav", share="archive")
    found = asked(program, "GET", "/jobs?name=BOARD&counts=true&state=done")
    assert [job["recording"] for job in found["jobs"]] == ["2026/board_notes.wav"]
    assert found["counts"] == {"done": 1, "queued": 1}
    assert asked(program, "GET", "/jobs?name=d_n")["jobs"] != []
    assert asked(program, "GET", "/jobs?name=%25")["jobs"] == []
    assert asked(program, "GET", "/jobs?until=2001-01-01T00:00:00Z")["jobs"] == []
    assert len(asked(program, "GET", "/jobs?since=2001-01-01T00:00:00Z&share=archive")["jobs"]) == 1
    asked(program, "GET", "/jobs?since=yesterday", 422)


def test_the_counts_are_of_the_whole_choice_whatever_the_page_shows(
    box: Box, program: FlaskClient
) -> None:
    """Where the page holds all of it they are taken from there."""
    for path in (b"board 1.wav", b"other.wav", b"board 2.wav"):
        box.add(path)
    box.finish(b"board 3.wav")
    for more, shown in (("", 3), ("&limit=2", 2), ("&state=done", 1), ("&state=failed", 0)):
        found = asked(program, "GET", f"/jobs?name=board&counts=true{more}")
        assert len(found["jobs"]) == shown
        assert found["counts"] == {"queued": 2, "done": 1}
    first = asked(program, "GET", "/jobs?name=board&counts=true&limit=2")
    query = f"/jobs?name=board&counts=true&cursor={first['next_cursor']}"
    assert asked(program, "GET", query)["counts"] == first["counts"]
    assert asked(program, "GET", "/jobs?name=nobody&counts=true")["counts"] == {}


# --- forgotten ----------------------------------------------------------------------------------


def test_a_dry_run_says_exactly_what_would_go_and_lets_it_stay(
    box: Box, program: FlaskClient
) -> None:
    box.every_state()
    there = jobs.listing(box.ledger)
    dry = asked(program, "DELETE", "/jobs?share=meetings&dry_run=true")
    assert jobs.listing(box.ledger) == there
    assert {job["id"] for job in dry["jobs"]} == {job.id for job in there if job.state in ENDED}
    assert dry["kept"] == sum(job.state not in ENDED for job in there)
    gone = asked(program, "DELETE", "/jobs?share=meetings")
    assert gone["jobs"] == dry["jobs"]
    assert {job.id for job in jobs.listing(box.ledger)} == {
        job.id for job in there if job.state not in ENDED
    }


def test_what_is_forgotten_names_the_files_that_stay(box: Box, program: FlaskClient) -> None:
    job = box.finish(b"talk.wav")
    logs = box.settings.state("logs", str(job.id))
    os.makedirs(logs)
    (row,) = asked(program, "DELETE", f"/jobs/{job.id}")["jobs"]
    assert row["files"] == ["talk.srt", "talk.txt"]
    asked(program, "GET", f"/jobs/{job.id}", 404)
    assert not os.path.exists(logs)
    (entry, *_) = audit.page(box.ledger)
    assert (entry.did, entry.about) == ("job-forgotten", str(job.id))


def test_with_its_files_the_worker_forgets_it(box: Box, program: FlaskClient) -> None:
    done, waits = box.finish(b"talk.wav"), box.add(b"b.wav")
    dry = asked(program, "DELETE", f"/jobs?files=true&dry_run=true&id={done.id}&id={waits.id}")
    assert (dry["files_go"], dry["kept"]) == (True, 1)
    assert jobs.must(box.ledger, done.id) == done
    asked(program, "DELETE", f"/jobs?files=true&id={done.id}&id={waits.id}")
    now = jobs.must(box.ledger, done.id)
    assert (now.state, now.workload) == (State.QUEUED, jobs.FORGET)
    assert jobs.must(box.ledger, waits.id) == waits
    asked(program, "DELETE", f"/jobs/{waits.id}?files=true", 409)


def test_what_has_not_ended_is_not_forgotten(box: Box, program: FlaskClient) -> None:
    job = box.run(b"a.wav")
    asked(program, "DELETE", f"/jobs/{job.id}", 409)
    assert jobs.must(box.ledger, job.id) == job


def test_nobody_forgets_everything_by_leaving_out_what(box: Box, program: FlaskClient) -> None:
    box.finish(b"a.wav")
    told = asked(program, "DELETE", "/jobs", 422)
    assert told["code"] == "policy.nothing-chosen"
    asked(program, "DELETE", "/jobs?limit=5", 422)
    assert len(jobs.listing(box.ledger)) == 1


def test_a_choice_of_live_states_forgets_nothing(box: Box, program: FlaskClient) -> None:
    box.finish(b"a.wav")
    box.add(b"b.wav")
    told = asked(program, "DELETE", "/jobs?state=queued")
    assert (told["jobs"], told["kept"], told["more"]) == ([], 1, False)
    assert len(jobs.listing(box.ledger)) == 2


# --- the queue ----------------------------------------------------------------------------------


def test_a_queue_that_is_paused_says_so_in_one_sentence(box: Box, program: FlaskClient) -> None:
    box.add(b"a.wav")
    for _twice in range(2):
        told = asked(program, "POST", "/queue/pause", json={"why": "the disk is exchanged"})
    assert told["paused"]["why"] == "the disk is exchanged"
    verdict = asked(program, "GET", "/status")["verdict"]
    assert "paused by" in verdict["sentence"]
    assert verdict["sentence"].endswith("the disk is exchanged — 1 waiting")
    assert verdict["ready_at"] is None
    assert asked(program, "POST", "/queue/resume")["paused"] is None
    assert pause.now(box.ledger) is None
    assert "paused" not in asked(program, "GET", "/status")["verdict"]["sentence"]
    assert [one.did for one in audit.page(box.ledger)][:2] == ["queue-resumed", "queue-paused"]


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["POST retry", "POST cancel", "POST hold", "POST release"])
def test_a_job_is_moved_by_those_who_operate_in_its_share_alone(box: Box, way: str) -> None:
    method, _, verb = way.partition(" ")
    ours, theirs = box.add(b"a.wav"), box.add(b"b.wav", share="archive")
    app = create_app(box.settings)
    keys = {
        "operates elsewhere": signed_in.key(box.ledger, Right.OPERATE, shares=["archive"]),
        "reads here": signed_in.key(box.ledger, Right.READ, shares=["meetings"]),
    }
    split = {"meetings": Role.VIEWER, "archive": Role.OPERATOR}
    client = app.test_client(use_cookies=False)
    for who, status in (("operates elsewhere", 404), ("reads here", 403)):
        address = f"/api/v1/jobs/{ours.id}/{verb}"
        assert client.open(address, method=method, headers=keys[who]).status_code == status
    cookie = signed_in.cookie(box.ledger, "split", Role.OPERATOR, split)
    refused = client.open(f"/api/v1/jobs/{theirs.id}/{verb}", method=method, headers=cookie)
    assert refused.json is not None
    assert refused.json["code"] == "access.form-stale"  # any site could have sent this
    assert jobs.must(box.ledger, ours.id) == ours
    assert jobs.must(box.ledger, theirs.id) == theirs
    db.close(app)


def test_nobody_forgets_or_counts_what_lies_in_another_share(box: Box) -> None:
    ours, theirs = box.finish(b"a.wav"), box.finish(b"b.wav", share="archive")
    app = create_app(box.settings)
    client = app.test_client(use_cookies=False)
    key = signed_in.key(box.ledger, Right.OPERATE, Right.READ, shares=["meetings"])
    told = client.delete("/api/v1/jobs?state=done", headers=key).json
    assert told is not None
    assert [row["id"] for row in told["jobs"]] == [ours.id]
    assert jobs.get(box.ledger, theirs.id) == theirs
    assert client.delete(f"/api/v1/jobs/{theirs.id}", headers=key).status_code == 404
    db.close(app)
