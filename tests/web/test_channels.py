"""Channels are made and changed; an address and a secret are never told again."""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance import choices
from appliance.choices import kept
from appliance.credentials import tokens
from appliance.errors import LedgerDamaged
from appliance.notify import post
from appliance.rights import Right
from appliance.settings import Channel
from appliance.store import audit, outbox
from tests import signed_in
from tests.notify.receivers import LOOPBACK, web
from tests.web.box import Box, settings_of
from tests.web.test_moves import asked
from web import create_app, db

PATH, TOKEN = "a-path-nobody-knows", "a-token-nobody-knows"
DESK = {"name": "desk", "kind": "webhook", "url": f"https://desk.example/{PATH}", "secret": TOKEN}
OF_FILES = {
    "name": "phone",
    "kind": "ntfy",
    "url": "https://ntfy.example/a-topic-nobody-knows",
    "secret": "ntfy-token",
}
API = "/api/v1"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Box]:
    """A box with a channel in its files, which may send to this machine."""
    notify = {"channel": [OF_FILES], "allow": [LOOPBACK, "desk.example", "ntfy.example"]}
    box = Box.made(settings_of(str(tmp_path), notify=notify))
    yield box
    box.ledger.close()


@pytest.fixture
def key(site: Box) -> Iterator[FlaskClient]:
    """A program that may do everything."""
    app = create_app(site.settings, clock=itertools.count().__next__)
    with app.test_client(use_cookies=False) as client:
        header = signed_in.key(site.ledger, *Right)["Authorization"]
        client.environ_base["HTTP_AUTHORIZATION"] = header
        yield client
    db.close(app)


@pytest.fixture
def admin(site: Box) -> Iterator[FlaskClient]:
    """An admin whose forms carry their word."""
    app = create_app(site.settings, clock=itertools.count().__next__)
    header = signed_in.cookie(site.ledger)["Cookie"]
    with app.test_client(use_cookies=False) as client:
        client.environ_base["HTTP_COOKIE"] = header
        client.environ_base["HTTP_X_CSRF_TOKEN"] = tokens.form_word(header.split("=")[1])
        yield client
    db.close(app)


def tag_of(client: FlaskClient, name: str) -> dict[str, str]:
    return {"If-Match": client.get(f"{API}/notifications/{name}").headers["ETag"]}


def changed(client: FlaskClient, name: str, status: int = 200, **body: object) -> Any:
    header = tag_of(client, name)
    return asked(client, "PATCH", f"/notifications/{name}", status, json=body, headers=header)


def in_force(box: Box, name: str) -> Channel | None:
    now = choices.in_force(box.ledger, box.settings).notify.channel
    return next((one for one in now if one.name == name), None)


def files_of(box: Box) -> list[str]:
    folder = box.settings.state(kept.FOLDER)
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


# --- programs -----------------------------------------------------------------------------------


def test_a_channel_is_made_changed_and_removed(site: Box, key: FlaskClient) -> None:
    made = asked(key, "POST", "/notifications", 201, json=DESK)
    assert (made["place"], made["has_secret"]) == ("https://desk.example/…", True)
    assert (made["said_by"], made["in_files"], made["alerts"]) == ("page", False, True)
    asked(key, "POST", "/notifications", 409, json=DESK)
    now = changed(key, "desk", jobs="failed", shares=["meetings"], alerts=False)
    assert (now["jobs"], now["shares"], now["alerts"]) == ("failed", ["meetings"], False)
    desk = in_force(site, "desk")
    assert desk is not None
    assert desk.url == DESK["url"]
    assert Path(desk.secret).read_text() == f"{TOKEN}\n"
    assert stat.S_IMODE(os.stat(desk.secret).st_mode) & 0o007 == 0
    assert len(files_of(site)) == 2, "what it was before is gone"
    page = asked(key, "DELETE", "/notifications/desk", headers=tag_of(key, "desk"))
    assert [one["name"] for one in page["channels"]] == ["phone"]
    assert (in_force(site, "desk"), files_of(site)) == (None, [])
    did = [one.did for one in audit.page(site.ledger) if one.did.startswith("channel")]
    assert did == ["channel-removed", "channel-changed", "channel-changed"]


def test_an_address_and_a_secret_are_nowhere_to_be_read(
    site: Box, key: FlaskClient, admin: FlaskClient, tmp_path: Path
) -> None:
    asked(key, "POST", "/notifications", 201, json=DESK)
    changed(key, "desk", jobs="all")
    told = [
        key.get(f"{API}{address}").text
        for address in ("/notifications", "/notifications/desk", "/webhooks", "/settings", "/audit")
    ]
    told += [
        admin.get(f"/admin/{page}").text
        for page in ("channels", "channels/desk", "channels/phone", "settings", "audit")
    ]
    site.ledger.copy_into(str(tmp_path / "backup"))  # what every backup is made by
    told.append((tmp_path / "backup").read_bytes().decode("latin-1"))
    assert "desk.example" in told[-1]
    for secret in (PATH, TOKEN, "a-topic-nobody-knows"):
        assert not [one[:80] for one in told if secret in one], secret


def test_a_secret_goes_to_no_other_place_than_it_was_given_for(site: Box, key: FlaskClient) -> None:
    asked(key, "POST", "/notifications", 201, json=DESK)
    for url in ("https://else.example/in", "http://desk.example/in", "https://desk.example:8443/"):
        assert "secret" in changed(key, "desk", 422, url=url)["detail"]
    assert "secret" in changed(key, "phone", 422, url="https://else.example/topic")["detail"]
    changed(key, "desk", url="https://desk.example/other")
    other = "another-key"
    changed(key, "desk", url="https://else.example/in", secret=other)
    desk = in_force(site, "desk")
    assert desk is not None
    assert Path(desk.secret).read_text() == f"{other}\n"


def test_a_channel_of_the_files_is_stood_over_and_taken_back(site: Box, key: FlaskClient) -> None:
    assert asked(key, "GET", "/notifications/phone")["said_by"] == "files"
    now = changed(key, "phone", alerts=False)
    assert (now["said_by"], now["in_files"], now["has_secret"]) == ("page", True, True)
    phone = in_force(site, "phone")
    assert phone is not None
    assert (phone.alerts, phone.url, phone.secret) == (False, OF_FILES["url"], "ntfy-token")
    assert site.settings.notify.channel[0].alerts
    changed(key, "phone", secret="")
    assert asked(key, "GET", "/notifications/phone")["has_secret"] is False
    asked(key, "DELETE", "/notifications/phone", headers=tag_of(key, "phone"))
    assert in_force(site, "phone") == site.settings.notify.channel[0]
    header = tag_of(key, "phone")
    told = asked(key, "DELETE", "/notifications/phone", 409, headers=header)
    assert told["code"] == "policy.choice-of-files"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"url": "ftp://desk.example/x"}, "url"),
        ({"url": "https://user:word@desk.example/x"}, "url"),
        ({"secret": ""}, "secret"),
        ({"secret": "two\nlines"}, "secret"),
        ({"shares": ["nowhere"]}, "shares"),
        ({"kind": "email"}, "to"),
        ({"kind": "pigeon"}, "kind"),
        ({"name": "../x"}, "name"),
        ({"token": "x"}, "token"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(
    site: Box, key: FlaskClient, body: dict[str, object], where: str
) -> None:
    answer = key.post(f"{API}/notifications", json={**DESK, **body})
    assert answer.status_code == 422
    assert answer.json is not None
    assert where in answer.json["detail"]
    assert TOKEN not in answer.text
    assert (in_force(site, "desk"), files_of(site)) == (None, [])


def test_a_change_says_what_it_was_made_on(key: FlaskClient) -> None:
    asked(key, "PATCH", "/notifications/phone", 428, json={"alerts": False})
    asked(key, "DELETE", "/notifications/phone", 428)
    stale = {"If-Match": '"old"'}
    asked(key, "PATCH", "/notifications/phone", 412, json={"alerts": False}, headers=stale)
    asked(key, "DELETE", "/notifications/phone", 412, headers=stale)


def test_a_test_goes_over_a_channel_that_was_made_while_the_messenger_ran(
    site: Box, key: FlaskClient
) -> None:
    stop = threading.Event()
    with web() as receiver:
        sending = threading.Thread(target=post.carry, args=(site.ledger, site.settings, stop))
        sending.start()
        try:
            url = f"http://{LOOPBACK}:{receiver.port}/{PATH}"
            asked(key, "POST", "/notifications", 201, json={**DESK, "url": url})
            asked(key, "POST", "/notifications/desk/test", 202)
            until(lambda: len(receiver.heard) == 1)
            assert receiver.heard[0].path == f"/{PATH}"
            assert json.loads(receiver.heard[0].body)["kind"] == "test"
            changed(key, "desk", url=url.replace(PATH, "moved"))
            asked(key, "POST", "/notifications/desk/test", 202)
            until(lambda: len(receiver.heard) == 2)
            assert receiver.heard[1].path == "/moved"
        finally:
            stop.set()
            sending.join()


def until(claim: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_box_without_the_file_asks_for_the_address_again(
    site: Box, key: FlaskClient, admin: FlaskClient
) -> None:
    asked(key, "POST", "/notifications", 201, json=DESK)
    asked(key, "POST", "/notifications/desk/test", 202)
    kept.forget(site.settings, ())
    app = create_app(site.settings)  # it begins with a backup, on another disk
    header = {"Authorization": key.environ_base["HTTP_AUTHORIZATION"]}
    lost = asked(app.test_client(), "GET", "/notifications/desk", headers=header)
    assert (lost["place"], lost["has_secret"]) == ("https://desk.example/…", True)
    assert "again" in lost["trouble"]
    again = app.test_client()
    again.environ_base["HTTP_AUTHORIZATION"] = header["Authorization"]
    assert "url" in changed(again, "desk", 422, alerts=False)["detail"]
    back = changed(again, "desk", url=DESK["url"], secret=TOKEN)
    assert back["trouble"] is None
    db.close(app)
    assert admin.get("/admin/channels/desk").status_code == 200


# --- forms --------------------------------------------------------------------------------------

FORM = {"kind": "webhook", "jobs": "failed", "shares": ["meetings"], "user": "", "to": ""}


def test_a_channel_is_made_tested_changed_and_removed_by_forms(
    site: Box, admin: FlaskClient
) -> None:
    new = {**FORM, "name": "desk", "url": DESK["url"], "secret": TOKEN, "alerts": "on"}
    assert admin.post("/admin/channels", data=new).status_code == 303
    page = admin.get("/admin/channels/desk")
    assert "https://desk.example/…" in page.text
    tested = admin.post("/admin/channels/desk/test")
    assert tested.status_code == 303
    assert [one.body["kind"] for one in outbox.due(site.ledger, "desk")] == ["test"]
    form = {**FORM, "on": on(page.text), "url": "", "secret": "", "names": "on"}
    assert admin.post("/admin/channels/desk", data=form).status_code == 303
    desk = in_force(site, "desk")
    assert desk is not None
    assert (desk.url, desk.alerts, desk.names) == (DESK["url"], False, True)
    assert Path(desk.secret).read_text() == f"{TOKEN}\n"
    assert admin.post("/admin/channels/desk", data=form).status_code == 412
    gone = {"on": on(admin.get("/admin/channels/desk").text)}
    assert admin.post("/admin/channels/desk/back", data=gone).status_code == 303
    assert in_force(site, "desk") is None


def test_what_was_typed_stays_in_a_form_that_is_refused_but_for_the_secret(
    admin: FlaskClient,
) -> None:
    new = {**FORM, "name": "desk", "kind": "email", "url": DESK["url"], "secret": TOKEN}
    refused = admin.post("/admin/channels", data={**new, "to": "a@b.example"})
    assert refused.status_code == 422
    assert "a@b.example" in refused.text
    assert TOKEN not in refused.text
    assert PATH not in refused.text


def on(page: str) -> str:
    found = re.search(r'name="on" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


def test_a_messenger_whose_ledger_is_gone_ends(site: Box) -> None:
    os.rename(site.settings.state("ledger.db"), site.settings.state("away.db"))
    with pytest.raises(LedgerDamaged):
        post.carry(site.ledger, site.settings, threading.Event())
