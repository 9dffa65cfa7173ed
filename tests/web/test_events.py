"""What happens to jobs, as a stream and as pages: nothing twice, nothing left out in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance.accounts import keys
from appliance.errors import StreamsFull
from appliance.rights import Right
from appliance.states import State
from appliance.store import events, jobs
from tests import signed_in
from tests.web.box import Box
from web import create_app, db
from web.api import events as told_events
from web.api.streams import SEATS, Streams

STREAM = {"Accept": "text/event-stream"}


def script(client: FlaskClient, *steps: Callable[[], object]) -> None:
    """What happens while a listener waits, a step each time; then the process is to end."""
    seats: Streams = client.application.extensions["appliance.streams"]
    going = iter(steps)
    over: list[None] = []

    def pause(_seconds: float) -> None:
        step = next(going, None)
        if step is None:
            over.append(None)
        else:
            step()

    seats.pause = pause
    seats.stays = lambda: not over


def heard(client: FlaskClient, **headers: str) -> list[tuple[str, int | None, Any]]:
    """All that a stream told until it ended: kind, number, facts."""
    answer = client.get("/api/v1/events", headers=STREAM | headers, buffered=True)
    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    return list(_parsed(answer.text))


def _parsed(text: str) -> Iterator[tuple[str, int | None, Any]]:
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":")
        if "event" in fields:
            number = int(fields["id"]) if "id" in fields else None
            yield fields["event"], number, json.loads(fields["data"])


def test_a_step_is_told_as_it_happens(box: Box, program: FlaskClient) -> None:
    box.add(b"before.wav")
    script(program, lambda: box.add(b"a\nb.wav"), lambda: None)
    told = [facts for kind, _, facts in heard(program) if kind == "job"]
    assert [(one["recording"], one["from"], one["to"]) for one in told] == [
        ("a\nb.wav", None, "discovered"),
        ("a\nb.wav", "discovered", "queued"),
    ]


def test_whoever_was_away_is_told_what_they_missed_and_nothing_twice(
    box: Box, program: FlaskClient
) -> None:
    job = box.add(b"a.wav")
    everything = [one.id for one in events.since(box.ledger, 0, limit=100)]
    last = everything[0]
    script(program, lambda: jobs.cancel(box.ledger, job, who="t"))
    numbers = [number for kind, number, _ in heard(program, **{"Last-Event-ID": str(last)})]
    assert numbers == [one.id for one in events.since(box.ledger, last, limit=100)]
    assert len(numbers) == len(set(numbers)) == len(everything)


def test_who_missed_very_much_begins_anew(
    box: Box, program: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_events, "_MOST", 3)
    for number in range(4):
        box.add(b"%d.wav" % number)
    script(program)
    told = heard(program, **{"Last-Event-ID": "1"})
    assert told[0][0] == "lost"
    assert len(told) == 4
    page = program.get("/api/v1/events?after=1").json
    assert page is not None
    assert (page["lost"], len(page["events"])) == (True, 3)


def test_a_number_from_before_a_restored_backup_begins_anew(program: FlaskClient) -> None:
    script(program)
    assert [kind for kind, *_ in heard(program, **{"Last-Event-ID": "999999"})] == ["lost"]


def test_a_burst_is_told_whole(
    box: Box, program: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_events, "_AT_ONCE", 2)
    for number in range(5):
        box.add(b"%d.wav" % number)
    script(program)
    assert len(heard(program, **{"Last-Event-ID": "0"})) == 10


def test_a_step_between_two_questions_is_told_once(box: Box, program: FlaskClient) -> None:
    between = iter([b"first.wav", b"second.wav"])

    def happen(sql: str) -> None:
        """Something happens after the newest number was read and before the steps are."""
        if "FROM event CROSS JOIN" in sql and (name := next(between, None)):
            box.add(name)

    connection = program.application.extensions["appliance.ledger"].db.conn
    connection.set_trace_callback(happen)
    script(program, lambda: None, lambda: None)
    numbers = [number for kind, number, _ in heard(program) if kind == "job" and number]
    assert len(numbers) == 4
    assert numbers == sorted(set(numbers))
    connection.set_trace_callback(None)


def test_a_page_of_steps_ends_where_its_steps_do(box: Box, program: FlaskClient) -> None:
    begun: list[str] = []

    def happen(sql: str) -> None:
        if "FROM event CROSS JOIN" in sql and not begun:
            begun.append(sql)
            box.add(b"between.wav")

    connection = program.application.extensions["appliance.ledger"].db.conn
    connection.set_trace_callback(happen)
    page = program.get("/api/v1/events?after=0").json
    connection.set_trace_callback(None)
    assert page is not None
    assert page["next"] == page["events"][-1]["id"]


def test_how_far_a_job_is_goes_along_where_it_changes(box: Box, program: FlaskClient) -> None:
    job = box.run(b"a.wav")

    def goes_on(done: float) -> Callable[[], None]:
        facts: dict[str, object] = {"stage": "transcribe", "done": done, "total": 1000.0}
        return lambda: box.progress({job.id: facts})

    script(program, goes_on(100.0), lambda: None, goes_on(500.0))
    told = [facts["percent"] for kind, _, facts in heard(program) if kind == "progress"]
    assert told == [None, 10, 50]


def test_a_silent_stream_shows_that_it_lives(program: FlaskClient) -> None:
    script(program, *[lambda: None] * 40)
    text = program.get("/api/v1/events", headers=STREAM, buffered=True).text
    assert text.count("\n: ") + text.startswith(": ") == 2
    assert "event:" not in text


def test_a_key_that_is_revoked_hears_no_more(box: Box) -> None:
    app = create_app(box.settings)
    client = app.test_client(use_cookies=False)
    header = signed_in.key(box.ledger, Right.READ)
    name = header["Authorization"].split("_")[1]
    script(
        client,
        lambda: box.add(b"seen.wav"),
        lambda: keys.revoke(box.ledger, signed_in.TEST, name),
        lambda: box.add(b"unseen.wav"),
        lambda: None,
    )
    told = [facts["recording"] for _, _, facts in heard(client, **header)]
    assert set(told) == {"seen.wav"}
    db.close(app)


def test_what_lies_in_another_share_is_not_told(box: Box) -> None:
    app = create_app(box.settings)
    client = app.test_client(use_cookies=False)
    header = signed_in.key(box.ledger, Right.READ, shares=["meetings"])
    box.run(b"theirs.wav", share="archive")
    box.run(b"ours.wav")
    script(client)
    told = heard(client, **header, **{"Last-Event-ID": "0"})
    assert {facts["recording"] for _, _, facts in told} == {"ours.wav"}
    page = client.get("/api/v1/events?after=0", headers=header).text
    assert "ours" in page
    assert "theirs" not in page
    db.close(app)


def test_there_are_few_seats_and_fewer_for_one_asker() -> None:
    seats = Streams()
    leave, *_ = [seats.sit("anna") for _ in range(4)]
    with pytest.raises(StreamsFull):
        seats.sit("anna")
    leave()
    leave()  # a seat is given up once
    seats.sit("anna")
    with pytest.raises(StreamsFull):
        seats.sit("anna")


def test_whoever_finds_no_seat_is_told_and_a_seat_is_given_up(program: FlaskClient) -> None:
    script(program)
    seats: Streams = program.application.extensions["appliance.streams"]
    leave, *_ = [seats.sit(f"somebody {number}") for number in range(SEATS)]
    full = program.get("/api/v1/events", headers=STREAM)
    assert full.status_code == 429
    assert full.json is not None
    assert full.json["code"] == "policy.streams-full"
    leave()
    for _twice in range(2):
        assert heard(program) == []


def test_pages_do_the_same_for_whoever_cannot_stream(box: Box, program: FlaskClient) -> None:
    first = program.get("/api/v1/events")
    assert first.json is not None
    assert first.json["events"] == []
    again = program.get("/api/v1/events", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    box.add(b"a.wav")
    seen: list[str] = []
    after = first.json["next"]
    for _ in range(3):
        page = program.get(f"/api/v1/events?after={after}&limit=1").json
        assert page is not None
        seen += [one["to"] for one in page["events"]]
        after = page["next"]
    assert seen == [State.DISCOVERED, State.QUEUED]
