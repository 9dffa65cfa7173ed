"""Shares, alerts and settings as their pages show them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance import marker
from appliance.beneath import root
from appliance.credentials import tokens
from appliance.rights import Role
from appliance.settings import load
from appliance.store import alerts, shares
from appliance.store.alerts import Alert, Phase
from tests import signed_in
from tests.web.box import Box
from web import create_app, db, media


@pytest.fixture
def app(box: Box) -> Iterator[Flask]:
    made = create_app(box.settings)
    yield made
    media.close(made)
    db.close(made)


def asking(app: Flask, box: Box, name: str, role: Role, **grants: Role) -> FlaskClient:
    """Somebody's browser, whose forms carry their word."""
    client = app.test_client(use_cookies=False)
    cookie = signed_in.cookie(box.ledger, name, role, grants)["Cookie"]
    client.environ_base["HTTP_COOKIE"] = cookie
    client.environ_base["HTTP_X_CSRF_TOKEN"] = tokens.form_word(cookie.split("=")[1])
    return client


def test_a_share_is_looked_at_by_a_child_and_what_it_finds_is_told(box: Box, app: Flask) -> None:
    olga = asking(app, box, "olga", Role.OPERATOR, meetings=Role.OPERATOR)
    folder = box.settings.share[0].root
    assert "share.offline" not in olga.get("/shares").text
    assert "does not answer" in olga.post("/shares/meetings/test").text
    os.makedirs(folder)
    with root(folder) as fd:
        shares.adopt(box.ledger, "meetings", marker=marker.write(fd), existing="process")
    assert "it is the share we know" in olga.post("/shares/meetings/test").text
    (Path(folder) / ".transcribe-id").write_text("another\n")
    assert "its marker differs" in olga.post("/shares/meetings/test").text
    assert olga.post("/shares/archive/test").status_code == 404
    assert olga.post("/shares/nothing/test").status_code == 404
    assert "archive" not in olga.get("/shares").text
    assert folder not in olga.get("/shares").text, "where it is mounted is for admins"


def test_whoever_may_only_look_at_a_share_tests_nothing(box: Box, app: Flask) -> None:
    vera = asking(app, box, "vera", Role.OPERATOR, meetings=Role.VIEWER, archive=Role.OPERATOR)
    assert vera.get("/shares").text.count("Test this share") == 1
    assert vera.post("/shares/meetings/test").status_code == 403


def test_an_admin_sees_folder_profile_and_who_may_see_it(box: Box, app: Flask) -> None:
    signed_in.account(box.ledger, "vera", Role.VIEWER, {"meetings": Role.VIEWER})
    box.add(b"a.mp3")
    page = asking(app, box, "anna", Role.ADMIN).get("/shares").text
    assert box.settings.share[0].root in page
    assert "admins, vera" in page
    assert "selftest" in page


def alert(name: str, code: str, text: str, phase: Phase) -> Alert:
    closed = 2_000 if phase is Phase.CLOSED else None
    return Alert(name, code, 2, text, "Do something.", None, phase, 1_000, 0.0, "b", 1_500, closed)


def test_alerts_of_now_and_before_and_only_of_shares_that_one_sees(box: Box, app: Flask) -> None:
    told = [
        alert("disk", "disk", "The disk <b>is</b> full.", Phase.OPEN),
        alert("share archive", "share", "The share archive is away.", Phase.OPEN),
        alert("share meetings", "share", "The share meetings was away.", Phase.CLOSED),
        alert("jobs", "jobs", "7 recordings failed today.", Phase.OPEN),
    ]
    alerts.keep(box.ledger, told)
    every = asking(app, box, "anna", Role.ADMIN).get("/alerts").text
    for one in ("The disk &lt;b&gt;is&lt;/b&gt; full.", "archive is away", "7 recordings"):
        assert one in every
    some = asking(app, box, "vera", Role.VIEWER, meetings=Role.VIEWER).get("/alerts").text
    assert "The disk" in some
    assert "meetings was away" in some
    assert "archive" not in some
    assert "7 recordings" not in some


def test_settings_say_who_says_so_and_what_is_not_in_force_yet(tmp_path: Path, box: Box) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(f"[node]\nstate_dir = '{box.settings.state_dir}'\n[worker]\ncount = 3\n")
    app = create_app(load(str(file)), file=str(file))
    admin = asking(app, box, "anna", Role.ADMIN)
    page = admin.get("/admin/settings").text
    assert "worker.count" in page
    assert str(file) in page
    assert "not in force yet" not in page
    file.write_text(file.read_text().replace("count = 3", "count = 4"))
    assert admin.get("/admin/settings").text.count("! not in force yet") == 1
    file.write_text("[worker]\ncuont = 3\n")
    assert "cuont" in admin.get("/admin/settings").text
    db.close(app)
