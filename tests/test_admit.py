"""Deciding: what is a recording, with which options, and what stays out under which rule."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import admit, beneath
from appliance.admit import folder, rules
from appliance.admit.folder import FolderOptions
from appliance.errors import NoAudioTrack
from appliance.nouns import Options, Source
from appliance.states import State, Verdict
from appliance.store import jobs, overdue, schema, sightings
from appliance.store.ledger import Ledger
from appliance.store.shares import ShareRow

SOURCE = Source("s", b"a/talk.mp4", 10, 1)
ADOPTED = ShareRow("s", marker="m", existing="process", adopted_ms=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as opened:
        yield opened


# --- rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        b"talk.mp4",
        b"TALK.WAV",
        b"a/b/c.mp3",
        b"caf\xe9.mp3",
        b"new\nline <b>.ogg",
        b"#1 (draft).m4a",
        b"x" * 251 + b".mp3",
        b"a part.of it.opus",
    ],
)
def test_a_recording_is_wanted(path: bytes) -> None:
    assert rules.of_path(path) is None


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        (b"talk.txt", "not-media"),
        (b"talk.mp4.srt", "not-media"),
        (b"mp3", "not-media"),
        (b".mp3", "hidden"),
        (b".hidden/talk.mp3", "hidden"),
        (b"a/.b/c/talk.mp3", "hidden"),
        (b"._talk.mp3", "mac-twin"),
        (b"~$talk.mp3", "office-lock"),
        (b"talk.mp3.part", "partial-download"),
        (b"talk.mp3.crdownload", "partial-download"),
        (b"talk.mp3.!qB", "partial-download"),
        (b"talk.mp3.ocTransferId123.part", "partial-download"),
        (b".~appliance-7.1.srt", "own-file"),
        (b"talk.mp4.ERROR.txt", "own-file"),
        (b".transcribe.toml", "own-file"),
        (b".syncthing.talk.mp3.tmp", "partial-download"),
        (b"~syncthing~talk.mp3", "sync-temporary"),
        (b".nfs0001.mp3", "server-temporary"),
        (b"@eaDir/talk.mp3", "system-folder"),
        (b"a/#recycle/talk.mp3", "system-folder"),
        (b"System Volume Information/talk.mp3", "system-folder"),
        (b".Trash-1000/talk.mp3", "hidden"),
    ],
)
def test_what_is_no_recording_has_a_rule(path: bytes, rule: str) -> None:
    assert rules.of_path(path) == rule


def test_every_rule_has_its_sentence() -> None:
    named = {rule for rule, _ in (*rules._ANY, *rules._FILES, *rules._FOLDERS)}
    assert named <= rules.SENTENCES.keys()


# --- decisions ----------------------------------------------------------------------------------


def test_nothing_runs_in_a_share_nobody_adopted() -> None:
    decision = admit.decide(SOURCE.path, ShareRow("s"))
    assert decision == admit.Decision(admit.Step.HOLD, "not-adopted")


def test_old_files_are_left_alone_when_that_was_decided() -> None:
    old = ShareRow("s", existing="ignore", adopted_ms=1)
    assert admit.decide(SOURCE.path, old).why == "old-file"
    later = ShareRow("s", existing="ignore", adopted_ms=1, scanned_ms=2)
    assert admit.decide(SOURCE.path, later).step is admit.Step.ADMIT


@pytest.mark.parametrize(
    ("wish", "count", "becomes"),
    [
        ("ask", 200, "process"),
        ("ask", 201, "ask"),
        ("ignore", 3, "ignore"),
        ("process", 9_999, "process"),
    ],
)
def test_a_person_is_asked_above_two_hundred_old_files(wish: str, count: int, becomes: str) -> None:
    assert admit.existing_files(wish, count) == becomes


# --- the job is born ----------------------------------------------------------------------------


def test_a_job_and_its_sighting_are_born_together(ledger: Ledger) -> None:
    job = admit.admit(ledger, SOURCE, Options())
    seen = sightings.get(ledger, "s", SOURCE.path)
    assert job is not None
    assert seen is not None
    assert (job.state, job.source, seen.state) == (State.QUEUED, SOURCE, sightings.SETTLED)
    assert job.correlation == seen.correlation


def test_admitting_twice_is_one_job(ledger: Ledger) -> None:
    assert admit.admit(ledger, SOURCE, Options()) is not None
    assert admit.admit(ledger, SOURCE, Options()) is None
    assert len(jobs.listing(ledger)) == 1


def test_what_the_file_was_before_is_not_transcribed_any_more(ledger: Ledger) -> None:
    old = admit.admit(ledger, SOURCE, Options())
    newer = Source("s", SOURCE.path, 20, 2)
    new = admit.admit(ledger, newer, Options())
    assert old is not None
    assert new is not None
    ended = jobs.must(ledger, old.id)
    assert (ended.state, ended.code) == (State.SOURCE_MISSING, "source.changed")


def test_a_job_that_must_settle_again_goes_back_into_the_queue(ledger: Ledger) -> None:
    job = _claimed(ledger)
    jobs.move(ledger, job, State.DISCOVERED, who="worker")
    assert [due.id for due in overdue.unsettled(ledger, "s")] == [job.id]
    again = admit.admit(ledger, SOURCE, Options())
    assert again is not None
    assert (again.id, again.state) == (job.id, State.QUEUED)


def test_a_file_that_is_gone_ends_its_waiting_job_and_may_come_back(ledger: Ledger) -> None:
    job = admit.admit(ledger, SOURCE, Options())
    assert job is not None
    admit.gone(ledger, "s", SOURCE.path)
    assert jobs.must(ledger, job.id).state is State.SOURCE_MISSING
    back = admit.admit(ledger, SOURCE, Options())
    assert back is not None
    assert (back.id, back.state) == (job.id, State.QUEUED)


def test_a_running_job_is_asked_to_stop_when_its_file_goes_or_changes(ledger: Ledger) -> None:
    job = _claimed(ledger)
    admit.admit(ledger, SOURCE, Options())
    assert not jobs.must(ledger, job.id).cancel
    admit.gone(ledger, "s", SOURCE.path)
    running = jobs.must(ledger, job.id)
    assert jobs.cancel_asked(ledger, running) is jobs.Asked.WATCH
    newer = admit.admit(ledger, Source("s", SOURCE.path, 20, 2), Options())
    assert newer is not None
    assert newer.state is State.QUEUED


def test_a_failed_file_dropped_anew_is_tried_anew(ledger: Ledger) -> None:
    job = _claimed(ledger)
    jobs.end(ledger, job, Verdict(State.FAILED), NoAudioTrack(name="talk.mp4"), who="worker")
    assert admit.admit(ledger, SOURCE, Options()) is None  # it never went away
    admit.gone(ledger, "s", SOURCE.path)
    again = admit.admit(ledger, SOURCE, Options(language="de"))
    assert again is not None
    assert (again.id, again.epoch, again.options.language) == (job.id, 2, "de")


def _claimed(ledger: Ledger) -> jobs.Job:
    born = admit.admit(ledger, SOURCE, Options())
    assert born is not None
    job = jobs.claim(ledger, born.id, owner="w")
    assert job is not None
    return job


# --- folder options -----------------------------------------------------------------------------


def options_in(root: Path, path: bytes, known: FolderOptions | None = None) -> Options:
    with beneath.root(str(root)) as fd:
        return (known or FolderOptions()).options(fd, path, Options(language="en"))


def test_the_nearest_folder_has_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".transcribe.toml").write_text('language = "de"\nformats = ["txt"]\n')
    (tmp_path / "a" / ".transcribe.toml").write_text(
        'language = "pl"\ntask = "both"\nvocabulary = ["Frau Nowak"]\n'
    )
    found = options_in(tmp_path, b"a/b/talk.mp3")
    assert (found.language, found.task, found.formats) == ("pl", "both", ("txt",))
    assert found.vocabulary == ("Frau Nowak",)
    assert options_in(tmp_path, b"talk.mp3").language == "de"


def test_a_changed_folder_file_counts_at_once(tmp_path: Path) -> None:
    known = FolderOptions()
    file = tmp_path / ".transcribe.toml"
    file.write_text('language = "de"')
    assert options_in(tmp_path, b"x.mp3", known).language == "de"
    file.write_text('language = "pl"  # longer')
    assert options_in(tmp_path, b"x.mp3", known).language == "pl"
    file.unlink()
    assert options_in(tmp_path, b"x.mp3", known).language == "en"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("langauge = 'de'", "did you mean language?"),
        ("model = 'large-v3'", "model: unknown"),
        ("language = 5", "language"),
        ("not toml", "is not TOML"),
        ("a=" + "[" * 8_000, "nested too deeply"),
        ("language = " + "9" * 5_000, "is not TOML"),
        (".".join(["a"] * 4_090) + "=1", "a: unknown"),
        ("x = '" + "y" * 70_000 + "'", "8 KiB"),
    ],
)
def test_a_bad_folder_file_is_explained_beside_it(tmp_path: Path, text: str, told: str) -> None:
    known = FolderOptions()
    (tmp_path / ".transcribe.toml").write_text(text)
    began = time.process_time()
    assert options_in(tmp_path, b"x.mp3", known).language == "en"
    assert time.process_time() - began < 1.0
    note = tmp_path / ".transcribe.ERROR.txt"
    assert told in note.read_text()
    (tmp_path / ".transcribe.toml").write_text("language = 'de' # good now")
    assert options_in(tmp_path, b"x.mp3", known).language == "de"
    assert not note.exists()


def test_a_note_that_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    note = tmp_path / ".transcribe.ERROR.txt"
    note.write_text("mine")
    (tmp_path / ".transcribe.toml").write_text("nonsense")
    options_in(tmp_path, b"x.mp3")
    assert note.read_text() == "mine"


def test_a_note_that_somebody_changed_is_theirs(tmp_path: Path) -> None:
    known, file = FolderOptions(), tmp_path / ".transcribe.toml"
    file.write_text("nonsense = ")
    options_in(tmp_path, b"x.mp3", known)
    note = tmp_path / ".transcribe.ERROR.txt"
    note.write_bytes(note.read_bytes() + b"\r\nMy own words.\r\n")
    theirs = note.read_bytes()
    file.write_text("other nonsense = ")
    options_in(tmp_path, b"x.mp3", known)
    assert note.read_bytes() == theirs
    file.write_text('language = "de"')
    options_in(tmp_path, b"x.mp3", known)
    assert note.read_bytes() == theirs


def test_an_old_note_of_ours_gives_way_to_a_new_one(tmp_path: Path) -> None:
    file = tmp_path / ".transcribe.toml"
    for text in ("langauge = 'de'", "model = 'large'"):
        file.write_text(text)
        options_in(tmp_path, b"x.mp3")
    note = (tmp_path / ".transcribe.ERROR.txt").read_text()
    assert "model: unknown" in note
    assert "langauge" not in note


def test_a_folder_file_that_is_a_link_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "secret.toml").write_text('language = "de"')
    (tmp_path / "s" / ".transcribe.toml").symlink_to(tmp_path / "secret.toml")
    assert options_in(tmp_path / "s", b"x.mp3").language == "en"


def test_not_more_folders_are_remembered_than_a_thousand(tmp_path: Path) -> None:
    known = FolderOptions()
    for n in range(folder._REMEMBERED + 5):
        (tmp_path / f"{n}").mkdir()
        (tmp_path / f"{n}" / ".transcribe.toml").write_text("")
        options_in(tmp_path, b"%d/x.mp3" % n, known)
    assert len(known._read) == folder._REMEMBERED
