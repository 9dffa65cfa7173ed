"""The thin client, against the real API over a real connection: `appliance jobs --url --key`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from werkzeug.serving import make_server

from appliance.client import Client
from appliance.errors import BoxRefused, KeyUnsafe, NoAudioTrack, NotReachable
from appliance.rights import Right
from appliance.states import State
from appliance.store import jobs
from appliance.store.jobs import Job
from tests import signed_in
from tests.web.box import Box, settings_of
from web import create_app, db


@dataclass
class Far:
    """A box behind an address, and a key of it."""

    box: Box
    url: str
    key: str
    key_file: str

    def client(self) -> Client:
        return Client(self.url, self.key, pause=lambda _seconds: None)

    def run(self, *words: str, expect: int = 0) -> str:
        """`appliance jobs --url … --key …` and these words; what it printed, errors last."""
        told = subprocess.run(
            [
                *(sys.executable, "-m", "appliance", *words[:1]),
                *("--url", self.url, "--key", self.key_file, *words[1:]),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert told.returncode == expect, told.stdout + told.stderr
        return told.stdout + told.stderr


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    box = Box.made(settings_of(str(tmp_path)))
    app = create_app(box.settings)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    key = signed_in.key(box.ledger, *Right)["Authorization"].removeprefix("Bearer ")
    file = tmp_path / "key"
    file.write_text(f"{key}\n", encoding="ascii")
    yield Far(box, f"http://127.0.0.1:{server.server_port}", key, str(file))
    app.extensions["appliance.streams"].stays = lambda: False
    server.shutdown()
    thread.join()
    server.server_close()
    db.close(app)
    box.ledger.close()


def test_jobs_are_listed_page_after_page(far: Far) -> None:
    for number in range(5):
        far.box.add(b"%d.wav" % number)
    with far.client() as client:
        assert [one["id"] for one in client.jobs(limit=4)] == [5, 4, 3, 2]
        assert [one["id"] for one in client.jobs(["queued"])] == [5, 4, 3, 2, 1]
        assert client.jobs(["done"]) == []


def test_a_job_is_moved_and_a_refusal_has_its_name(far: Far) -> None:
    job = far.box.add(b"a.wav")
    with far.client() as client:
        assert client.move(job.id, "hold")["state"] == "held"
        assert client.move(job.id, "release")["state"] == "queued"
        assert client.queue("pause", "backup")["paused"]["why"] == "backup"
        assert client.queue("resume")["paused"] is None
        with pytest.raises(BoxRefused, match=r"policy\.step-refused"):
            client.move(job.id, "release")
        with pytest.raises(BoxRefused, match="404"):
            client.job(999)
    with Client(far.url, "apl_no_key") as stranger, pytest.raises(BoxRefused, match="key-refused"):
        stranger.jobs()


@pytest.mark.parametrize(
    "url",
    ["http://box.example", "ftp://127.0.0.1", "http://10.0.0.7:8080", "127.0.0.1", "https://"],
)
def test_a_key_is_not_sent_in_the_clear(url: str) -> None:
    def never(_request: httpx.Request) -> httpx.Response:
        raise AssertionError("something was sent")

    with pytest.raises(KeyUnsafe):
        Client(url, "apl_x", transport=httpx.MockTransport(never)).jobs()


def test_a_redirect_is_not_followed_with_the_key(far: Far) -> None:
    asked: list[httpx.URL] = []

    def elsewhere(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(302, headers={"Location": "https://elsewhere.example/"})

    with (
        Client("https://box", far.key, transport=httpx.MockTransport(elsewhere)) as client,
        pytest.raises(NotReachable),
    ):
        client.jobs()
    assert [one.host for one in asked] == ["box"]


def test_what_does_not_answer_like_a_box_is_said(far: Far) -> None:
    answers = iter([httpx.Response(200, text="<html>"), httpx.Response(502, text="<html>")])
    with Client(
        "https://box", far.key, transport=httpx.MockTransport(lambda _: next(answers))
    ) as client:
        for _each in range(2):
            with pytest.raises(NotReachable):
                client.jobs()
    with Client("http://127.0.0.1:1", far.key) as nobody, pytest.raises(NotReachable):
        nobody.jobs()


def test_a_stream_that_breaks_is_taken_up_where_it_broke(far: Far) -> None:
    known: list[str | None] = []

    def broken(request: httpx.Request) -> httpx.Response:
        known.append(request.headers.get("Last-Event-ID"))
        text = f'id: {6 + len(known)}\nevent: job\ndata: {{"n": {len(known)}}}\n\nid: 99\nevent: jo'
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=text)

    with Client(
        "https://box", far.key, transport=httpx.MockTransport(broken), pause=lambda _s: None
    ) as client:
        told = client.events()
        found = [next(told) for _ in range(6)]
    assert [one.facts for one in found if one.kind == "job"] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert known == [None, "7", "8"]


def test_whoever_gives_up_says_so(far: Far) -> None:
    pauses: list[float] = []
    with (
        Client("http://127.0.0.1:1", far.key, pause=pauses.append) as nobody,
        pytest.raises(NotReachable),
    ):
        next(nobody.events())
    assert len(pauses) == 8


# --- the command --------------------------------------------------------------------------------


def ends(job: Job, far: Far) -> Callable[[], None]:
    def end() -> None:
        claimed = jobs.claim(far.box.ledger, job.id, owner="w")
        assert claimed is not None
        jobs.finish(far.box.ledger, claimed, (), rss_peak=None)

    return end


def test_the_command_lists_shows_moves_and_fetches(far: Far, tmp_path: Path) -> None:
    done = far.box.finish(b"talk.wav")
    waits = far.box.add(b"later.wav")
    assert "talk.wav" in far.run("jobs", "list", "--state", "done")
    assert "state: done" in far.run("jobs", "show", str(done.id))
    assert f"{waits.id}: held" in far.run("jobs", "hold", str(waits.id))
    assert "policy.step-refused" in far.run("jobs", "hold", str(waits.id), expect=1)
    assert jobs.must(far.box.ledger, waits.id).state is State.HELD
    assert "Good morning" in far.run("jobs", "export", str(done.id))
    out = tmp_path / "talk.srt"
    far.run("jobs", "export", str(done.id), "-f", "srt", "-o", str(out))
    assert "-->" in out.read_text(encoding="utf-8")
    far.run("jobs", "export", str(done.id), "-f", "txt", "-o", str(out), expect=1)
    assert "-->" in out.read_text(encoding="utf-8")  # somebody's file stays
    assert not os.path.exists(f"{out}.part")


def test_the_command_follows_a_job_to_its_end(far: Far) -> None:
    job = far.box.add(b"a.wav")
    later = threading.Timer(2.0, ends(job, far))
    later.start()
    assert far.run("jobs", "follow", str(job.id)).strip() == "done"
    later.join()
    failed = far.box.stop(b"b.wav", NoAudioTrack(name="b.wav"), State.FAILED)
    assert "failed" in far.run("jobs", "follow", str(failed.id), expect=1)


def test_the_command_wants_a_key(far: Far) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "appliance", "jobs", "--url", far.url, "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 2
    assert "--key" in told.stderr
