"""What people choose stands over the files for whoever asks then; jobs keep what they had."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import choices, recover
from appliance.choices import profiles
from appliance.errors import (
    ChoiceOfFiles,
    ChoiceStale,
    ChoiceTaken,
    ChoiceUnfit,
    DiskFull,
    ModelMissing,
)
from appliance.nouns import Options, Replacement, Source
from appliance.settings import Glossary, Manner, Profile, Settings
from appliance.states import State, Verdict
from appliance.store import audit, jobs, schema
from appliance.store import choices as rows
from appliance.store.choices import Kind
from appliance.store.ledger import Ledger
from tests.signed_in import TEST
from tests.watched import Watched, settings_for

GERMAN = Profile(language="de", beam=3, vocabulary=("Wagner",), job_memory_mb=2048)


@pytest.fixture
def files(tmp_path: Path) -> Settings:
    """Two profiles, one share that uses one of them."""
    return Settings.model_validate(
        {
            "node": {"state_dir": str(tmp_path / "state")},
            "share": [{"name": "meetings", "root": str(tmp_path / "in"), "profile": "german"}],
            "profile": {"german": GERMAN.model_dump(), "other": {}},
        }
    )


@pytest.fixture
def ledger(files: Settings) -> Iterator[Ledger]:
    schema.prepare(files.state_dir)
    with Ledger(files.state_dir) as opened:
        yield opened


def chosen(ledger: Ledger, files: Settings, name: str, manner: Manner) -> None:
    """Choose it, made on what it says now."""
    seen = profiles.get(ledger, files, name)
    assert seen is not None
    profiles.change(ledger, files, TEST, seen, manner, on=seen.tag)


def reworded(ledger: Ledger, files: Settings, name: str, *words: str) -> None:
    """Give it another vocabulary."""
    seen = profiles.get(ledger, files, name)
    assert seen is not None
    glossary = Glossary(vocabulary=words, replacements={"open eye": "OpenAI"})
    profiles.reword(ledger, files, TEST, seen, glossary, on=seen.words_tag)


def test_what_was_chosen_stands_over_the_files_but_for_limits_and_words(
    ledger: Ledger, files: Settings
) -> None:
    chosen(ledger, files, "german", Manner(language="en", formats=("srt",)))
    now = choices.in_force(ledger, files)
    options = now.options_for(files.share[0])
    assert (options.language, options.formats, options.beam) == ("en", ("srt",), 5)
    assert options.vocabulary == ("Wagner",)
    assert now.limits_for(files.share[0], "german").job_memory_mb == 2048
    assert now.profile["other"] == files.profile["other"]
    assert files.profile["german"].language == "de"


def test_a_vocabulary_is_a_choice_of_its_own(ledger: Ledger, files: Settings) -> None:
    reworded(ledger, files, "german", "Nowak", "Kubernetes")
    reworded(ledger, files, "default", "Öhringen")
    options = choices.in_force(ledger, files).options_for(files.share[0])
    assert options.vocabulary == ("Nowak", "Kubernetes")
    assert options.replacements == (Replacement("open eye", "OpenAI"),)
    assert options.language == "de"
    assert choices.in_force(ledger, files).profile["default"].vocabulary == ("Öhringen",)


def test_taken_back_the_files_speak_again_and_what_is_not_in_them_is_gone(
    ledger: Ledger, files: Settings
) -> None:
    chosen(ledger, files, "german", Manner(language="en"))
    profiles.make(ledger, files, TEST, "interviews", Manner(language="fr"))
    reworded(ledger, files, "interviews", "Nowak")
    for name in ("german", "interviews"):
        seen = profiles.get(ledger, files, name)
        assert seen is not None
        profiles.take_back(ledger, files, TEST, seen, on=seen.tag)
    assert choices.in_force(ledger, files).profile == files.profile
    assert rows.listing(ledger) == []
    did = [(one.did, one.about) for one in reversed(audit.page(ledger))]
    assert did == [
        ("profile-changed", "profile:german"),
        ("profile-changed", "profile:interviews"),
        ("vocabulary-changed", "profile:interviews"),
        ("profile-taken-back", "profile:german"),
        ("profile-removed", "profile:interviews"),
    ]
    seen = profiles.get(ledger, files, "german")
    assert seen is not None
    with pytest.raises(ChoiceOfFiles):
        profiles.take_back(ledger, files, TEST, seen, on=seen.tag)
    with pytest.raises(ChoiceOfFiles):
        profiles.unword(ledger, files, TEST, seen, on=seen.words_tag)


def test_of_two_who_change_it_the_second_is_told(ledger: Ledger, files: Settings) -> None:
    seen = profiles.get(ledger, files, "german")
    assert seen is not None
    profiles.change(ledger, files, TEST, seen, Manner(language="en"), on=seen.tag)
    with pytest.raises(ChoiceStale):
        profiles.change(ledger, files, TEST, seen, Manner(language="fr"), on=seen.tag)
    with pytest.raises(ChoiceStale):
        profiles.take_back(ledger, files, TEST, seen, on=seen.tag)
    assert choices.in_force(ledger, files).profile["german"].language == "en"
    with pytest.raises(ChoiceTaken):
        profiles.make(ledger, files, TEST, "german", Manner())


@pytest.mark.parametrize(
    ("manner", "where"),
    [
        (Manner(model="large-v9"), "model"),
        (Manner(model="../escape"), "model"),
    ],
)
def test_what_no_job_could_be_done_by_is_refused_by_its_field(
    ledger: Ledger, files: Settings, manner: Manner, where: str
) -> None:
    with pytest.raises(ChoiceUnfit) as refused:
        profiles.make(ledger, files, TEST, "new", manner)
    assert refused.value.detail["where"] == where
    assert rows.listing(ledger) == []
    assert audit.page(ledger) == []


def test_a_change_that_is_undone_is_never_in_force(ledger: Ledger, files: Settings) -> None:
    """SQLite gives the number of a row that was rolled back again."""

    def undone() -> None:
        with ledger.writing():
            profiles.make(ledger, files, TEST, "first", Manner(language="de"))
            assert "first" in choices.in_force(ledger, files).profile
            raise DiskFull(where="there", free_gb=0.0)

    with pytest.raises(DiskFull):
        undone()
    assert "first" not in choices.in_force(ledger, files).profile
    profiles.make(ledger, files, TEST, "second", Manner(language="fr"))
    assert choices.in_force(ledger, files).profile["second"].language == "fr"


def test_another_process_sees_a_change_at_its_next_question(
    ledger: Ledger, files: Settings
) -> None:
    with Ledger(files.state_dir) as other:
        before = choices.in_force(other, files)
        assert choices.in_force(other, files) is before  # nothing changed: nothing is made anew
        chosen(ledger, files, "german", Manner(language="en"))
        assert choices.in_force(other, files).profile["german"].language == "en"


def test_a_choice_that_this_version_cannot_use_is_left_out_and_told(
    ledger: Ledger, files: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    rows.put(ledger, Kind.PROFILE, "german", {"model": "m", "telepathy": True}, "user:anna")
    with caplog.at_level(logging.WARNING):
        assert choices.in_force(ledger, files).profile == files.profile
    assert "profile german: telepathy" in caplog.text
    assert choices.left_out(files) == ("profile german: telepathy: Extra inputs are not permitted",)


def test_a_recording_is_asked_for_as_is_chosen_when_it_is_admitted(tmp_path: Path) -> None:
    watched = Watched(tmp_path, settings_for(tmp_path))
    watched.adopt()
    watched.until(lambda: watched.row.scanned_ms is not None)
    watched.drop("before.wav")
    watched.until(lambda: watched.queued("before.wav"))
    chosen(watched.ledger, watched.settings, "default", Manner(language="fr"))
    watched.drop("after.wav")
    watched.until(lambda: len(watched.jobs) == 2)
    asked = {one.source.path: one.options.language for one in jobs.listing(watched.ledger)}
    assert asked == {b"before.wav": None, b"after.wav": "fr"}
    watched.close()


def test_a_job_that_waits_for_a_model_asks_for_the_one_that_was_chosen_since(
    ledger: Ledger, files: Settings
) -> None:
    stuck = waiting(ledger, "german", "gone")
    chosen(ledger, files, "german", Manner(model="selftest", language="de"))
    recover.reconcile(ledger, files, ring=lambda _job: None, pending=0)
    moved, left = (jobs.get(ledger, stuck[name].id) for name in ("german", "gone"))
    assert moved is not None
    assert left is not None
    assert (moved.state, moved.options.model) == (State.QUEUED, "selftest")
    assert moved.epoch == stuck["german"].epoch + 1
    assert (left.state, left.options.model) == (State.WAITING, "large-v9")


def waiting(ledger: Ledger, *names: str) -> dict[str, jobs.Job]:
    """Jobs that wait for a model that is not there, by their profile."""
    for name in names:
        options = Options(profile=name, model="large-v9")
        source = Source("meetings", f"{name}.wav".encode(), 4_000, 1)
        jobs.add(ledger, source, options, correlation="c", who="watch")
    running = [jobs.claim(ledger, one.id, owner="w1") for one in jobs.listing(ledger)]
    verdict, error = Verdict(State.WAITING), ModelMissing(model="large-v9")
    ended = [jobs.end(ledger, one, verdict, error, who="w1") for one in running if one]
    return {one.options.profile: one for one in ended}


def test_the_command_shows_what_is_in_force_and_who_says_so(
    ledger: Ledger, files: Settings, tmp_path: Path
) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text(
        f"[node]\nstate_dir = '{files.state_dir}'\n[profile.german]\nlanguage = 'de'\nbeam = 3\n"
    )
    chosen(ledger, files, "german", Manner(language="en", beam=3))

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "appliance", "--settings", str(toml), *words]
        return subprocess.run(line, capture_output=True, text=True, env={**os.environ}, check=False)

    shown = json.loads(command("--json", "settings", "show", "--effective").stdout)
    said = {one["key"]: (one["value"], one["said by"]) for one in shown}
    assert said["profile.german.language"] == ('"en"', "the page")
    assert said["profile.german.beam"] == ("3", str(toml))
    assert json.loads(command("settings", "show").stdout)["profile"]["german"]["language"] == "en"
    assert command("settings", "check").returncode == 0
    rows.put(ledger, Kind.PROFILE, "german", {"beam": 99}, "user:anna")
    check = command("settings", "check")
    assert check.returncode == 78
    assert "profile german: beam" in check.stderr
