"""A recording is played out of its share by a child that can be killed, a range at a time."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance import marker
from appliance.beneath import root
from appliance.credentials import tokens
from appliance.nouns import Source
from appliance.porter import Porters
from appliance.rights import Role
from appliance.store import accounts, audit, jobs, shares
from appliance.store.jobs import Job
from tests import signed_in
from tests.test_porter import children
from tests.web.box import HOSTILE, WELL, Box
from web import create_app, db, media, passes
from web.words import name as shown

SOUND = bytes(range(256)) * 40_000  # 10 MB: more than a part, and no two places alike for a while
PART = 4 * 1024 * 1024


@pytest.fixture
def app(box: Box) -> Iterator[Flask]:
    made = create_app(box.settings)
    for share in box.settings.share:
        os.makedirs(share.root)
        with root(share.root) as fd:
            shares.adopt(box.ledger, share.name, marker=marker.write(fd), existing="process")
    yield made
    media.close(made)
    db.close(made)


@pytest.fixture
def client(app: Flask, box: Box) -> Iterator[FlaskClient]:
    with signed_in.client(app, box.ledger) as asking:
        yield asking


def recorded(box: Box, name: bytes = b"talk.mp3", *, share: str = "meetings") -> Job:
    """A recording that lies in its share, and its job."""
    configured = box.settings.share_named(share)
    assert configured is not None
    path = os.path.join(os.fsencode(configured.root), name)
    Path(os.fsdecode(path)).write_bytes(SOUND)
    look = os.stat(path)
    source = Source(share, name, look.st_size, look.st_mtime_ns)
    job = jobs.add(box.ledger, source, WELL, correlation="c")
    assert job is not None
    return job


def test_the_whole_of_it_comes_with_its_length_and_a_tag(box: Box, client: FlaskClient) -> None:
    job = recorded(box)
    answer = client.get(f"/jobs/{job.id}/media")
    assert answer.status_code == 200
    assert answer.data == SOUND
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    tag = answer.headers["ETag"]
    again = client.get(f"/jobs/{job.id}/media", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert len(children()) == 1, "the porter is kept for the next one"


RANGES = (
    ("bytes=0-", 0, PART),  # from here on: a part, and the player asks for the next
    ("bytes=9000000-", 9_000_000, len(SOUND)),
    ("bytes=100-199", 100, 200),
    ("bytes=5-9999999999", 5, len(SOUND)),
    ("bytes=-300", len(SOUND) - 300, len(SOUND)),
    ("bytes=-9999999999", 0, len(SOUND)),
)


def test_a_range_is_what_was_asked_for(box: Box, client: FlaskClient) -> None:
    job = recorded(box)
    for asked, first, until in RANGES:
        answer = client.get(f"/jobs/{job.id}/media", headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{until - 1}/{len(SOUND)}"
        assert answer.headers["Content-Length"] == str(until - first)
        assert answer.data == SOUND[first:until]
        head = client.head(f"/jobs/{job.id}/media", headers={"Range": asked})
        assert (head.status_code, head.data) == (206, b"")


def test_ranges_that_mean_nothing(box: Box, client: FlaskClient) -> None:
    job = recorded(box)
    beyond = client.get(f"/jobs/{job.id}/media", headers={"Range": f"bytes={len(SOUND)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(SOUND)}"
    for asked in ("bytes=0-1,5-9", "lines=1-2", "bytes=x", "bytes=9-2"):
        assert client.get(f"/jobs/{job.id}/media", headers={"Range": asked}).status_code == 200
    other = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert client.get(f"/jobs/{job.id}/media", headers=other).status_code == 200


def test_a_recording_that_is_gone_or_changed_is_not_there(box: Box, client: FlaskClient) -> None:
    job = recorded(box)
    path = os.path.join(box.settings.share[0].root, "talk.mp3")
    Path(path).write_bytes(b"another")
    assert client.get(f"/jobs/{job.id}/media").status_code == 404
    os.unlink(path)
    assert client.get(f"/jobs/{job.id}/media").status_code == 404
    os.symlink("/etc/passwd", path)
    assert client.get(f"/jobs/{job.id}/media").status_code == 404


def test_a_share_that_is_away_or_another_says_so(box: Box, client: FlaskClient) -> None:
    job = recorded(box)
    file = Path(box.settings.share[0].root) / ".transcribe-id"
    file.write_text("somebody else's\n")
    answer = client.get(f"/jobs/{job.id}/media")
    assert answer.status_code == 503
    assert "share.wrong-marker" in answer.text
    shares.seen(box.ledger, "meetings", state="offline")
    assert "share.offline" in client.get(f"/jobs/{job.id}/media").text


def test_a_hostile_name_stays_in_its_header(box: Box, client: FlaskClient) -> None:
    for name in (HOSTILE[1], HOSTILE[4], HOSTILE[5], "محضر.wav".encode()):
        answer = client.get(f"/jobs/{recorded(box, name).id}/media", buffered=True)
        assert answer.status_code == 200
        told = answer.headers["Content-Disposition"]
        assert told.startswith("inline; filename*=UTF-8''")
        assert told.isascii()
        assert told.isprintable()
        assert unquote(told.partition("''")[2]) == shown(name)
    page = client.get(f"/jobs/{recorded(box, b'<script>.html.mp3').id}/media", buffered=True)
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    odd = client.get(f"/jobs/{recorded(box, b'odd.html').id}/media", buffered=True)
    assert odd.headers["Content-Type"] == "application/octet-stream"


def test_who_stops_listening_costs_a_porter_and_nothing_else(box: Box, client: FlaskClient) -> None:
    job = recorded(box)
    answer = client.get(f"/jobs/{job.id}/media")
    pieces = answer.iter_encoded()
    assert next(pieces) == SOUND[: 64 * 1024]
    answer.close()
    until = time.monotonic() + 10
    while children():
        assert time.monotonic() < until, "it went on reading to nobody"
        time.sleep(0.02)
    assert client.get(f"/jobs/{job.id}/media").data == SOUND


def test_a_file_server_that_hangs_is_given_up_and_its_place_is_free(
    box: Box, app: Flask, client: FlaskClient
) -> None:
    job = recorded(box)
    here = app.extensions["appliance.listening"]
    with Porters(box.settings, silence=0.5) as quick:
        here._porters = quick
        first = client.get(f"/jobs/{job.id}/media", headers={"Range": "bytes=0-9"})
        assert first.data == SOUND[:10]
        (porter,) = children()
        os.kill(porter, signal.SIGSTOP)  # as the kernel stops who waits for a server
        answer = client.get(f"/jobs/{job.id}/media", headers={"Range": "bytes=0-9"})
        assert answer.status_code == 503
        assert "share.offline" in answer.text
        assert client.get(f"/jobs/{job.id}/media").data == SOUND
        here._porters = None
    assert all(here.places.acquire(blocking=False) for _ in range(media.AT_ONCE))


def test_so_many_listen_at_once_and_the_next_is_told_to_wait(
    box: Box, app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_PATIENCE", 0.01)
    job = recorded(box)
    places = app.extensions["appliance.listening"].places
    assert all(places.acquire(blocking=False) for _ in range(media.AT_ONCE))
    answer = client.get(f"/jobs/{job.id}/media")
    assert answer.status_code == 503
    assert "Too many people listen" in answer.text
    places.release()
    assert client.get(f"/jobs/{job.id}/media", headers={"Range": "bytes=0-9"}).data == SOUND[:10]


def test_nobody_hears_what_lies_in_another_share(box: Box, app: Flask) -> None:
    ours, theirs = recorded(box), recorded(box, share="archive")
    grants = {"meetings": Role.VIEWER}
    headers = signed_in.cookie(box.ledger, "vera", Role.VIEWER, grants)
    with app.test_client(use_cookies=False) as viewer:
        found = viewer.get(f"/jobs/{ours.id}/media", headers={**headers, "Range": "bytes=0-9"})
        assert found.status_code == 206
        assert viewer.get(f"/jobs/{theirs.id}/media", headers=headers).status_code == 404


# --- passes -------------------------------------------------------------------------------------


def test_whoever_makes_a_pass_is_in_the_audit_log(box: Box, client: FlaskClient) -> None:
    job = recorded(box)
    word = tokens.form_word(client.environ_base["HTTP_COOKIE"].partition("=")[2])
    page = client.post(f"/jobs/{job.id}/pass", headers={"X-CSRF-Token": word}).text
    address = re.search(r"http://localhost/listen/[\w.-]+", page)
    assert address is not None
    newest = audit.page(box.ledger, limit=1)[0]
    assert (newest.who, newest.did, newest.about) == ("user:anna", "pass-made", str(job.id))
    assert address[0].rpartition("/")[2] not in newest.detail


def test_a_pass_plays_what_its_maker_has_sent(box: Box, app: Flask) -> None:
    """Uploads are a share of nobody's; whoever sent one sees it all the same."""
    otto = signed_in.account(box.ledger, "otto", Role.OPERATOR, {})
    job = recorded(box)
    with box.ledger.writing() as ledger:
        ledger.execute("UPDATE job SET submitter = 'user:otto' WHERE id = ?", [job.id])
    with app.test_request_context():
        text = passes.made(job.id, otto.id)
    with app.test_client(use_cookies=False) as player:
        part = {"Range": "bytes=7-9"}
        assert player.get(f"/listen/{text}", headers=part).status_code == 206
        accounts.remove(box.ledger, otto.id)
        assert player.get(f"/listen/{text}").status_code == 404


def test_a_pass_plays_one_recording_without_a_cookie_for_a_while(
    box: Box, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = recorded(box), recorded(box, share="archive")
    vera = signed_in.account(box.ledger, "vera", Role.VIEWER, {"meetings": Role.VIEWER})
    with app.test_request_context():
        mine, other = passes.made(ours.id, vera.id), passes.made(theirs.id, vera.id)
    with app.test_client(use_cookies=False) as player:
        part = {"Range": "bytes=7-9"}
        assert player.get(f"/listen/{mine}", headers=part).data == SOUND[7:10]
        assert player.get(f"/listen/{other}").status_code == 404, "it opened what she may not see"
        assert player.get(f"/listen/{mine[:-2]}xx").status_code == 404
        accounts.allow(box.ledger, vera.id, Role.VIEWER, {})
        assert player.get(f"/listen/{mine}").status_code == 404
        accounts.allow(box.ledger, vera.id, Role.ADMIN, {})
        assert player.get(f"/listen/{mine}", headers=part).status_code == 206
        monkeypatch.setattr(passes, "SECONDS", -1)
        assert player.get(f"/listen/{mine}").status_code == 404
    another = create_app(box.settings)
    with another.test_request_context():
        assert passes.read(mine) is None, "a new start voids it"
    db.close(another)
