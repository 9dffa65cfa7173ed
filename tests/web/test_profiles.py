"""Profiles and vocabularies: changed by programs and by plain forms, over what the files say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from appliance import choices
from appliance.credentials import tokens
from appliance.rights import Right
from appliance.store import audit, jobs
from appliance.store.jobs import Job
from tests import signed_in
from tests.web.box import Box, settings_of
from tests.web.test_moves import asked
from web import create_app, db

PROFILES = {"german": {"language": "de", "vocabulary": ["Wagner"]}}
API = "/api/v1"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Box]:
    """A box with a profile in its files."""
    box = Box.made(settings_of(str(tmp_path), profile=PROFILES))
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


def tag_of(client: FlaskClient, address: str) -> dict[str, str]:
    """The header that names what a change is made on."""
    return {"If-Match": client.get(f"{API}{address}").headers["ETag"]}


def deeds(box: Box) -> list[tuple[str, str]]:
    return [(one.did, one.about) for one in audit.page(box.ledger) if "key-" not in one.did]


# --- programs -----------------------------------------------------------------------------------


def test_a_profile_is_made_changed_and_taken_back(site: Box, key: FlaskClient) -> None:
    made = asked(key, "POST", "/profiles", 201, json={"name": "interviews", "language": "fr"})
    assert (made["model"], made["language"], made["said_by"]) == ("selftest", "fr", "page")
    assert (made["in_files"], made["changed_by"][:4]) == (False, "key:")
    header = tag_of(key, "/profiles/german")
    change = {"beam": 2, "formats": ["srt", "srt"]}
    now = asked(key, "PATCH", "/profiles/german", json=change, headers=header)
    assert (now["language"], now["beam"], now["formats"]) == ("de", 2, ["srt"])
    assert (now["said_by"], now["in_files"]) == ("page", True)
    assert asked(key, "GET", "/vocabularies/german")["words"] == ["Wagner"]
    asked(
        key,
        "PATCH",
        "/profiles/german",
        json={"language": None},
        headers=tag_of(key, "/profiles/german"),
    )
    assert asked(key, "GET", "/profiles/german")["language"] is None
    for name in ("german", "interviews"):
        page = asked(key, "DELETE", f"/profiles/{name}", headers=tag_of(key, f"/profiles/{name}"))
    said = {one["name"]: (one["said_by"], one["language"]) for one in page["profiles"]}
    assert said == {"default": ("built-in", None), "german": ("files", "de")}
    assert deeds(site)[0] == ("profile-removed", "profile:interviews")
    assert ("profile-changed", "profile:german") in deeds(site)


def test_a_vocabulary_is_replaced_and_taken_back(key: FlaskClient) -> None:
    body = {"words": ["Nowak", "Öhringen"], "replacements": {"open eye": "OpenAI"}}
    header = tag_of(key, "/vocabularies/german")
    now = asked(key, "PUT", "/vocabularies/german", json=body, headers=header)
    assert (now["words"], now["replacements"]) == (body["words"], body["replacements"])
    assert asked(key, "GET", "/profiles/german")["said_by"] == "files"
    back = asked(key, "DELETE", "/vocabularies/german", headers=tag_of(key, "/vocabularies/german"))
    assert (back["words"], back["said_by"]) == (["Wagner"], "files")
    header = tag_of(key, "/vocabularies/german")
    assert asked(key, "DELETE", "/vocabularies/german", 409, headers=header)["code"] == (
        "policy.choice-of-files"
    )


def test_a_change_says_what_it_was_made_on(site: Box, key: FlaskClient) -> None:
    for method, address, body in (
        ("PATCH", "/profiles/german", {"beam": 2}),
        ("DELETE", "/profiles/german", None),
        ("PUT", "/vocabularies/german", {"words": []}),
        ("DELETE", "/vocabularies/german", None),
    ):
        unread = asked(key, method, address, 428, json=body)
        assert unread["code"] == "policy.choice-unread"
        stale = asked(key, method, address, 412, json=body, headers={"If-Match": '"old"'})
        assert stale["code"] == "policy.choice-stale"
    first = tag_of(key, "/profiles/german")
    asked(key, "PATCH", "/profiles/german", json={"beam": 2}, headers=first)
    asked(key, "PATCH", "/profiles/german", 412, json={"beam": 3}, headers=first)
    assert choices.in_force(site.ledger, site.settings).profile["german"].beam == 2


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"model": "large-v9"}, "model"),
        ({"language": "klingon"}, "language"),
        ({"subtitle_rules": "tiny"}, "subtitle_rules"),
        ({"beam": 99}, "beam"),
        ({"formats": ["exe"]}, "formats"),
        ({"job_memory_mb": 4096}, "job_memory_mb"),
        ({"telepathy": True}, "telepathy"),
        ({"vocabulary": ["a"]}, "vocabulary"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(
    site: Box, key: FlaskClient, body: dict[str, object], where: str
) -> None:
    told = asked(key, "POST", "/profiles", 422, json={"name": "new", **body})
    assert where in told["detail"]
    header = tag_of(key, "/profiles/german")
    assert (
        where in asked(key, "PATCH", "/profiles/german", 422, json=body, headers=header)["detail"]
    )
    assert deeds(site) == []


def test_a_vocabulary_that_is_too_long_is_refused(site: Box, key: FlaskClient) -> None:
    header = tag_of(key, "/vocabularies/german")
    for body, where in (
        ({"words": ["word"] * 201}, "words"),
        ({"words": ["w" * 101]}, "words.0"),
        ({"replacements": {str(n): "x" for n in range(501)}}, "replacements"),
    ):
        told = asked(key, "PUT", "/vocabularies/german", 422, json=body, headers=header)
        assert where in told["detail"]
    assert deeds(site) == []


def test_a_name_that_is_taken_or_unfit_is_refused(key: FlaskClient) -> None:
    for name in ("german", "default"):
        assert asked(key, "POST", "/profiles", 409, json={"name": name})["code"] == (
            "policy.choice-taken"
        )
    for name in ("", "../x", "Two Words", "x" * 64):
        assert "name" in asked(key, "POST", "/profiles", 422, json={"name": name})["detail"]
    asked(key, "GET", "/profiles/nowhere", 404)
    asked(key, "PUT", "/vocabularies/nowhere", 404, json={"words": []})


def test_jobs_keep_what_they_were_asked_for_and_new_ones_are_asked_anew(
    site: Box, key: FlaskClient
) -> None:
    queued = site.add(b"queued.wav")
    asked(
        key,
        "PATCH",
        "/profiles/default",
        json={"language": "fr"},
        headers=tag_of(key, "/profiles/default"),
    )
    assert _job(site, queued).options == queued.options
    done = site.finish(b"done.wav")
    asked(key, "POST", f"/jobs/{done.id}/retry", json={"options": {"profile": "default"}})
    assert _job(site, done).options.language == "fr"
    assert _job(site, done).epoch == done.epoch + 1


def _job(box: Box, job: Job) -> Job:
    found = jobs.get(box.ledger, job.id)
    assert found is not None
    return found


def test_who_sees_one_share_sees_its_profile_and_changes_none(site: Box) -> None:
    app = create_app(site.settings, clock=itertools.count().__next__)
    client = app.test_client(use_cookies=False)
    reader = signed_in.key(site.ledger, *Right, shares=["meetings"])
    seen = asked(client, "GET", "/profiles", headers=reader)["profiles"]
    assert [(one["name"], one["shares"]) for one in seen] == [("default", ["meetings"])]
    asked(client, "GET", "/profiles/german", 404, headers=reader)
    asked(client, "GET", "/vocabularies/german", 404, headers=reader)
    asked(client, "POST", "/profiles", 403, headers=reader, json={"name": "new"})
    db.close(app)


# --- forms --------------------------------------------------------------------------------------

FORM = {
    "model": "selftest",
    "language": "fr",
    "task": "transcribe",
    "formats": ["txt", "srt"],
    "language_suffix": "always",
    "subtitle_rules": "none",
    "initial_prompt": " A meeting. ",
    "beam": "4",
}


def on(page: TestResponse, form: str) -> str:
    """What the form with that action says it was made on."""
    found = re.search(
        rf'action="{re.escape(form)}".*?name="on" value="([0-9a-f]+)"', page.text, re.DOTALL
    )
    assert found, form
    return found[1]


def test_a_profile_is_made_and_changed_by_forms(site: Box, admin: FlaskClient) -> None:
    assert "german" in admin.get("/admin/profiles").text
    made = admin.post("/admin/profiles", data={**FORM, "name": "interviews", "vad": "on"})
    assert (made.status_code, made.headers["Location"]) == (
        303,
        "/admin/profiles/interviews?done=made",
    )
    page = admin.get("/admin/profiles/german")
    assert "as the settings files say" in page.text
    form = {**FORM, "on": on(page, "/admin/profiles/german")}
    assert admin.post("/admin/profiles/german", data=form).status_code == 303
    now = choices.in_force(site.ledger, site.settings).profile
    assert (now["interviews"].vad, now["german"].vad) == (True, False)
    german = now["german"]
    assert (german.language, german.formats, german.beam) == ("fr", ("txt", "srt"), 4)
    assert (german.initial_prompt, german.vocabulary) == ("A meeting.", ("Wagner",))
    page = admin.get("/admin/profiles/german")
    assert "by user:anna" in page.text
    back = {"on": on(page, "/admin/profiles/german/back")}
    assert admin.post("/admin/profiles/german/back", data=back).status_code == 303
    assert choices.in_force(site.ledger, site.settings).profile["german"].language == "de"


def test_a_vocabulary_is_kept_line_by_line(site: Box, admin: FlaskClient) -> None:
    page = admin.get("/admin/profiles/german")
    form = {
        "on": on(page, "/admin/profiles/german/words"),
        "vocabulary": "Nowak\r\n\r\n Anna Öhringen \r\n",
        "replacements": "open eye = OpenAI\r\nuh =\r\n",
    }
    assert admin.post("/admin/profiles/german/words", data=form).status_code == 303
    german = choices.in_force(site.ledger, site.settings).profile["german"]
    assert german.vocabulary == ("Nowak", "Anna Öhringen")
    assert german.replacements == {"open eye": "OpenAI", "uh": ""}
    page = admin.get("/admin/profiles/german")
    assert "open eye = OpenAI\nuh = " in page.text
    back = {"on": on(page, "/admin/profiles/german/words/back")}
    assert admin.post("/admin/profiles/german/words/back", data=back).status_code == 303
    assert choices.in_force(site.ledger, site.settings).profile["german"].vocabulary == ("Wagner",)


def test_what_was_typed_stays_in_a_form_that_is_refused(site: Box, admin: FlaskClient) -> None:
    made = admin.post("/admin/profiles", data={**FORM, "name": "Two Words", "beam": "99"})
    assert made.status_code == 422
    assert "Two Words" in made.text
    page = admin.get("/admin/profiles/german")
    form = {**FORM, "on": on(page, "/admin/profiles/german"), "beam": "99"}
    refused = admin.post("/admin/profiles/german", data=form)
    assert refused.status_code == 422
    assert "beam" in refused.text
    assert 'value="99"' in refused.text
    words = {
        "on": on(page, "/admin/profiles/german/words"),
        "vocabulary": "Nowak",
        "replacements": "no sign <b>",
    }
    refused = admin.post("/admin/profiles/german/words", data=words)
    assert refused.status_code == 422
    assert "no sign &lt;b&gt;" in refused.text
    assert "<b>" not in refused.text
    stale = admin.post("/admin/profiles/german", data={**FORM, "on": "0" * 24})
    assert stale.status_code == 412
    assert deeds(site)[0][0] != "profile-changed"


def test_a_form_without_its_word_changes_nothing(site: Box, admin: FlaskClient) -> None:
    page = admin.get("/admin/profiles/german")
    form = {**FORM, "on": on(page, "/admin/profiles/german")}
    del admin.environ_base["HTTP_X_CSRF_TOKEN"]
    assert "access.form-stale" in admin.post("/admin/profiles/german", data=form).text
    assert choices.in_force(site.ledger, site.settings).profile["german"].language == "de"


def test_the_settings_that_are_told_are_those_in_force(key: FlaskClient) -> None:
    header = tag_of(key, "/profiles/german")
    asked(key, "PATCH", "/profiles/german", json={"language": "fr"}, headers=header)
    assert asked(key, "GET", "/settings")["settings"]["profile"]["german"]["language"] == "fr"
