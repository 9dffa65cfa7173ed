"""Recordings that are sent to the box: in turns, in one form, twice, broken off, too large."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from appliance import receive
from appliance.credentials import tokens
from appliance.errors import DiskFull, SourceUnreadable
from appliance.nouns import UPLOADS
from appliance.rights import Right, Role
from appliance.settings import Settings
from appliance.states import State
from appliance.store import gates, jobs, uploads
from appliance.store.jobs import Job
from tests import signed_in
from tests.web.box import Box, settings_of
from web import create_app, db

SOUND = b"RIFF....WAVE" + bytes(range(256)) * 400
AT = "/api/v1/uploads"
OFFSET = "application/offset+octet-stream"


@pytest.fixture
def app(box: Box) -> Iterator[Flask]:
    made = create_app(box.settings, clock=itertools.count().__next__)
    yield made
    db.close(made)


@pytest.fixture
def key(box: Box) -> dict[str, str]:
    """What a program sends that may submit to the uploads share, and nothing else."""
    return signed_in.key(box.ledger, Right.SUBMIT, shares=[UPLOADS])


@pytest.fixture
def sender(app: Flask, key: dict[str, str]) -> FlaskClient:
    """That program."""
    return asking(app, key)


def asking(app: Flask, headers: dict[str, str]) -> FlaskClient:
    client = app.test_client(use_cookies=False)
    for name, value in headers.items():
        client.environ_base[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return client


def described(name: str, **more: str) -> str:
    said = {"filename": name, **more}
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in said.items())


def begun(
    client: FlaskClient,
    *,
    size: int = len(SOUND),
    name: str = "talk.wav",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> TestResponse:
    head = {"Upload-Length": str(size), "Upload-Metadata": described(name, **more)}
    return client.post(AT, headers={"Tus-Resumable": "1.0.0", **head, **(headers or {})})


def put(client: FlaskClient, address: str, offset: int, data: bytes) -> TestResponse:
    head = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)}
    return client.patch(address, headers=head, data=data, content_type=OFFSET)


def form(client: FlaskClient, data: bytes = SOUND, name: str = "talk.wav", **more: Any) -> Any:
    headers = more.pop("headers", {})
    file = {"file": (io.BytesIO(data), name)}
    return client.post(AT, data={**more, **file}, headers=headers)


def born(box: Box) -> list[Job]:
    return jobs.listing(box.ledger)


def content(box: Box, job: Job) -> bytes:
    with open(os.path.join(box.settings.state(UPLOADS), os.fsdecode(job.source.path)), "rb") as f:
        return f.read()


# --- in turns -----------------------------------------------------------------------------------


def test_a_recording_sent_in_turns_is_one_job_with_the_same_bytes(
    box: Box, sender: FlaskClient
) -> None:
    opened = begun(sender, language="de", formats="txt,srt")
    assert opened.status_code == 201
    address = opened.headers["Location"]
    for at in range(0, len(SOUND), 30_000):
        assert born(box) == []
        told = put(sender, address, at, SOUND[at : at + 30_000])
        assert told.status_code == 204, told.text
        assert told.headers["Upload-Offset"] == str(min(at + 30_000, len(SOUND)))
        assert told.headers["Tus-Resumable"] == "1.0.0"
    (job,) = born(box)
    assert (job.state, job.source.share, job.source.name) == (State.QUEUED, UPLOADS, b"talk.wav")
    assert (job.options.language, job.options.formats) == ("de", ("txt", "srt"))
    assert content(box, job) == SOUND
    row = sender.get(address).json
    assert row is not None
    assert (row["complete"], row["job"], row["offset"]) == (True, job.id, len(SOUND))
    assert os.listdir(receive.incoming(box.settings)) == []


def test_after_a_break_it_goes_on_where_the_box_stands(box: Box, sender: FlaskClient) -> None:
    address = begun(sender).headers["Location"]
    put(sender, address, 0, SOUND[:5000])
    wrong = put(sender, address, 9000, SOUND[9000:])
    assert wrong.status_code == 409
    assert wrong.json is not None
    assert wrong.json["code"] == "policy.upload-offset"
    head = sender.head(address)
    assert (head.headers["Upload-Offset"], head.headers["Cache-Control"]) == ("5000", "no-store")
    assert put(sender, address, 5000, SOUND[5000:]).status_code == 204
    assert content(box, born(box)[0]) == SOUND


def test_what_came_before_the_sender_went_away_is_kept(box: Box, sender: FlaskClient) -> None:
    address = begun(sender).headers["Location"]
    answer = sender.patch(
        address,
        headers={"Upload-Offset": "0"},
        data=SOUND[:7000],
        environ_overrides={"CONTENT_LENGTH": str(len(SOUND))},
        content_type=OFFSET,
    )
    assert answer.status_code == 400
    assert sender.head(address).headers["Upload-Offset"] == "7000"
    assert put(sender, address, 7000, SOUND[7000:]).status_code == 204
    assert content(box, born(box)[0]) == SOUND


def test_more_than_was_announced_is_refused_and_nothing_of_it_stays(
    box: Box, sender: FlaskClient
) -> None:
    address = begun(sender, size=1000).headers["Location"]
    assert put(sender, address, 0, SOUND[:2000]).status_code == 413
    assert sender.head(address).headers["Upload-Offset"] == "0"
    assert born(box) == []


def test_one_connection_sends_at_a_time(box: Box, sender: FlaskClient) -> None:
    address = begun(sender).headers["Location"]
    upload = next(uploads.unfinished(box.ledger))
    from appliance.receive import arriving

    with arriving.opened(receive.incoming(box.settings, upload.id), keep_free=0):
        assert put(sender, address, 0, SOUND).status_code == 423
        assert sender.delete(address).status_code == 423
    assert put(sender, address, 0, SOUND).status_code == 204


def test_what_is_dropped_is_gone_and_what_is_complete_stays(box: Box, sender: FlaskClient) -> None:
    address = begun(sender).headers["Location"]
    put(sender, address, 0, SOUND[:10])
    assert sender.delete(address).status_code == 204
    assert sender.head(address).status_code == 404
    assert put(sender, address, 10, SOUND[10:]).status_code == 404
    assert os.listdir(receive.incoming(box.settings)) == []
    whole = form(sender).json["url"]
    assert sender.delete(whole).status_code == 409
    assert len(born(box)) == 1


def test_it_says_what_it_speaks(sender: FlaskClient) -> None:
    told = sender.options(AT).headers
    assert told["Tus-Version"] == "1.0.0"
    assert "creation" in told["Tus-Extension"]
    assert told["Tus-Max-Size"] == "20000000000"
    assert begun(sender, headers={"Tus-Resumable": "0.2.2"}).status_code == 412
    address = begun(sender).headers["Location"]
    assert sender.patch(address, data=b"x", headers={"Upload-Offset": "0"}).status_code == 415


# --- once, however often it is asked for --------------------------------------------------------


def test_the_same_key_opens_the_same_upload(box: Box, sender: FlaskClient) -> None:
    named = {"Idempotency-Key": "monday"}
    first = begun(sender, headers=named)
    put(sender, first.headers["Location"], 0, SOUND[:100])
    again = begun(sender, headers=named)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Upload-Offset"] == "100"
    assert begun(sender, headers=named, name="other.wav").status_code == 422
    put(sender, first.headers["Location"], 100, SOUND[100:])
    assert begun(sender, headers=named).json == sender.get(first.headers["Location"]).json
    assert len(born(box)) == 1


@pytest.mark.parametrize("came", [0, 40_000, len(SOUND)])
def test_a_creation_with_bytes_that_comes_again_puts_them_in_no_other_place(
    box: Box, sender: FlaskClient, came: int
) -> None:
    """The line broke after some bytes: the client repeats the request, with its first bytes."""
    head = {"Idempotency-Key": "k", "Upload-Length": str(len(SOUND))}
    head |= {"Upload-Metadata": described("talk.wav"), "Tus-Resumable": "1.0.0"}
    first = sender.post(AT, headers=head, data=SOUND[:came], content_type=OFFSET)
    assert first.headers["Upload-Offset"] == str(came)
    body = SOUND[: len(SOUND) - 40_000]
    again = sender.post(AT, headers=head, data=body, content_type=OFFSET)
    assert again.status_code == 201
    assert again.headers["Location"] == first.headers["Location"]
    at = int(again.headers["Upload-Offset"])
    assert at == (came or len(body))
    if at < len(SOUND):
        assert put(sender, again.headers["Location"], at, SOUND[at:]).status_code == 204
    (job,) = born(box)
    assert content(box, job) == SOUND


def test_the_same_form_twice_under_one_key_is_one_job(box: Box, sender: FlaskClient) -> None:
    named = {"Idempotency-Key": "tuesday"}
    first, second = form(sender, headers=named), form(sender, headers=named)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json == second.json
    other = form(sender, SOUND + b"!", headers=named)
    assert (other.status_code, other.json["code"]) == (422, "policy.key-reused")
    assert len(born(box)) == 1
    assert os.listdir(receive.incoming(box.settings)) == []


def test_twelve_at_once_under_one_key_are_one_job(
    box: Box, app: Flask, key: dict[str, str]
) -> None:
    answers: list[Any] = []
    together = threading.Barrier(12)

    def send() -> None:
        client = asking(app, key)
        together.wait()
        answers.append(form(client, headers={"Idempotency-Key": "wednesday"}))

    threads = [threading.Thread(target=send) for _ in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json["job"] for answer in answers}) == 1
    (job,) = born(box)
    assert content(box, job) == SOUND
    assert os.listdir(receive.incoming(box.settings)) == []


def test_a_key_is_its_senders_own(box: Box, app: Flask, sender: FlaskClient) -> None:
    other = asking(app, signed_in.key(box.ledger, Right.SUBMIT))
    named = {"Idempotency-Key": "thursday"}
    first, second = form(sender, headers=named), form(other, headers=named)
    assert first.json["job"] != second.json["job"]
    assert other.get(first.json["url"]).status_code == 404
    assert other.delete(first.json["url"]).status_code == 404


def test_without_a_key_two_are_two(box: Box, sender: FlaskClient) -> None:
    assert form(sender).json["job"] != form(sender).json["job"]
    assert len(born(box)) == 2


# --- who, and what they see of it ---------------------------------------------------------------


def test_an_operator_without_a_grant_sees_what_they_sent_and_nothing_else(
    box: Box, app: Flask, sender: FlaskClient
) -> None:
    theirs = form(sender).json["job"]
    headers = signed_in.cookie(box.ledger, "olga", Role.OPERATOR, {})
    olga = asking(app, headers | signed_in_word(headers))
    mine = form(olga).json["job"]
    assert mine is not None
    listed = olga.get("/api/v1/jobs").json
    assert listed is not None
    assert [row["id"] for row in listed["jobs"]] == [mine]
    assert olga.get(f"/api/v1/jobs/{mine}").status_code == 200
    assert olga.get(f"/jobs/{mine}").status_code == 200
    assert olga.get(f"/api/v1/jobs/{theirs}").status_code == 404
    status = olga.get("/api/v1/status").json
    assert status is not None
    assert status["counts"] == {"queued": 1}
    assert status["shares"] == []
    assert jobs.must(box.ledger, mine).submitter == "user:olga"
    for number in (mine, theirs):
        assert jobs.claim(box.ledger, number, owner="w1") is not None
    status = olga.get("/api/v1/status").json
    assert status is not None
    assert [row["id"] for row in status["working"]] == [mine]


def signed_in_word(headers: dict[str, str]) -> dict[str, str]:
    from appliance.credentials import tokens

    return {"X-CSRF-Token": tokens.form_word(headers["Cookie"].partition("=")[2])}


def test_whoever_gets_the_name_of_a_removed_account_sees_nothing_of_its_recordings(
    box: Box, app: Flask
) -> None:
    from appliance.accounts import people

    headers = signed_in.cookie(box.ledger, "olga", Role.OPERATOR, {})
    job = form(asking(app, headers | signed_in_word(headers))).json["job"]
    people.remove(box.ledger, signed_in.TEST, signed_in.account(box.ledger, "olga"))
    headers = signed_in.cookie(box.ledger, "olga", Role.OPERATOR, {})
    assert asking(app, headers).get(f"/api/v1/jobs/{job}").status_code == 404
    assert uploads.held(box.ledger, "user:olga").bytes == 0


def test_a_form_of_another_page_is_refused_before_anything_is_kept(box: Box, app: Flask) -> None:
    olga = asking(app, signed_in.cookie(box.ledger, "olga", Role.OPERATOR, {}))
    assert form(olga).json["code"] == "access.form-stale"
    assert form(olga, csrf="guessed").json["code"] == "access.form-stale"
    assert begun(olga).json["code"] == "access.form-stale"  # type: ignore[index]
    headers = signed_in.cookie(box.ledger, "olga")
    word = signed_in_word(headers)["X-CSRF-Token"]
    assert form(asking(app, headers), csrf=word).status_code == 201
    evil = {"Origin": "http://evil.example"}
    assert form(asking(app, headers), csrf=word, headers=evil).json["code"] == "access.form-stale"
    assert len(born(box)) == 1
    assert os.listdir(receive.incoming(box.settings)) == []


def test_a_key_for_another_share_sends_nothing(box: Box, app: Flask) -> None:
    meetings = asking(app, signed_in.key(box.ledger, Right.SUBMIT, shares=["meetings"]))
    assert form(meetings).status_code == 403
    assert begun(meetings).status_code == 403


# --- what cannot be taken -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("../../etc/passwd.wav", b"passwd.wav"),
        ("C:\\Users\\me\\talk.mp3", b"talk.mp3"),
        (".hidden.wav", b"hidden.wav"),
        ("<script>.m4a", b"<script>.m4a"),
        ("line\nbreak.ogg", b"line\nbreak.ogg"),
        ("a" * 400 + ".flac", b"a" * 175 + b".flac"),
        ("ж" * 200 + ".wav", "ж".encode() * 88 + b".wav"),
    ],
)
def test_a_name_is_made_harmless(box: Box, sender: FlaskClient, name: str, becomes: bytes) -> None:
    assert begun(sender, name=name, size=4).status_code == 201
    assert next(uploads.unfinished(box.ledger)).name == becomes


@pytest.mark.parametrize("name", ["", "talk", "notes.txt", "/", "..", "talk.wav.part", "...."])
def test_what_is_no_recording_by_its_name_is_refused(sender: FlaskClient, name: str) -> None:
    answer = begun(sender, name=name)
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["code"] == "policy.upload-refused"


@pytest.mark.parametrize(
    "said",
    [{"language": "xx"}, {"task": "sing"}, {"formats": "exe"}, {"profile": "nobody's"}],
)
def test_what_cannot_be_asked_for_is_refused(sender: FlaskClient, said: dict[str, Any]) -> None:
    assert begun(sender, **said).status_code == 422
    assert form(sender, **said).status_code == 422


def test_what_is_too_large_is_told_before_it_is_sent(tmp_path: Any) -> None:
    settings = settings_of(str(tmp_path), uploads={"max_bytes": 5000})
    with sending_to(settings) as (box, sender):
        assert begun(sender, size=5001).status_code == 413
        answer = form(sender, SOUND)
        assert (answer.status_code, answer.json["code"]) == (413, "source.too-big")
        assert form(sender, SOUND[:5000]).status_code == 201
        assert len(born(box)) == 1


def test_a_sender_has_so_much_room_and_no_more(tmp_path: Any) -> None:
    settings = settings_of(str(tmp_path), uploads={"per_person_gb": 1e-4})
    with sending_to(settings) as (box, sender):
        assert begun(sender, size=60_000).status_code == 201
        answer = begun(sender, size=60_000)
        assert answer.status_code == 507
        assert answer.json is not None
        assert answer.json["code"] == "policy.quota"
        assert form(sender, SOUND[:60_000]).status_code == 507
        assert born(box) == []
        assert len(os.listdir(receive.incoming(settings))) == 1


def test_a_disk_that_is_nearly_full_takes_none(tmp_path: Any) -> None:
    settings = settings_of(str(tmp_path), disk={"stop_below_gb": 1e9})
    with sending_to(settings) as (box, sender):
        answer = begun(sender)
        assert answer.status_code == 507
        assert answer.json is not None
        assert answer.json["code"] == "node.disk-full"
        assert form(sender).status_code == 507
        assert born(box) == []


def test_while_work_has_stopped_for_want_of_room_none_is_taken(
    box: Box, sender: FlaskClient
) -> None:
    gates.close(box.ledger, DiskFull(where="/state", free_gb=0.4))
    for answer in (begun(sender), form(sender)):
        assert (answer.status_code, answer.json["code"]) == (507, "node.disk-full")  # type: ignore[index]
    gates.open_again(box.ledger, "disk")
    assert form(sender).status_code == 201


def test_a_box_that_takes_no_uploads_says_so(tmp_path: Any) -> None:
    with sending_to(settings_of(str(tmp_path), uploads={"enabled": False})) as (_box, sender):
        assert begun(sender).json["code"] == "policy.uploads-off"  # type: ignore[index]
        assert form(sender).status_code == 404


class sending_to:  # noqa: N801 - used as a context manager, like a function
    """A box of other settings, and a program that sends to it."""

    def __init__(self, settings: Settings) -> None:
        self._box = Box.made(settings)
        self._app = create_app(settings, clock=itertools.count().__next__)

    def __enter__(self) -> tuple[Box, FlaskClient]:
        headers = signed_in.key(self._box.ledger, Right.SUBMIT)
        return self._box, asking(self._app, headers)

    def __exit__(self, *_exc: object) -> None:
        db.close(self._app)
        self._box.ledger.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"--b\r\n\r\n",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nsound',
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"y" * 20_000 + b"\r\n--b--",
        b"--b\r\n" + b"X: y\r\n" * 200_000,
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n' * 100 + b"--b--",
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\ns\r\n' * 2)
        + b"--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\r\n--b--',
    ],
)
def test_a_form_that_is_none_leaves_nothing(box: Box, sender: FlaskClient, body: bytes) -> None:
    answer = sender.post(AT, data=body, content_type="multipart/form-data; boundary=b")
    assert answer.status_code in (400, 413, 422), answer.text
    assert born(box) == []
    assert list(uploads.unfinished(box.ledger)) == []
    assert os.listdir(receive.incoming(box.settings)) == []


def test_a_boundary_across_two_reads_is_found(box: Box, sender: FlaskClient) -> None:
    """The recording is what was sent, whatever of it looks like the end of a part."""
    tricky = (b"\r\n--b" + b"\r\n--bound" + b"\r" * 70_000 + b"\n--" + b"\n" * 70_000) * 3
    assert form(sender, tricky).status_code == 201
    assert hashlib.sha256(content(box, born(box)[0])).digest() == hashlib.sha256(tricky).digest()


def test_nobody_reads_the_vocabulary_of_a_share_they_do_not_see(tmp_path: Any) -> None:
    """Whoever may send chooses among the profiles of what they see; a job shows its vocabulary."""
    shares = [
        {"name": "meetings", "root": str(tmp_path / "meetings"), "profile": "minutes"},
        {"name": "board", "root": str(tmp_path / "board"), "profile": "secret"},
    ]
    named = {"minutes": {"vocabulary": ["agenda"]}, "secret": {"vocabulary": ["Layoffs Inc."]}}
    site = settings_of(str(tmp_path), share=shares, profile=named)
    box = Box.made(site)
    app = create_app(site)
    asking = app.test_client(use_cookies=False)
    account = signed_in.account(box.ledger, "otto", Role.OPERATOR, {"meetings": Role.OPERATOR})
    secret = signed_in.secret(box.ledger, account)
    asking.environ_base["HTTP_COOKIE"] = f"appliance={secret}"
    word = {"X-CSRF-Token": tokens.form_word(secret)}
    with asking, box.ledger:
        assert "minutes" in asking.get("/upload").text
        assert "secret" not in asking.get("/upload").text
        for profile, status in (("minutes", 201), ("secret", 422)):
            about = described("a.wav", profile=profile)
            sent = {"Upload-Length": "5", "Upload-Metadata": about, **word}
            assert asking.post("/api/v1/uploads", headers=sent).status_code == status
            again = box.stop(f"{profile}.wav".encode(), SourceUnreadable(name="a"), State.FAILED)
            body = {"options": {"profile": profile}}
            told = asking.post(f"/api/v1/jobs/{again.id}/retry", json=body, headers=word)
            assert (told.status_code < 300) is (status == 201), told.text
        models = asking.get("/v1/models").json
        assert models is not None
        listed = [one["id"] for one in models["data"]]
        assert "minutes" in listed
        assert "secret" not in listed
    db.close(app)
