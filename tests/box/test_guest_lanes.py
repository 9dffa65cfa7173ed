"""The lanes of the guest, without one: that they notice what must not be."""

from __future__ import annotations

import hashlib
import sqlite3
import wave
from io import BytesIO
from pathlib import Path

import pytest

from tests.box.guest import lab, shares
from tests.box.guest.__main__ import LANES
from tests.box.guest.inside import drip, told
from tests.box.guest.lab import Asked
from tests.box.guest.servers import NFS, SAMBA
from tests.box.guest.shares import Bench


def answers(*seconds: float, path: str = "/", status: int = 200) -> list[Asked]:
    return [Asked(float(n), path, status, took, {}) for n, took in enumerate(seconds)]


def test_every_lane_says_what_it_proves_and_has_something_to_do() -> None:
    for name, lane in LANES.items():
        assert lane.proves
        assert lane.cases or lane.long
        assert not lane.cases.keys() & lane.long.keys(), name


def test_a_page_that_is_slow_broken_or_slower_than_it_was_is_noticed() -> None:
    bench = Bench(SAMBA, well=0.1)
    assert not [*bench.unwell(answers(0.1, 0.2, 0.4))]
    assert not [*bench.unwell(answers(0.1, path="/readyz", status=503))]
    assert [*bench.unwell(answers(0.1, status=500))] == ["/ answered 500"]
    assert "/ took 2.10 s" in [*bench.unwell(answers(0.1, 2.1))]
    assert "the pages became slow" in [*bench.unwell(answers(*[0.1] * 98, 0.6, 0.6))]


def test_when_a_share_was_shown_down_is_told_from_the_answers() -> None:
    down = {"status": "fail", "code": "share.offline"}
    seen = [*answers(0.1, 0.1), Asked(14.0, "/readyz", 503, 0.5, down)]
    assert shares.shown_down(seen, 4.0) == (10.5, "share.offline")
    assert shares.shown_down(answers(0.1), 0.0) == (float("inf"), "never")


def test_of_a_hundred_answers_one_may_be_slower() -> None:
    assert lab.p99([0.1] * 99 + [9.0]) == 0.1
    assert lab.p99([0.1] * 98 + [9.0, 9.0]) == 9.0
    assert lab.p99([0.3]) == 0.3


def test_a_hum_is_a_recording_of_its_own() -> None:
    with wave.open(BytesIO(lab.hum("a.wav", 2.0))) as sound:
        assert sound.getnframes() == 2 * sound.getframerate()
    assert lab.hum("a.wav") != lab.hum("b.wav")


def test_what_was_acknowledged_and_is_gone_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger.db"
    with sqlite3.connect(ledger) as db:
        db.execute("CREATE TABLE job (id, share, path, state)")
        db.execute("CREATE TABLE export (job, path, sha256)")
        db.execute("INSERT INTO job VALUES (1, 's', CAST('a.wav' AS BLOB), 'done')")
        digest = hashlib.sha256(b"words").hexdigest()
        db.execute("INSERT INTO export VALUES (1, CAST('a.txt' AS BLOB), ?)", [digest])
    db.close()
    monkeypatch.setattr(told, "LEDGER", f"file:{ledger}?mode=ro")
    (tmp_path / "a.txt").write_bytes(b"words")
    said = told.said()
    assert told.kept(said, str(tmp_path)) == []
    (tmp_path / "a.txt").write_bytes(b"word")
    assert told.kept(said, str(tmp_path)) == ["a.txt of a job that is done is not whole"]
    said["jobs"]["b.wav"] = "queued"
    assert "b.wav was queued and is None" in told.kept(said, str(tmp_path))


def test_a_drop_that_is_repeated_is_the_same() -> None:
    assert drip.content_of(3, 7) == drip.content_of(3, 7) != drip.content_of(4, 7)


def test_what_begins_with_a_server_also_ends() -> None:
    for server in (SAMBA, NFS):
        assert all(fault.begins and fault.ends for fault in server.faults.values())
