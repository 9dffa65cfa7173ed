"""What protects the reader: headers on every answer, and whom the box answers at all."""

from __future__ import annotations

import socket

import pytest
from flask.testing import FlaskClient

from appliance.errors import SettingsInvalid
from appliance.settings import Settings
from tests import signed_in
from tests.web.box import Box
from web import create_app, db
from web.serve import refuse_strangers

EVERY = ("/", "/jobs", "/help", "/nothing", "/api/v1/status", "/api/v1/nothing", "/healthz")


@pytest.mark.parametrize("address", [*EVERY, "/readyz", "/static/page.css"])
def test_every_answer_carries_the_headers(client: FlaskClient, address: str) -> None:
    with client.get(address) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    for rule in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "microphone=()" in headers["Permissions-Policy"]
    assert "Set-Cookie" not in headers
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:8080"],
)
def test_the_box_answers_to_its_own_names(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_the_box_answers_to_its_hostname(client: FlaskClient) -> None:
    assert client.get("/", headers={"Host": f"{socket.gethostname()}:80"}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8080",
        "[::2]",
        "[",
        "",
        "@",
    ],
)
@pytest.mark.parametrize(
    "address", ["/", "/api/v1/jobs", "/static/page.js", "/healthz", "/nothing"]
)
def test_a_strange_name_gets_nothing(client: FlaskClient, host: str, address: str) -> None:
    answer = client.get(address, headers={"Host": host})
    assert answer.status_code == 400
    assert "does not answer to that name" in answer.text
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.168.1.20", 200),
        ("[fd00::20]", 200),
        ("evil.example", 400),
        ("1.2.3.4.evil.example", 400),
    ],
)
def test_behind_a_web_server_it_answers_to_every_address_and_to_no_strange_name(
    box: Box, host: str, status: int
) -> None:
    web = box.settings.web.model_copy(update={"listen": "/run/appliance/web.sock"})
    app = create_app(box.settings.model_copy(update={"web": web}))
    with signed_in.client(app, box.ledger) as asking:
        assert asking.get("/", headers={"Host": host}).status_code == status
    db.close(app)


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "192.168.1.5:80", "[::]:8080", "box.local:80"])
def test_no_password_crosses_the_network_in_the_clear(listen: str) -> None:
    with pytest.raises(SettingsInvalid, match="other machines"):
        refuse_strangers(Settings.model_validate({"web": {"listen": listen}}))


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:8080", "127.8.8.8:1", "[::1]:8080", "localhost:80", "/run/a/web.sock"]
)
def test_this_machine_may_listen(listen: str) -> None:
    refuse_strangers(Settings.model_validate({"web": {"listen": listen}}))


OTHER_SITE = {"Sec-Fetch-Site": "cross-site"}
FOLLOWED = {**OTHER_SITE, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("address", ["/", "/jobs", "/readyz", "/api/v1/status"])
def test_a_page_of_another_site_gets_nothing(client: FlaskClient, address: str) -> None:
    assert client.get(address, headers=OTHER_SITE).status_code == 403
    framed = {**FOLLOWED, "Sec-Fetch-Dest": "iframe"}
    assert client.get(address, headers=framed).status_code == 403
    for site in ("same-origin", "none"):
        assert client.get(address, headers={"Sec-Fetch-Site": site}).status_code in (200, 503)


def test_a_link_that_somebody_follows_leads_to_a_page_and_to_nothing_else(
    client: FlaskClient,
) -> None:
    assert client.get("/jobs", headers=FOLLOWED).status_code == 200
    assert client.get("/readyz", headers=FOLLOWED).status_code == 403
    assert client.get("/api/v1/status", headers=FOLLOWED).status_code == 403


def test_a_link_in_a_message_leads_whom_it_finds_signed_out_to_the_way_in(box: Box) -> None:
    """A browser says where a request began, also of the page that it was sent on to."""
    app = create_app(box.settings)
    with app.test_client(use_cookies=False) as asking:
        signed_in.account(box.ledger)
        sent_on = asking.get("/jobs", headers=FOLLOWED)
        assert sent_on.status_code == 303
        assert asking.get(sent_on.headers["Location"], headers=FOLLOWED).status_code == 200
    db.close(app)


def test_it_answers_to_the_names_that_people_are_told(box: Box) -> None:
    web = box.settings.web.model_copy(update={"names": ("Box.office.lan",)})
    notify = box.settings.notify.model_copy(update={"page": "https://texts.example.org:8443/x"})
    app = create_app(box.settings.model_copy(update={"web": web, "notify": notify}))
    with signed_in.client(app, box.ledger) as asking:
        for host in ("box.office.lan", "texts.example.org"):
            assert asking.get("/", headers={"Host": host}).status_code == 200
        assert asking.get("/", headers={"Host": "other.office.lan"}).status_code == 400
    db.close(app)
