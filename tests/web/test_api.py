"""What programs are told: jobs, status, health; and how errors reach them."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance.errors import DiskFull, ModelMissing, ShareOffline
from appliance.states import State
from tests import signed_in
from tests.web.box import HOSTILE, Box, close_gate, named_codes
from web import create_app, db


def told(client: FlaskClient, address: str, status: int = 200) -> dict[str, Any]:
    answer = client.get(address)
    assert answer.status_code == status
    assert isinstance(answer.json, dict)
    return answer.json


def test_jobs_come_by_cursor_until_there_are_no_more(box: Box, client: FlaskClient) -> None:
    for number in range(7):
        box.add(b"%d.wav" % number)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = told(client, f"/api/v1/jobs?limit=3&cursor={cursor}")
        seen += [job["recording"] for job in page["jobs"]]
        cursor = page["next_cursor"]
    assert seen == [f"{number}.wav" for number in reversed(range(7))]


def test_the_next_page_is_a_link_as_well(box: Box, client: FlaskClient) -> None:
    for number in range(3):
        box.add(b"%d.wav" % number)
    link = client.get("/api/v1/jobs?limit=2&state=queued").headers["Link"]
    assert link == '</api/v1/jobs?state=queued&limit=2&cursor=2>; rel="next"'


@pytest.mark.parametrize(
    "asked", ["limit=0", "limit=-5", "limit=100000", "limit=many", "cursor=x", "state=finished"]
)
def test_what_does_not_fit_is_a_mistake_of_the_asker(client: FlaskClient, asked: str) -> None:
    problem = told(client, f"/api/v1/jobs?{asked}", 422)
    assert problem["code"] == "policy.request-unfit"
    assert asked.partition("=")[0] in problem["detail"]


@pytest.mark.parametrize("state", list(State))
def test_a_job_in_any_state_can_be_read(box: Box, client: FlaskClient, state: State) -> None:
    job = box.every_state()[state]
    row = told(client, f"/api/v1/jobs/{job.id}")
    assert (row["id"], row["state"]) == (job.id, state)
    assert row["events"]
    assert (row["progress"] is not None) is (state is State.RUNNING)


def test_a_name_that_is_not_utf8_survives_json(box: Box, client: FlaskClient) -> None:
    box.add(HOSTILE[4])
    assert told(client, "/api/v1/jobs")["jobs"][0]["recording"] == r"caf\xe9 \xff\xfe.ogg"


def test_the_status_tells_how_far_a_job_is(box: Box, client: FlaskClient) -> None:
    box.every_state()
    work = told(client, "/api/v1/status")["working"][0]
    assert work["percent"] == 24
    assert 370 < work["seconds_left"] < 390


def test_looking_again_costs_nothing_while_nothing_happens(box: Box, client: FlaskClient) -> None:
    first = client.get("/api/v1/status")
    again = client.get("/api/v1/status", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    box.add(b"a.wav")
    after = client.get("/api/v1/status", headers={"If-None-Match": first.headers["ETag"]})
    assert after.status_code == 200
    assert after.json is not None
    assert first.json is not None
    assert after.json["page"] != first.json["page"]


def test_progress_alone_does_not_make_the_page_another(box: Box, client: FlaskClient) -> None:
    job = box.run(b"a.wav")
    pages = []
    for done in (10.0, 700.0):
        facts: dict[str, object] = {"stage": "transcribe", "done": done, "total": 3600.0}
        box.progress({job.id: facts})
        pages.append(told(client, "/api/v1/status")["page"])
    assert pages[0] == pages[1]


@pytest.mark.parametrize("address", ["/api/v1/jobs/999", "/api/v1/nothing"])
def test_an_error_is_a_problem_document(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    assert answer.json["status"] == 404
    assert answer.json["instance"] == address


def test_a_mistake_tells_what_there_is(client: FlaskClient) -> None:
    assert "'done'" in told(client, "/api/v1/jobs?state=finished", 422)["detail"]


@pytest.mark.parametrize("method", ["post", "put"])
@pytest.mark.parametrize("address", ["/", "/jobs/1", "/api/v1/jobs", "/api/v1/jobs/1"])
def test_what_cannot_be_done_at_an_address_is_said(
    client: FlaskClient, method: str, address: str
) -> None:
    answer = getattr(client, method)(address)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_our_own_mistake_is_told_in_plain_words_and_logged(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_arguments: object) -> None:
        raise KeyError("a secret of the inside")

    monkeypatch.setattr("web.overview.gather", broken)
    app = create_app(box.settings)
    with signed_in.client(app, box.ledger) as client:
        page = client.get("/")
        problem = client.get("/api/v1/status")
    db.close(app)
    assert (page.status_code, problem.status_code) == (500, 500)
    assert "secret" not in page.text + problem.text
    assert problem.json is not None
    assert problem.json["code"] == "bug"
    assert "a secret of the inside" in caplog.text


def test_a_busy_ledger_is_told_by_its_name(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_arguments: object) -> None:
        raise DiskFull(where="/state", free_gb=0.0)

    monkeypatch.setattr("web.overview.gather", busy)
    app = create_app(box.settings)
    with signed_in.client(app, box.ledger) as client:
        problem = told(client, "/api/v1/status", 503)
    db.close(app)
    assert (problem["type"], problem["code"]) == ("/help/node.disk-full", "node.disk-full")


# --- health -------------------------------------------------------------------------------------


def test_a_process_that_answers_is_alive(client: FlaskClient) -> None:
    assert told(client, "/healthz") == {"status": "pass"}


def test_a_well_box_can_take_work(client: FlaskClient) -> None:
    ready = told(client, "/readyz")
    assert ready["status"] == "pass"
    assert {one["status"] for one in ready["checks"].values()} <= {"pass", "warn"}
    assert ready["checks"].keys() >= {"ledger", "disk", "engine", "worker", "watch", "share"}


def test_without_an_engine_no_work_can_be_taken(box: Box, client: FlaskClient) -> None:
    os.unlink(box.settings.engine_socket)
    ready = told(client, "/readyz", 503)
    assert ready["checks"]["engine"] == {"status": "fail", "code": "node.engine-unreachable"}
    assert ready["checks"]["ledger"] == {"status": "pass"}
    assert named_codes(told(client, "/api/v1/status")["needs"]) == {"node.engine-unreachable"}


def test_a_gate_before_every_share_blocks_and_one_before_some_does_not(
    box: Box, client: FlaskClient
) -> None:
    close_gate(box, ShareOffline(share="archive"))
    assert told(client, "/readyz")["status"] == "pass"
    close_gate(box, ShareOffline(share="meetings"))
    assert told(client, "/readyz", 503)["checks"]["share"]["code"] == "share.offline"


def test_a_missing_model_blocks_every_share_that_needs_it(box: Box, client: FlaskClient) -> None:
    close_gate(box, ModelMissing(model="selftest", where="/models"))
    assert told(client, "/readyz", 503)["checks"]["model"]["code"] == "node.model-missing"


def test_a_stranger_is_told_whether_it_is_ready_and_nothing_else(box: Box) -> None:
    close_gate(box, ModelMissing(model="selftest", where="/models"))
    app = create_app(box.settings)
    with app.test_client() as stranger:
        assert told(stranger, "/readyz", 503) == {"status": "fail"}
        assert told(stranger, "/healthz") == told(stranger, "/livez") == {"status": "pass"}
    db.close(app)


def test_readiness_names_no_file_and_no_share(box: Box, client: FlaskClient) -> None:
    box.every_state()
    close_gate(box, ShareOffline(share="archive"))
    close_gate(box, ShareOffline(share="meetings"))
    answer = client.get("/readyz").text
    assert "meetings" not in answer
    assert box.settings.state_dir not in answer


def test_a_full_disk_is_not_ready(box: Box) -> None:
    full = box.settings.model_copy(
        update={"disk": box.settings.disk.model_copy(update={"stop_below_gb": 1e9})}
    )
    app = create_app(full)
    with signed_in.client(app, box.ledger) as client:
        assert told(client, "/readyz", 503)["checks"]["disk"]["code"] == "node.disk-full"
    db.close(app)


def test_a_hanging_engine_does_not_hang_the_page(box: Box, client: FlaskClient) -> None:
    os.unlink(box.settings.engine_socket)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as hanging:
        hanging.bind(box.settings.engine_socket)
        hanging.listen(0)
        begun = time.monotonic()
        answers = [client.get("/readyz").status_code for _ in range(4)]
    assert answers[-1] == 503
    assert time.monotonic() - begun < 10


def test_a_lost_ledger_is_named_and_the_process_begins_anew(box: Box, client: FlaskClient) -> None:
    begun: list[None] = []
    db.when_lost(client.application, lambda: begun.append(None))
    assert client.get("/api/v1/jobs").status_code == 200
    assert begun == []
    os.unlink(box.settings.state("ledger.db"))
    problem = told(client, "/api/v1/jobs", 503)
    assert problem["code"] == "node.ledger-damaged"
    assert begun == [None]
