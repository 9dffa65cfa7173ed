"""Jobs are moved from their pages: one, or many that were ticked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from appliance.bell import Bell
from appliance.credentials import tokens
from appliance.rights import Role
from appliance.states import State
from appliance.store import jobs
from tests import signed_in
from tests.web.box import Box
from tests.web.test_pages import Tags
from web import create_app, db


@pytest.fixture
def operator(box: Box) -> Iterator[FlaskClient]:
    """An operator of one share and viewer of the other, whose forms carry their word."""
    app = create_app(box.settings)
    grants = {"meetings": Role.OPERATOR, "archive": Role.VIEWER}
    header = signed_in.cookie(box.ledger, "olga", Role.OPERATOR, grants)
    with app.test_client(use_cookies=False) as asking:
        asking.environ_base["HTTP_COOKIE"] = header["Cookie"]
        asking.environ_base["HTTP_X_CSRF_TOKEN"] = tokens.form_word(header["Cookie"].split("=")[1])
        yield asking
    db.close(app)


def state_of(box: Box, number: int) -> State:
    return jobs.must(box.ledger, number).state


def unanswered(box: Box) -> int:
    bell = Bell(box.settings.state_dir)
    found = bell.unanswered()
    bell.close()
    return found


def test_every_page_offers_what_its_job_can_do_and_it_is_done(
    box: Box, operator: FlaskClient
) -> None:
    expected = {
        State.FAILED: [("retry", State.QUEUED)],
        State.DEAD: [("retry", State.QUEUED)],
        State.CANCELLED: [("retry", State.QUEUED)],
        State.HELD: [("release", State.QUEUED), ("cancel", State.CANCELLED)],
        State.RETRY_WAIT: [
            *(("retry", State.QUEUED), ("hold", State.HELD), ("cancel", State.CANCELLED))
        ],
        State.WAITING: [("hold", State.HELD), ("cancel", State.CANCELLED)],
        State.QUEUED: [("cancel", State.CANCELLED), ("hold", State.HELD)],
        State.DONE: [("anew", State.QUEUED), ("files", State.QUEUED)],
        State.RUNNING: [("cancel", State.RUNNING)],
        State.SOURCE_MISSING: [],
    }
    every = box.every_state()
    for state, acts in expected.items():
        number = every[state].id
        page = operator.get(f"/jobs/{number}").text
        offered = [a["value"] for tag, a in Tags(page).found if tag == "button" and "value" in a]
        assert sorted(offered, key=str) == sorted(act for act, _ in acts), state
        if acts:
            act, became = acts[0]
            assert operator.post(f"/jobs/{number}/act", data={"act": act}).status_code == 303
            assert state_of(box, number) is became, state
    assert jobs.must(box.ledger, every[State.RUNNING].id).cancel
    assert jobs.must(box.ledger, every[State.DONE].id).epoch == 2
    assert unanswered(box) == 6


def test_files_are_written_again_without_hearing_anything_again(
    box: Box, operator: FlaskClient
) -> None:
    job = box.finish(b"talk.mp3")
    operator.post(f"/jobs/{job.id}/act", data={"act": "files"})
    queued = jobs.must(box.ledger, job.id)
    assert (queued.state, queued.epoch) == (State.QUEUED, job.epoch)
    assert queued.workload == jobs.REEXPORT


def test_a_job_that_has_moved_on_is_left_alone(box: Box, operator: FlaskClient) -> None:
    job = box.finish(b"talk.mp3")
    answer = operator.post(f"/jobs/{job.id}/act", data={"act": "retry"}, follow_redirects=True)
    assert "It had moved on by itself" in answer.text
    assert state_of(box, job.id) is State.DONE
    assert operator.post(f"/jobs/{job.id}/act", data={"act": "delete"}).status_code == 400


def test_what_is_ticked_is_moved_and_the_rest_stays_as_it_is(
    box: Box, operator: FlaskClient
) -> None:
    every = box.every_state()
    wanted = [every[state].id for state in (State.FAILED, State.DEAD, State.DONE, State.RUNNING)]
    page = operator.get("/jobs?state=failed").text
    assert f'name="number" value="{wanted[0]}"' in page
    form = {"act": "retry", "number": [*wanted, 999_999], "next": "/jobs?state=failed"}
    answer = operator.post("/jobs/act", data=form, follow_redirects=True)
    assert "Put into the queue again: 2 of 5." in answer.text
    assert [state_of(box, number) for number in wanted] == [
        *(State.QUEUED, State.QUEUED, State.DONE, State.RUNNING)
    ]
    assert unanswered(box) == 2
    nothing = operator.post("/jobs/act", data={"act": "cancel"}, follow_redirects=True)
    assert "Nothing was ticked" in nothing.text


def test_nothing_is_moved_when_one_of_them_may_not_be(box: Box, operator: FlaskClient) -> None:
    ours, theirs = box.add(b"ours.mp3"), box.add(b"theirs.mp3", share="archive")
    form = {"act": "cancel", "number": [ours.id, theirs.id]}
    assert operator.post("/jobs/act", data=form).status_code == 403
    assert state_of(box, ours.id) is State.QUEUED
    assert operator.post(f"/jobs/{theirs.id}/act", data={"act": "cancel"}).status_code == 403
    assert 'name="act"' not in operator.get(f"/jobs/{theirs.id}").text


def test_a_form_leads_back_to_this_box_alone(box: Box, operator: FlaskClient) -> None:
    job = box.add(b"a.mp3")
    for strange in ("https://evil.example/", "//evil.example", "/\\evil"):
        form = {"act": "cancel", "number": [job.id], "next": strange}
        assert operator.post("/jobs/act", data=form).headers["Location"].startswith("/jobs?")
