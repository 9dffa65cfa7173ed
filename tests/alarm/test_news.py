"""Jobs are told of where that is wanted: once, together, and without their names unless asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.alarm import news
from appliance.errors import NoAudioTrack
from appliance.nouns import Options, Source
from appliance.settings import Settings
from appliance.states import State, Verdict
from appliance.store import jobs, schema
from appliance.store.ledger import Ledger

CHANNELS: list[dict[str, object]] = [
    {"name": "plain", "jobs": "failed"},
    {"name": "named", "jobs": "failed", "names": True, "shares": ["a"]},
    {"name": "every", "jobs": "all"},
    {"name": "day", "jobs": "daily"},
    {"name": "none"},
]


class Desk:
    """A ledger with jobs that fail, and what is written about them."""

    def __init__(self, folder: Path) -> None:
        channels = [{"kind": "ntfy", "url": "https://host/topic", **one} for one in CHANNELS]
        shares = [{"name": name, "root": str(folder / name)} for name in "ab"]
        self.settings = Settings.model_validate(
            {
                "node": {"state_dir": str(folder / "state")},
                "share": shares,
                "notify": {"channel": channels},
            }
        )
        schema.prepare(self.settings.state_dir)
        self.ledger = Ledger(self.settings.state_dir)

    def fail(self, share: str, path: bytes) -> None:
        job = jobs.add(self.ledger, Source(share, path, 1, 1), Options(), correlation="c")
        assert job is not None
        claimed = jobs.claim(self.ledger, job.id, owner="w")
        assert claimed is not None
        jobs.end(self.ledger, claimed, Verdict(State.FAILED), NoAudioTrack(), who="w")

    def tell(self, *, later_ms: int = 0) -> None:
        now = self.ledger.clock()
        news.tell(self.ledger, self.settings, replace(now, wall_ms=now.wall_ms + later_ms))

    def letters(self, channel: str) -> list[dict[str, Any]]:
        rows = self.ledger.rows("SELECT body FROM outbox WHERE channel = ?", [channel])
        return [json.loads(row["body"]) for row in rows]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.ledger.close()


def test_failures_are_told_once_and_together(desk: Desk) -> None:
    desk.fail("a", b"before anybody asked.wav")
    desk.tell()
    assert desk.letters("plain") == [], "who begins to listen hears what comes"
    for number in range(30):
        desk.fail("a", b"talk %d.wav" % number)
    desk.fail("b", b"other.wav")
    desk.tell()
    desk.tell()
    (letter,) = desk.letters("plain")
    assert (letter["kind"], letter["failed"], letter["done"]) == ("jobs", 31, 0)
    assert "31 recordings could not be transcribed" in letter["title"]
    assert "and 11 more" in letter["text"]
    assert desk.letters("none") == []


def test_a_recording_is_named_only_where_that_was_asked_for(desk: Desk) -> None:
    desk.tell()
    desk.fail("a", b"Dismissal of J. Doe.wav")
    desk.fail("b", b"other.wav")
    desk.tell()
    (plain,), (named,) = desk.letters("plain"), desk.letters("named")
    assert "Doe" not in json.dumps(plain)
    assert "Dismissal of J. Doe.wav (source.no-audio-track)" in named["text"]
    assert named["failed"] == 1, "of its shares"


def test_a_name_that_wants_to_break_a_letter_cannot(desk: Desk) -> None:
    desk.tell()
    desk.fail("a", b"x\r\nBcc: all@world\x1b[2J.wav")
    desk.tell()
    (letter,) = desk.letters("named")
    assert "\r" not in letter["text"]
    assert "\x1b" not in letter["text"]
    assert "\nBcc" not in letter["text"]


def test_what_is_done_is_told_where_that_is_wanted(desk: Desk) -> None:
    desk.tell()
    desk.fail("a", b"bad.wav")
    job = jobs.add(desk.ledger, Source("a", b"good.wav", 1, 1), Options(), correlation="c")
    assert job is not None
    claimed = jobs.claim(desk.ledger, job.id, owner="w")
    assert claimed is not None
    jobs.finish(desk.ledger, claimed, (), rss_peak=None)
    desk.tell()
    (every,), (plain,) = desk.letters("every"), desk.letters("plain")
    assert (every["done"], every["failed"]) == (1, 1)
    assert "1 recording done, 1 recording could not be transcribed" in every["title"]
    assert [row["job"] for row in plain["jobs"]] == [1]


def test_the_day_is_told_once_a_day(desk: Desk) -> None:
    day = 86_400_000
    desk.tell()
    desk.fail("a", b"talk.wav")
    desk.tell()
    assert desk.letters("day") == []
    desk.tell(later_ms=day)
    desk.tell(later_ms=day)
    (letter,) = desk.letters("day")
    assert letter["failed"] == 1
    desk.tell(later_ms=2 * day + 1)
    assert len(desk.letters("day")) == 2
