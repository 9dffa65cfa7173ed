"""The rest of the API: finding, shares, settings, whom the box tells, people, keys, audit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance.accounts import sessions
from appliance.rights import Right, Role
from appliance.store import accounts, audit, marks, outbox, shares
from tests import signed_in
from tests.web.box import HOSTILE, Box, settings_of
from tests.web.test_moves import asked
from web import create_app, db

HOOK = {
    "name": "desk",
    "kind": "webhook",
    "url": "https://desk.example/hook?token=hidden",
    "secret": "/etc/appliance/hook.key",
}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[Box, FlaskClient]]:
    """A box with a webhook, and a program that may do everything."""
    box = Box.made(settings_of(str(tmp_path), notify={"channel": [HOOK]}))
    app = create_app(box.settings, clock=itertools.count().__next__)
    with app.test_client(use_cookies=False) as client:
        header = signed_in.key(box.ledger, *Right)["Authorization"]
        client.environ_base["HTTP_AUTHORIZATION"] = header
        yield box, client
    db.close(app)
    box.ledger.close()


# --- finding ------------------------------------------------------------------------------------


def test_what_was_said_is_found_page_by_page(box: Box, program: FlaskClient) -> None:
    for name in (b"a.wav", HOSTILE[1], b"c.wav"):
        box.finish(name)
    found, cursor = [], ""
    while True:
        page = asked(program, "GET", f"/search?q=morning&limit=2&cursor={cursor}")
        found += page["hits"]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert [hit["job"] for hit in found] == [3, 2, 1]
    assert page["whole"]
    assert asked(program, "GET", "/search?q=nobody")["hits"] == []
    asked(program, "GET", "/search", 422)


def test_nothing_is_found_in_another_share(box: Box) -> None:
    box.finish(b"ours.wav")
    box.finish(b"theirs.wav", share="archive")
    app = create_app(box.settings)
    client = app.test_client(use_cookies=False)
    key = signed_in.key(box.ledger, Right.READ, shares=["meetings"])
    for query, jobs in (("", [1]), ("&share=archive", []), ("&share=meetings", [1])):
        hits = asked(client, "GET", f"/search?q=morning{query}", headers=key)["hits"]
        assert [hit["job"] for hit in hits] == jobs
    db.close(app)


def test_a_tag_is_renamed_and_dropped_where_one_may(box: Box, program: FlaskClient) -> None:
    ours, theirs = box.add(b"a.wav"), box.add(b"b.wav", share="archive")
    for job in (ours, theirs):
        marks.tag(box.ledger, job, ["board", "old"])
    key = signed_in.key(box.ledger, Right.OPERATE, Right.READ, shares=["meetings"])
    anonymous = program.application.test_client(use_cookies=False)
    page = asked(anonymous, "PATCH", "/tags/old", json={"name": "board"}, headers=key)
    assert page["tags"] == [{"name": "board", "jobs": 1}]
    assert marks.of_job(box.ledger, theirs.id) == ["board", "old"]
    asked(anonymous, "DELETE", "/tags/old", 404, headers=key)
    assert asked(program, "DELETE", "/tags/old")["tags"] == [{"name": "board", "jobs": 2}]
    asked(program, "PATCH", "/tags/old", 404, json={"name": "x"})


# --- the site -----------------------------------------------------------------------------------


def test_a_scan_is_asked_for_by_those_who_operate_there(box: Box, program: FlaskClient) -> None:
    told = asked(program, "POST", "/shares/meetings/rescan", 202)
    assert told["rescan_asked_at"]
    assert shares.get(box.ledger, "meetings").rescan_ms
    assert shares.get(box.ledger, "archive").rescan_ms is None
    asked(program, "POST", "/shares/nowhere/rescan", 404)
    anonymous = program.application.test_client(use_cookies=False)
    reader = signed_in.key(box.ledger, Right.READ, Right.OPERATE, shares=["archive"])
    asked(anonymous, "POST", "/shares/meetings/rescan", 404, headers=reader)
    seen = asked(anonymous, "GET", "/shares", headers=reader)["shares"]
    assert [(one["name"], one["root"]) for one in seen] == [("archive", None)]
    assert shares.get(box.ledger, "archive").rescan_ms is None


def test_what_the_box_is_made_of_is_told(box: Box, program: FlaskClient) -> None:
    assert [one["name"] for one in asked(program, "GET", "/profiles")["profiles"]] == ["default"]
    assert asked(program, "GET", "/vocabularies")["vocabularies"][0]["words"] == []
    (model,) = asked(program, "GET", "/models")["models"]
    assert (model["name"], model["damaged"]) == ("selftest", None)
    there = asked(program, "GET", "/capabilities")
    assert {"auto", "several", "de"} <= set(there["languages"])
    assert set(there["formats"]) == {"txt", "srt", "vtt", "json", "docx", "md"}
    settings = asked(program, "GET", "/settings")["settings"]
    assert settings["share"][0]["root"] == box.settings.share[0].root
    system = asked(program, "GET", "/system")
    assert {one["check"] for one in system["checks"]} >= {"disk", "ledger"}
    assert system["disks"][0]["total"] > 0


# --- whom it tells ------------------------------------------------------------------------------


def test_a_test_is_a_letter_for_the_one_who_may_send(told: tuple[Box, FlaskClient]) -> None:
    box, client = told
    (posted,) = asked(client, "POST", "/notifications/desk/test", 202)["deliveries"]
    assert (posted["kind"], posted["state"]) == ("test", outbox.WAITING)
    (letter,) = outbox.due(box.ledger, "desk")
    assert letter.id == posted["id"]
    asked(client, "POST", "/notifications/nobody/test", 404)


def test_a_message_is_sent_once_more_under_its_own_id(told: tuple[Box, FlaskClient]) -> None:
    box, client = told
    asked(client, "POST", "/notifications/desk/test", 202)
    (letter,) = outbox.due(box.ledger, "desk")
    address = f"/notifications/desk/deliveries/{letter.id}/redeliver"
    asked(client, "POST", address, 404)  # it still waits
    outbox.failed(box.ledger, letter, "410 Gone", again=None, rest=(9, 1.0))
    (row,) = asked(client, "GET", "/notifications/desk/deliveries")["deliveries"]
    assert (row["state"], row["why"]) == (outbox.GIVEN_UP, "410 Gone")
    asked(client, "POST", address, 202)
    assert [one.id for one in outbox.due(box.ledger, "desk")] == [letter.id]


def test_a_channel_tells_its_host_and_no_secret(told: tuple[Box, FlaskClient]) -> None:
    _box, client = told
    page = client.get("/api/v1/webhooks")
    assert page.json is not None
    assert [one["host"] for one in page.json["channels"]] == ["desk.example"]
    assert "hidden" not in page.text
    assert asked(client, "GET", "/alerts")["alerts"] == []


# --- people -------------------------------------------------------------------------------------


def test_somebody_is_added_changed_and_removed(box: Box, program: FlaskClient) -> None:
    body = {"name": "ben", "role": "operator", "grants": {"meetings": "operator"}}
    made = asked(program, "POST", "/users", 201, json=body)
    assert len(made["password"]) >= 12
    number = made["user"]["id"]
    asked(program, "POST", "/users", 409, json=body)
    asked(program, "PATCH", f"/users/{number}", json={"grants": {"*": "viewer"}})
    ben = accounts.get(box.ledger, number)
    assert ben is not None
    assert (ben.role, dict(ben.grants)) == (Role.OPERATOR, {"*": Role.VIEWER})
    assert asked(program, "POST", f"/users/{number}/password")["password"] != made["password"]
    asked(program, "PATCH", f"/users/{number}", 422, json={"grants": {"nowhere": "viewer"}})
    asked(program, "PATCH", f"/users/{number}", 422, json={"grants": {"meetings": "admin"}})
    asked(program, "DELETE", f"/users/{number}")
    assert accounts.get(box.ledger, number) is None
    deeds = [one.did for one in audit.page(box.ledger)]
    assert len(deeds) >= 4


def test_a_key_is_made_rotated_and_revoked_and_never_told_again(
    box: Box, program: FlaskClient
) -> None:
    body = {"purpose": "a report", "scopes": ["read"], "shares": ["meetings"], "days": 1}
    answer = program.post("/api/v1/keys", json=body)
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.json is not None
    text = answer.json["key"]
    other = program.application.test_client(use_cookies=False)
    header = {"Authorization": f"Bearer {text}"}
    assert asked(other, "GET", "/shares", headers=header)["shares"][0]["name"] == "meetings"
    name = text.split("_")[1]
    newer = asked(program, "POST", f"/keys/{name}/rotate", 201)["key"]
    asked(program, "DELETE", f"/keys/{name}")
    asked(other, "GET", "/shares", 401, headers=header)
    asked(other, "GET", "/shares", headers={"Authorization": f"Bearer {newer}"})
    listed = program.get("/api/v1/keys").text
    assert text not in listed
    assert newer not in listed
    assert box.settings.share[0].root not in listed
    asked(program, "POST", "/keys", 422, json={**body, "shares": ["nowhere"]})
    asked(program, "DELETE", "/keys/nobody", 404)


def test_a_person_gives_the_password_again_before_people_and_keys(
    box: Box, program: FlaskClient
) -> None:
    cookie = signed_in.cookie(box.ledger, "anna", Role.ADMIN)
    browser = program.application.test_client(use_cookies=False)
    assert asked(browser, "GET", "/users", headers=cookie)["users"]
    with box.ledger.writing() as ledger:
        ledger.execute("UPDATE session SET proven_ms = proven_ms - 3600000")
    refused = asked(browser, "GET", "/users", 403, headers=cookie)
    assert refused["code"] == "access.confirm-needed"
    asked(browser, "GET", "/settings", headers=cookie)


def test_sessions_are_listed_and_ended(box: Box, program: FlaskClient) -> None:
    secret = signed_in.secret(box.ledger, signed_in.account(box.ledger, "ben"))
    (row,) = asked(program, "GET", "/sessions")["sessions"]
    assert row["user"] == "ben"
    assert asked(program, "DELETE", f"/sessions/{row['id']}")["sessions"] == []
    assert sessions.whose(box.ledger, secret) is None


def test_deeds_come_page_by_page(box: Box, program: FlaskClient) -> None:
    for number in range(5):
        signed_in.account(box.ledger, f"somebody{number}")
    seen: list[dict[str, Any]] = []
    before: int | None = 1 << 62
    while before is not None:
        page = asked(program, "GET", f"/audit?limit=2&before={before}")
        seen += page["entries"]
        before = page["next_before"]
    numbers = [one["n"] for one in seen]
    assert numbers == list(range(len(numbers), 0, -1))
    assert len(numbers) >= 6
