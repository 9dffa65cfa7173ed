"""Explaining: an answer for any file, whatever became of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import admit
from appliance.admit import rules
from appliance.cli.explain import _look
from appliance.errors import NoAudioTrack, ShareOffline
from appliance.explain import _JOB, There, explain
from appliance.nouns import Options, Source
from appliance.settings import Settings
from appliance.states import State, Verdict
from appliance.store import exports, gates, jobs, schema, shares, sightings
from appliance.store.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path / "state"))
    with Ledger(str(tmp_path / "state")) as opened:
        shares.adopt(opened, "s", marker="m", existing="process")
        shares.seen(opened, "s", state="online", method="events+scan")
        shares.scanned(opened, "s", old_files=0)
        yield opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"share": [{"name": "s", "root": str(tmp_path / "in")}]})


def said(ledger: Ledger, settings: Settings, path: str) -> str:
    return " ".join(explain(ledger, settings, f"{settings.share[0].root}/{path}"))


def source(path: bytes = b"talk.mp4") -> Source:
    return Source("s", path, 10, 1)


def test_a_file_outside_every_share_is_nobodys(ledger: Ledger, settings: Settings) -> None:
    assert "any share" in explain(ledger, settings, "/etc/passwd")[0]


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("talk.txt", "not-media"),
        ("talk.mp4.part", "partial-download"),
        ("@eaDir/talk.mp4", "system-folder"),
        ("private/deep/talk.mp4", "notranscribe"),
        ("usb/talk.mp4", "other-filesystem"),
    ],
)
def test_a_rule_is_named_and_said_in_words(
    ledger: Ledger, settings: Settings, path: str, rule: str
) -> None:
    for marked, why in ((b"private/.notranscribe", "notranscribe"), (b"usb", "other-filesystem")):
        sightings.note(ledger, source(marked), sightings.IGNORED, correlation="c", why=why)
    told = said(ledger, settings, path)
    assert rule in told
    assert rules.SENTENCES[rule] in told


def test_a_file_on_its_way_is_told_with_its_bytes(ledger: Ledger, settings: Settings) -> None:
    big = Source("s", b"talk.mp4", 1_234_567, 1)
    sightings.note(ledger, big, sightings.RECEIVING, correlation="c")
    assert "1,234,567 bytes of it" in said(ledger, settings, "talk.mp4")


def test_a_file_never_seen_is_said_to_be_unseen(ledger: Ledger, settings: Settings) -> None:
    assert "not seen it" in said(ledger, settings, "talk.mp4")


def test_the_place_in_the_queue_is_told(ledger: Ledger, settings: Settings) -> None:
    for n in range(3):
        admit.admit(ledger, source(b"%d.mp4" % n), Options())
    assert "next in the queue" in said(ledger, settings, "0.mp4")
    assert "2 before it" in said(ledger, settings, "2.mp4")


def test_a_failure_comes_with_its_next_step(ledger: Ledger, settings: Settings) -> None:
    job = running(ledger)
    jobs.end(ledger, job, Verdict(State.FAILED), NoAudioTrack(name="talk.mp4"), who="w")
    told = said(ledger, settings, "talk.mp4")
    assert "holds no sound" in told
    assert "Export it again" in told


def test_a_job_behind_a_gate_says_what_closed_it(ledger: Ledger, settings: Settings) -> None:
    job = running(ledger)
    jobs.end(ledger, job, Verdict(State.WAITING), ShareOffline(share="s"), who="w")
    gates.close(ledger, ShareOffline(share="s"))
    assert "does not answer" in said(ledger, settings, "talk.mp4")


def test_what_we_wrote_is_known_as_ours(ledger: Ledger, settings: Settings) -> None:
    job = running(ledger)
    facts = {"path": b"talk.srt", "format_": "srt", "suffix": ".srt", "sha256": "0", "size": 5}
    exports.intend(ledger, job, **facts)  # type: ignore[arg-type]
    exports.published(ledger, job, b"talk.srt")
    assert "the srt file of job" in said(ledger, settings, "talk.srt")
    jobs.finish(ledger, job, [], rss_peak=None)
    assert "beside it lie talk.srt" in said(ledger, settings, "talk.mp4")


@pytest.mark.parametrize("state", list(State))
def test_every_state_of_a_job_has_a_sentence(ledger: Ledger, state: State) -> None:
    job = running(ledger)
    assert _JOB[state](ledger, job).endswith(".")


def test_a_share_that_is_away_or_not_adopted_is_said_first(
    ledger: Ledger, settings: Settings
) -> None:
    shares.seen(ledger, "s", state="offline", why="No route to host")
    assert "offline (No route to host)" in said(ledger, settings, "talk.mp4")
    with ledger.writing() as db:
        db.execute("UPDATE share SET adopted_ms = NULL, old_files = 300")
    assert "appliance share adopt s" in said(ledger, settings, "talk.mp4")


def running(ledger: Ledger) -> jobs.Job:
    born = admit.admit(ledger, source(), Options())
    assert born is not None
    job = jobs.claim(ledger, born.id, owner="w")
    assert job is not None
    return job


@pytest.mark.parametrize("there", [There.FOLDER, There.UNKNOWN])
def test_a_folder_is_spoken_of_as_a_folder(
    ledger: Ledger, settings: Settings, there: There
) -> None:
    for path in (b"monday/a.mp4", b"monday/deep/b.mp4", b"monday2/c.mp4", b"monday.mp4"):
        admit.admit(ledger, source(path), Options())
    folder = f"{settings.share[0].root}/monday"
    told = " ".join(explain(ledger, settings, folder, look=lambda _path: there))
    assert "a folder; we know of 2 recordings in it: 2 queued" in told


def test_a_folder_that_is_kept_out_says_by_which_rule(ledger: Ledger, settings: Settings) -> None:
    for path, rule in (("@eaDir", "system-folder"), ("private/deep", "notranscribe")):
        marked = source(b"private/.notranscribe")
        sightings.note(ledger, marked, sightings.IGNORED, correlation="c", why="notranscribe")
        whole = f"{settings.share[0].root}/{path}"
        told = " ".join(explain(ledger, settings, whole, look=lambda _path: There.FOLDER))
        assert "It is a folder." in told
        assert rules.SENTENCES[rule] in told


def test_a_file_that_is_not_there_is_said_to_be_missing(ledger: Ledger, settings: Settings) -> None:
    path = f"{settings.share[0].root}/talk.mp4"
    told = explain(ledger, settings, path, look=lambda _path: There.NOTHING)
    assert told == ["There is no such file now."]
    admit.admit(ledger, source(), Options())
    told = explain(ledger, settings, path, look=lambda _path: There.NOTHING)
    assert told[0] == "There is no such file now."
    assert "queue" in told[1]


def test_nobody_is_asked_while_the_share_is_away(ledger: Ledger, settings: Settings) -> None:
    shares.seen(ledger, "s", state="offline")

    def hangs(_path: bytes) -> There:
        raise AssertionError("a file server that hangs was asked")

    explain(ledger, settings, f"{settings.share[0].root}/talk.mp4", look=hangs)


def test_the_file_system_says_what_lies_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(b"1")
    found = [_look(bytes(tmp_path / name)) for name in ("talk.wav", "", "no", "talk.wav/no")]
    assert found == [There.FILE, There.FOLDER, There.NOTHING, There.NOTHING]
