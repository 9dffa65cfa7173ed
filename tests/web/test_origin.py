"""Nothing is changed by a form that another site sent, nor by one of an older session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from appliance.credentials import tokens
from appliance.rights import Right
from tests import signed_in
from tests.web.box import Box
from web import create_app, db
from web.access.origin import is_ours
from web.access.policy import OPERATE, POLICIES

OUT = "/account/sessions/end"  # something that anybody signed in may change


@pytest.fixture
def asking(box: Box) -> Iterator[FlaskClient]:
    """A browser that knows no word yet; it sends its cookie."""
    app = create_app(box.settings)
    with signed_in.client(app, box.ledger) as client:
        yield client
    db.close(app)


def word(client: FlaskClient) -> str:
    return tokens.form_word(client.environ_base["HTTP_COOKIE"].partition("=")[2])


def test_a_form_without_its_word_changes_nothing(box: Box, asking: FlaskClient) -> None:
    other = signed_in.secret(box.ledger, signed_in.account(box.ledger))
    for sent in ({}, {"csrf": ""}, {"csrf": tokens.form_word(other)}, {"csrf": word(asking) + "0"}):
        answer = asking.post(OUT, data=sent)
        assert answer.status_code == 422
        assert "does not belong to your session" in answer.text
    assert asking.post(OUT, data={"csrf": word(asking)}).status_code == 303


def test_a_script_of_ours_sends_the_word_in_a_header(asking: FlaskClient) -> None:
    assert asking.post(OUT, headers={"X-CSRF-Token": word(asking)}).status_code == 303
    assert asking.post(OUT, headers={"X-CSRF-Token": "x"}).status_code == 422


def test_every_page_holds_the_word_for_scripts_and_nobody_else_gets_one(
    box: Box, asking: FlaskClient
) -> None:
    assert f'<meta name="csrf-token" content="{word(asking)}">' in asking.get("/jobs").text
    with asking.application.test_client() as stranger:
        assert "csrf-token" not in stranger.get("/login").text
    assert box


def test_another_site_changes_nothing_even_with_the_word(asking: FlaskClient) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = asking.post(OUT, data={"csrf": word(asking)}, headers=headers)
        assert answer.status_code == 422, headers
    cross = {"Sec-Fetch-Site": "cross-site", "X-CSRF-Token": word(asking)}
    assert asking.post(OUT, headers=cross).status_code == 403


def test_our_own_pages_do(asking: FlaskClient) -> None:
    for headers in (
        {},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost:80", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"},
        {"Origin": "http://[::1]:8080", "Host": "[::1]:8080"},
    ):
        answer = asking.post(OUT, data={"csrf": word(asking)}, headers=headers)
        assert answer.status_code == 303, headers


def test_nobody_is_signed_in_by_another_site(asking: FlaskClient) -> None:
    with asking.application.test_client() as stranger:
        sent = {"name": "eve", "password": "x"}
        answer = stranger.post("/login", data=sent, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 422
        assert stranger.post("/login", data=sent).status_code == 403  # judged, and wrong


def test_a_key_needs_no_word_and_a_person_does(
    box: Box, asking: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POLICIES, "move", OPERATE)
    asking.application.add_url_rule("/move", "move", lambda: "moved", methods=["POST"])
    program = asking.application.test_client()
    key = signed_in.key(box.ledger, Right.OPERATE)
    assert program.post("/move", headers=key).text == "moved"
    assert asking.post("/move").status_code == 422
    assert asking.post("/move", headers={"X-CSRF-Token": word(asking)}).text == "moved"
    assert asking.post("/move", headers=key | {"Origin": "https://x.example"}).text == "moved"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example"])
def test_a_name_that_was_pointed_at_this_box_gets_nothing_with_a_cookie_either(
    asking: FlaskClient, host: str
) -> None:
    headers = {"Host": host, "Origin": f"http://{host}", "X-CSRF-Token": word(asking)}
    assert asking.post(OUT, headers=headers).status_code == 400
    assert asking.get("/", headers=headers).status_code == 400


@pytest.mark.parametrize("path", ["/", "/jobs?state=done", "/jobs/7"])
def test_an_address_of_ours_is_told_from_others(path: str) -> None:
    assert is_ours(path)
    for other in (f"/{path}", f"http:/{path}", f"\\{path}", f"/\\{path}", "", f"/\n{path}"):
        assert not is_ours(other), other
