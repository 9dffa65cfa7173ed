"""The pages say what is so, whatever people call their files."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from appliance import logbook, revise
from appliance.errors import (
    CATALOGUE,
    WARNINGS,
    DiskFull,
    NoAudioTrack,
    ShareOffline,
    SpoolFull,
)
from appliance.health import alive
from appliance.rights import Role
from appliance.states import State, Verdict
from appliance.store import jobs, shares
from tests import signed_in
from tests.web.box import HOSTILE, Box, close_gate
from web import create_app, db
from web.words import name

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ADDRESS = re.compile(r"""(?:https?:)?//[\w.-]+""")


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text of its <bdi>."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.isolated: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag == "bdi"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.isolated.append(data)
            self._inside = False


def text(client: FlaskClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.text


def test_a_box_with_nothing_to_do_says_that_all_is_good(client: FlaskClient) -> None:
    assert "All good — nothing to do" in text(client, "/")


def test_the_sentence_counts_what_runs_and_waits(box: Box, client: FlaskClient) -> None:
    box.run(b"a.wav")
    box.add(b"b.wav")
    box.add(b"c.wav")
    assert "All good — 1 file in work, 2 waiting" in text(client, "/")


def test_the_hour_is_promised_once_the_pace_is_known(box: Box, client: FlaskClient) -> None:
    box.add(b"b.wav")
    assert 'ready_at":null' in text(client, "/api/v1/status").replace(" ", "")
    box.finish(b"a.wav")
    assert client.get("/api/v1/status").json["verdict"]["ready_at"]  # type: ignore[index]


def test_what_needs_a_person_comes_first_with_its_next_step(box: Box, client: FlaskClient) -> None:
    close_gate(box, DiskFull(where="/var/lib/appliance", free_gb=0.2))
    shares.seen(box.ledger, "archive", state="offline", why="No route to host")
    page = text(client, "/")
    assert "2 things need you" in page
    assert "The disk of the box is full: 0.2 GB left in /var/lib/appliance." in page
    assert "The share archive does not answer: No route to host." in page
    assert 'href="/help/node.disk-full"' in page


def test_a_disk_that_gets_full_is_told_before_it_stops_the_box(box: Box) -> None:
    disk = box.settings.disk.model_copy(update={"warn_below_gb": 1e9, "stop_below_gb": 0.0})
    app = create_app(box.settings.model_copy(update={"disk": disk}))
    with signed_in.client(app, box.ledger) as client:
        page = text(client, "/")
    db.close(app)
    assert "The disk of the box is getting full" in page


def test_a_queue_that_nobody_works_on_is_told(box: Box, client: FlaskClient) -> None:
    box.add(b"a.wav")
    assert "nobody works" not in text(client, "/")
    with box.ledger.writing() as ledger:
        ledger.execute("UPDATE job SET updated_ms = updated_ms - 61000")
    assert "queued for more than a minute, and nobody works" in text(client, "/")


def test_a_full_spool_names_no_recording_of_another_share(box: Box) -> None:
    app = create_app(box.settings)
    for share, path in (("meetings", b"talk.mp4"), ("archive", b"layoffs.mp4")):
        job = box.run(path, share=share)
        error = SpoolFull(name=path.decode(), size=9, free=1)
        jobs.end(box.ledger, job, Verdict(State.WAITING), error, who="w1")
    grants = {"meetings": Role.VIEWER}
    asking = app.test_client(use_cookies=False)
    asking.environ_base["HTTP_COOKIE"] = signed_in.cookie(box.ledger, "vera", Role.VIEWER, grants)[
        "Cookie"
    ]
    with asking:
        page = asking.get("/").text
    assert "no room for talk.mp4" in page
    assert "layoffs" not in page
    db.close(app)


def test_a_share_behind_a_closed_gate_is_told_once(box: Box, client: FlaskClient) -> None:
    shares.seen(box.ledger, "archive", state="offline")
    close_gate(box, ShareOffline(share="archive"))
    assert "1 thing needs you" in text(client, "/")


def test_a_share_that_waits_for_a_decision_names_the_command(box: Box, client: FlaskClient) -> None:
    with box.ledger.writing() as ledger:
        ledger.execute("UPDATE share SET adopted_ms = NULL, old_files = 412 WHERE name = 'archive'")
    page = text(client, "/")
    assert "412 old recordings" in page
    assert "<code>appliance share adopt archive --existing ignore</code>" in page


def test_a_recording_that_still_arrives_is_shown_with_its_bytes(
    box: Box, client: FlaskClient
) -> None:
    box.every_state()
    page = text(client, "/")
    assert "1.2 GB so far" in page
    assert "2 arriving" in page


def test_progress_has_a_number_a_label_and_what_is_left(box: Box, client: FlaskClient) -> None:
    box.every_state()
    bars = [tag for kind, tag in Tags(text(client, "/")).found if kind == "progress"]
    assert bars[0].get("value") == "24"
    assert all(bar.get("aria-label") or bar.get("aria-labelledby") for bar in bars)
    assert re.search(r"6 min \d\d s left", text(client, "/"))


def test_the_page_lives_without_javascript(client: FlaskClient) -> None:
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in text(client, "/")


def test_the_selftest_model_is_admitted_on_every_page(client: FlaskClient) -> None:
    for address in ("/", "/jobs", "/help"):
        assert "Self-test model." in text(client, address)


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_page_and_its_word(box: Box, client: FlaskClient, state: State) -> None:
    job = box.every_state()[state]
    page = text(client, f"/jobs/{job.id}")
    assert name(job.source.path) in Tags(page).isolated
    assert name(job.source.path) in Tags(text(client, f"/jobs?state={state}")).isolated


def test_no_name_of_a_file_becomes_a_tag_or_an_attribute(box: Box, client: FlaskClient) -> None:
    every = box.every_state()
    for address in ("/", "/jobs", *(f"/jobs/{job.id}" for job in every.values())):
        page = text(client, address)
        tags = Tags(page).found
        assert not [tag for tag, attributes in tags if any(a.startswith("on") for a in attributes)]
        assert [a["src"] for tag, a in tags if tag == "script"] == ["/static/page.js"]
        assert "\u202e" not in page
        assert "\x1b" not in page
        assert "49" not in Tags(page).isolated


def test_a_name_that_is_not_utf8_is_shown_by_its_bytes(box: Box, client: FlaskClient) -> None:
    box.add(HOSTILE[4])
    assert r"caf\xe9 \xff\xfe.ogg" in text(client, "/jobs")


def test_a_failed_job_says_what_happened_what_it_means_and_what_to_do(
    box: Box, client: FlaskClient
) -> None:
    job = box.every_state()[State.FAILED]
    page = text(client, f"/jobs/{job.id}")
    assert "holds no sound" in page
    assert "The recording itself is untouched" in page
    assert "Export it again with its sound" in page
    assert "Try it again now" in page
    assert 'href="/help/source.no-audio-track"' in page


def test_a_finished_job_shows_its_text_its_files_and_where_they_come_from(
    box: Box, client: FlaskClient
) -> None:
    job = box.finish(b"talk.mp4")
    page = text(client, f"/jobs/{job.id}")
    for expected in ("Good morning, everybody.", "0:00:02", "talk.srt", "engine 1", "attempt 1"):
        assert expected in page
    assert "<b>bold</b>" not in page


def test_jobs_come_a_page_at_a_time(box: Box, client: FlaskClient) -> None:
    for number in range(120):
        box.add(b"%d.wav" % number)
    seen: list[str] = []
    address: str | None = "/jobs?state=queued&share=meetings"
    while address:
        tags = Tags(text(client, address))
        seen += tags.isolated
        address = next((a["href"] for tag, a in tags.found if a.get("rel") == "next"), None)
    assert seen == [f"{number}.wav" for number in reversed(range(120))]


def test_a_filter_keeps_other_jobs_out(box: Box, client: FlaskClient) -> None:
    box.add(b"here.wav")
    box.add(b"there.wav", share="archive")
    assert Tags(text(client, "/jobs?share=archive")).isolated == ["there.wav"]
    assert Tags(text(client, "/jobs?state=done")).isolated == []
    assert "There is no state" in text(client, "/jobs?state=%3Cb%3E", 400)


def test_jobs_are_found_by_their_name_on_the_page_as_over_the_api(
    box: Box, client: FlaskClient
) -> None:
    for number in range(60):
        box.add(b"Board %d.wav" % number)
    box.add(b"other.wav")
    box.add(b"100%.wav")
    page = text(client, "/jobs?name=board")
    assert len(Tags(page).isolated) == 50
    assert re.search(r'href="[^"]*name=board[^"]*before=|href="[^"]*before=[^"]*name=board', page)
    assert '<input type="search" name="name" value="board"' in page
    assert Tags(text(client, "/jobs?name=%25")).isolated == ["100%.wav"]
    told = client.get("/api/v1/jobs?name=board&limit=200").json
    assert told is not None
    assert len(told["jobs"]) == 60


@pytest.mark.parametrize("code", [*CATALOGUE, *WARNINGS])
def test_every_code_has_its_page(client: FlaskClient, code: str) -> None:
    page = text(client, f"/help/{code}")
    assert "{" not in page.split("<main")[1]
    assert f'href="/help/{code}"' in text(client, "/help")


@pytest.mark.parametrize("address", ["/jobs/999999", "/help/no.such", "/nothing", "/jobs/x"])
def test_what_is_not_there_is_a_page_that_says_so(client: FlaskClient, address: str) -> None:
    assert "There is nothing at this address." in text(client, address, 404)


def test_no_answer_names_another_machine(box: Box, client: FlaskClient) -> None:
    every = box.every_state()
    fixed = ("/", "/jobs", "/help", "/help/bug", "/nothing", "/static/page.js", "/static/page.css")
    for address in (*fixed, "/static/live.js", "/static/times.js", f"/jobs/{every[State.DONE].id}"):
        with client.get(address) as answer:
            assert not ADDRESS.findall(answer.get_data(as_text=True).replace("// ", "")), address


def test_a_job_shows_its_stages_and_its_log_and_a_hostile_line_harms_nobody(
    box: Box, client: FlaskClient
) -> None:
    job = box.stop(HOSTILE[1], NoAudioTrack(), State.FAILED)
    assert client.get(f"/jobs/{job.id}/log/1").status_code == 404
    with logbook.kept(box.settings.state("logs"), job.id, 1) as book:
        book.add("said", line="<script>alert(1)</script>\x1b\n\u202e")
        book.enter("stage")
        book.enter("<i>")
        book.end(state="failed", code="source.no-audio-track")
    page = client.get(f"/jobs/{job.id}").text
    assert "copying it from the share" in page
    assert "&lt;i&gt;" in page
    assert f'href="/jobs/{job.id}/log/1"' in page
    log = client.get(f"/jobs/{job.id}/log/1").text
    assert "&lt;script&gt;alert(1)" in log
    assert "<script>alert" not in log
    assert "source.no-audio-track" in log
    (told,) = client.get(f"/api/v1/jobs/{job.id}").json["attempts"]  # type: ignore[index]
    lines = client.get(told["log_url"]).json["lines"]  # type: ignore[index]
    assert [line["event"] for line in lines] == [*("said", "begin", "end", "begin", "end", "ended")]


@pytest.mark.parametrize("name", ["worker", "watch"])
def test_a_process_that_does_not_run_is_told(
    box: Box, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    lives = frozenset({"worker", "watch"}) - {name}
    monkeypatch.setattr(alive, "running", lambda _state, _run: lives)
    page = text(client, "/")
    assert f"The {name} is not running" in page
    assert "1 thing needs you" in page
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # the kernel does not tell
    assert "is not running" not in text(client, "/")
    del box


def test_help_begins_with_what_the_readme_tells_people_who_drop_files(client: FlaskClient) -> None:
    page = text(client, "/help")
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as stream:
        told = stream.read().partition("## For the person who drops files")[2].partition("\n## ")[0]
    rows = [line for line in told.splitlines() if line.startswith("| `")]
    assert len(rows) == 4
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    for row in rows:
        for cell in row.strip("| ").split(" | "):
            assert re.sub(r"[`*]", "", cell) in plain
    assert plain.index("talk.mp4.ERROR.txt") < plain.index("What messages mean")


def test_a_text_that_was_corrected_is_shown_as_it_is_now(client: FlaskClient, box: Box) -> None:
    job = box.finish(b"talk.mp4")
    better = ["Good evening, everybody."]
    revise.edit(box.ledger, job.id, on="1.0", task="transcribe", first=0, texts=better, who="ann")
    page = client.get(f"/jobs/{job.id}").text
    assert "Good evening, everybody." in page
    assert "Good morning" not in page
