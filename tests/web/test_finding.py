"""What was said is found, in the shares that one sees, and plays at its second."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from appliance.rights import Role
from tests import signed_in
from tests.web.box import Box
from tests.web.test_edits import heard, said
from tests.web.test_pages import Tags
from web import create_app, db


def found(client: FlaskClient, question: str, **more: str) -> str:
    answer = client.get("/search", query_string={"q": question, **more})
    assert answer.status_code == 200
    return answer.text


def test_a_passage_that_answers_leads_to_its_second(box: Box, client: FlaskClient) -> None:
    job = heard(box, *said("Nothing of interest.", "The Café budget is <b>big</b>."))
    page = found(client, "cafe bud")
    assert f'href="/jobs/{job.id}?task=transcribe&amp;t=2.00#s1"' in page
    assert "<mark>Café</mark>" in page
    assert "<mark>bud</mark>get" in page
    assert "<b>" not in page
    assert Tags(page).isolated[0] == "talk.mp3"


@pytest.mark.parametrize(
    ("question", "marked"),
    [("予算", "予算"), ("会議の予算", "会議の予算"), ("の", "の"), ("예산", "예산")],
)
def test_scripts_without_spaces_are_found_by_any_passage(
    box: Box, client: FlaskClient, question: str, marked: str
) -> None:
    heard(box, *said("今日は会議の予算について", "오늘 예산에 대해"))
    assert f"<mark>{marked}</mark>" in found(client, question)


@pytest.mark.parametrize(
    "question", ['"', "AND", "col:x", "-x", "NEAR(", "*", "%", "\x00", "a" * 999]
)
def test_nothing_that_is_typed_is_an_operator(box: Box, client: FlaskClient, question: str) -> None:
    heard(box, *said("Good morning."))
    found(client, question)
    assert "<mark>" not in found(client, "<script>alert(1)</script>")


def test_answers_come_a_page_at_a_time(box: Box, client: FlaskClient) -> None:
    heard(box, *said(*(f"Budget point {n}." for n in range(70))))
    seen: list[str] = []
    address: str | None = "/search?q=budget"
    while address:
        page = client.get(address).text
        seen += re.findall(r"point (\d+)\.", page)
        tags = Tags(page).found
        address = next((a["href"] for _, a in tags if a.get("rel") == "next"), None)
    assert seen == [str(n) for n in range(70)]


def test_nobody_finds_what_lies_in_another_share(box: Box) -> None:
    heard(box, *said("Our budget."), name=b"ours.mp3")
    heard(box, *said("Their budget."), share="archive", name=b"theirs.mp3")
    app = create_app(box.settings)
    grants = {"meetings": Role.VIEWER}
    headers = signed_in.cookie(box.ledger, "vera", Role.VIEWER, grants)
    with app.test_client(use_cookies=False) as viewer:
        viewer.environ_base["HTTP_COOKIE"] = headers["Cookie"]
        page = found(viewer, "budget")
        assert ("ours.mp3" in page, "theirs.mp3" in page) == (True, False)
        assert "Nobody said that" in found(viewer, "budget", share="archive")
        assert "theirs" not in found(viewer, "their")
    db.close(app)
