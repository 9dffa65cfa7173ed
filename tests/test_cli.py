"""The command: verbs, exit codes, what people read and what scripts read."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from appliance import cli as families
from appliance import daemon, logbook
from appliance.cli.columns import cut, length, width
from appliance.cli.models import distance
from appliance.cli.site import STOPPED
from appliance.errors import SourceUnreadable
from appliance.health import alive
from appliance.nouns import Options, Source
from appliance.states import State, Verdict
from appliance.store import jobs, schema
from appliance.store.ledger import Ledger
from tests.line.running import FORMATS, SAMPLES

ENGLISH = os.path.join(SAMPLES, "welcome-english.wav")


class Place:
    """A working directory with the command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str, expect: int = 0) -> str:
        """Run the command; its output, errors last."""
        ran = subprocess.run(
            [sys.executable, "-m", "appliance", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        told = ran.stdout + ran.stderr
        assert ran.returncode == expect, told
        assert "Traceback" not in told
        return told

    def read(self, *words: str, expect: int = 0) -> Any:
        """Run the command with --json; what it says on stdout."""
        ran = subprocess.run(
            [sys.executable, "-m", "appliance", "--json", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == expect, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def failed_job(self) -> int:
        """A ledger with one failed job in it."""
        state = str(self.folder / ".appliance")
        schema.prepare(state)
        with Ledger(state) as ledger:
            source = Source("inbox", b"<b>\ntalk.mp3", 10, 5)
            born = jobs.add(ledger, source, Options(), correlation="c")
            assert born is not None
            job = jobs.claim(ledger, born.id, owner="me")
            assert job is not None
            error = SourceUnreadable(name="talk.mp3")
            return jobs.end(ledger, job, Verdict(State.FAILED), error, who="me").id


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("APPLIANCE_SETTINGS", "APPLIANCE_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Place(tmp_path)


def test_every_verb_has_help(place: Place) -> None:
    told = place.run("--help")
    for verb in ("up", "demo", "transcribe", "watch", "worker", "engine", "web", "jobs", "share"):
        assert f"\n  {verb}" in told
    assert "Usage" in place.run("jobs", "retry", "--help")


def test_no_ledger_yet_is_told_kindly(place: Place) -> None:
    assert "appliance up" in place.run("jobs", "list", expect=69)


def test_mistakes_in_the_settings_end_every_verb_with_78(place: Place) -> None:
    (place.folder / "appliance.toml").write_text("[disk]\nwarn_below = 1\n")
    for words in (["settings", "check"], ["jobs", "list"], ["worker"], ["up"]):
        assert "did you mean warn_below_gb?" in place.run(*words, expect=78)


def test_a_box_that_does_not_run_is_told_and_one_that_runs_is_not(place: Place) -> None:
    number = str(place.failed_job())
    (place.folder / "talks").mkdir()
    place.run("share", "add", "talks", "talks")
    verbs = (["jobs", "list"], ["jobs", "retry", number], ["share", "list"], ["explain", "talks/a"])
    for words in verbs:
        assert STOPPED in place.run(*words)
    found = {row["code"]: row["level"] for row in place.read("check", expect=1)}
    assert found["worker"] == found["watch"] == found["engine"] == "FAIL"
    place.run("jobs", "cancel", number)
    with daemon.only_one(str(place.folder / ".appliance"), "worker"):
        assert alive.held(str(place.folder / ".appliance"), "worker")
        for words in verbs:
            assert STOPPED not in place.run(*words)
    assert not alive.held(str(place.folder / ".appliance"), "worker")


def test_cleaning_up_leaves_the_recordings_of_people_alone() -> None:
    rule = Path(SAMPLES, "..", "..", "..", "Makefile").read_text(encoding="utf-8")
    assert "inbox" not in rule.partition("\nclean:")[2].partition("\n")[2]


def test_a_wrong_word_is_usage(place: Place) -> None:
    place.run("jobs", "list", "--state", "broken", expect=2)
    place.run("nothing", expect=2)


def test_what_would_go_is_said_before_it_goes(place: Place) -> None:
    place.failed_job()
    part = place.folder / ".appliance" / "models" / ".large@0123456789ab.part"
    part.mkdir(parents=True)
    assert "nothing to remove" in place.run("retention", "--preview")
    settings = place.folder / "appliance.toml"
    settings.write_text("[retention]\npartials_days = 0.0000001\n", encoding="utf-8")
    told = place.read("retention", "--preview")
    assert [rule["files"] for rule in told["rules"] if rule["rule"] == "partials"] == [1]
    assert part.exists()
    assert "partials: 1 removed" in place.run("retention")
    assert not part.exists()


def test_the_log_of_an_attempt_is_shown_in_short_and_line_by_line(place: Place) -> None:
    number = place.failed_job()
    assert "no log of attempt 1" in place.run("jobs", "show", str(number), "--log", expect=1)
    with logbook.kept(str(place.folder / ".appliance" / "logs"), number, 1) as book:
        book.add("claimed", recording="<b>\x1b[31m\ntalk.mp3")
        book.enter("stage")
        book.end(state="failed", code="source.unreadable")
    shown = place.run("jobs", "show", str(number))
    assert "stage: 0." in shown
    assert "ended code: source.unreadable" in shown
    log = place.run("jobs", "show", str(number), "--log")
    assert [line.split("  ")[1] for line in log.splitlines()] == [
        *("claimed", "begin", "end", "ended")
    ]
    assert "\x1b" not in log
    told = place.read("jobs", "show", str(number), "--attempt", "1")
    assert told[-1]["state"] == "failed"
    assert place.read("jobs", "show", str(number))["last_attempt"]["seconds"].keys() == {"stage"}


def test_jobs_are_listed_shown_retried_and_cancelled(place: Place) -> None:
    number = str(place.failed_job())
    assert "is not a recording we can open" in place.run("jobs", "list")
    (row,) = place.read("jobs", "list")
    assert (row["state"], row["code"]) == ("failed", "source.unreadable")
    assert all(len(line) <= 80 for line in place.run("jobs", "list").splitlines())
    assert place.read("jobs", "show", number)["events"][-1]["became"] == "failed"
    shown = place.run("jobs", "show", number)
    assert "running -> failed source.unreadable" in shown
    assert "\n<b>" not in shown.replace("recording: <b>", "")
    assert f"{number}: queued\n" in place.run("jobs", "retry", number)
    assert place.run("jobs", "cancel", number) == f"{number}: cancelled\n"
    place.run("jobs", "follow", number, expect=1)
    assert "is cancelled; it cannot be cancelled now" in place.run(
        "jobs", "cancel", number, expect=1
    )
    assert "no job 99" in place.run("jobs", "show", "99", expect=1)


def test_the_queue_is_paused_and_goes_on(place: Place) -> None:
    state = str(place.folder / ".appliance")
    schema.prepare(state)
    with Ledger(state) as ledger:
        source = Source("inbox", b"a.wav", 1, 1)
        job = jobs.add(ledger, source, Options(), correlation="c")
        assert job is not None
        told = place.run("queue", "pause", "--why", "the disk is exchanged")
        assert told.startswith("paused by cli:")
        assert "the disk is exchanged; 1 queued" in told
        assert jobs.claim(ledger, job.id, owner="w") is None
        assert json.loads(place.run("--json", "queue", "show"))["paused"]["why"]
        assert "it goes on; 1 queued" in place.run("queue", "resume")
        assert jobs.claim(ledger, job.id, owner="w") is not None


def test_a_share_is_added_tested_and_adopted(place: Place) -> None:
    (place.folder / "talks").mkdir()
    place.run("share", "add", "talks", "talks")
    assert "online" in place.run("share", "test", "talks")
    told = place.run("share", "adopt", "talks", "--existing", "process")
    assert "already there will be transcribed" in told
    (row,) = place.read("share", "list")
    assert (row["name"], row["adopted"]) == ("talks", "yes")
    assert (place.folder / "talks" / ".transcribe-id").exists()
    assert "no folder" in place.run("share", "add", "later", "nowhere")
    assert "is there already" in place.run("share", "add", "talks", "talks", expect=1)


def test_a_share_that_contradicts_the_settings_is_not_added(place: Place) -> None:
    place.run("share", "add", "all", ".", expect=78)
    assert not list((place.folder / "conf.d").iterdir())
    place.run("settings", "check")


def test_files_are_transcribed_now_beside_themselves_or_elsewhere(place: Place) -> None:
    shutil.copy(ENGLISH, place.folder / "talk.wav")
    (rows,) = place.read("transcribe", "talk.wav", "--format", "txt")
    assert (rows["state"], rows["files"]) == ("done", [str(place.folder / "talk.txt")])
    place.run("transcribe", "talk.wav", "--out", "texts", "--language", "en")
    assert sorted(os.listdir(place.folder / "texts")) == sorted(f"talk.{n}" for n in FORMATS)
    (place.folder / "texts" / "talk.txt").write_text("mine")
    place.run("transcribe", "talk.wav", "--out", "texts", "--format", "txt")
    assert (place.folder / "texts" / "talk.txt").read_text() == "mine"
    assert (place.folder / "texts" / "talk (2).txt").exists()


def test_a_file_that_cannot_be_transcribed_is_exit_1_and_a_sentence(place: Place) -> None:
    (place.folder / "talk.mp3").write_bytes(b"words only" * 99)
    told = place.run("transcribe", "talk.mp3", expect=1)
    assert told.startswith("talk.mp3: failed\n")
    assert "is not a recording" in told
    assert not list(place.folder.glob("*.ERROR.txt"))
    place.run("transcribe", "nowhere.wav", expect=2)


def test_the_selftest_passes_on_a_fresh_box(place: Place) -> None:
    assert "word error rate" in place.run("selftest")


def test_a_model_that_is_not_there_is_told_with_the_way_to_it(place: Place) -> None:
    shutil.copy(ENGLISH, place.folder / "talk.wav")
    told = place.run("transcribe", "talk.wav", "--model", "large-v3", expect=1)
    assert "large-v3 is not on this box" in told


def test_the_doctor_names_every_wall_around_the_decoder(place: Place) -> None:
    told = place.read("doctor", expect=1)  # no engine runs here
    walls = {row["text"] for row in told if row["code"] == "decoder"}
    assert len(walls) == 7
    assert {row["code"] for row in told} >= {"sqlite", "ffmpeg", "disk", "engine", "model selftest"}
    shape = {"code", "check", "subject", "error", "level", "text", "remedy"}  # docs/operations.md
    for row in told:
        assert row.keys() == shape
        assert row["level"] in {"OK", "WARN", "FAIL"}
        assert row["code"] == f"{row['check']} {row['subject']}".rstrip()
    assert os.listdir(place.folder) == []  # it looked, and made nothing


@pytest.mark.parametrize(
    ("truth", "heard", "wrong"),
    [("a b c", "a b c", 0), ("a b c", "A, b c.", 0), ("a b", "a x b", 1), ("a b", "", 2)],
)
def test_words_are_counted_as_the_field_counts_them(truth: str, heard: str, wrong: int) -> None:
    assert distance(truth.split(), heard.split()) == wrong


def test_a_long_name_loses_its_middle_and_wide_letters_count_twice() -> None:
    assert cut("a-very-long-recording.mp4", 13) == "a-very…ng.mp4"
    assert width("会議") == 4
    assert length(3725.2) == "1:02:05"
    assert length(9.6) == "0:10"


def test_a_taken_port_is_told_before_anything_starts(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (place.folder / "appliance.toml").write_text(f"[web]\nlisten = '127.0.0.1:{port}'\n")
        told = place.run("up", expect=75)
    assert told == f"port {port} is taken by another program: choose another [web] listen\n"


def test_the_demo_speaks_plainly_and_knows_what_it_has_done(place: Place) -> None:
    first = place.run("demo", "--once")
    assert "ask it anything" in first
    assert "page:" not in first
    assert first.count("self-test model") == 1
    assert "already done" not in first
    assert "already done" in place.run("demo", "--once")


def test_json_may_stand_after_the_verb_and_tells_errors_too(place: Place) -> None:
    told = json.loads(place.run("jobs", "list", "--json", expect=69))
    assert told.keys() == {"code", "message", "next_step"}
    number = place.failed_job()
    assert place.read("explain", "talk.mp3").keys() == {"path", "sentences"}
    assert place.read("jobs", "retry", str(number)) == [{"id": number, "state": "queued"}]
    assert place.read("settings", "check")["ok"] is True


def test_every_family_of_verbs_is_known_by_its_names() -> None:
    """A verb is found by this table; its module is loaded when it is asked for."""
    folder = Path(families.__path__[0])
    there = {}
    for file in folder.glob("*.py"):
        module = importlib.import_module(f"appliance.cli.{file.stem}")
        if hasattr(module, "VERBS"):
            there[file.stem] = tuple(verb.name for verb in module.VERBS)
    assert there == dict(families.FAMILIES)
    context = click.Context(families.cli)
    for verb in families.cli.list_commands(context):
        assert families.cli.get_command(context, verb) is not None


@pytest.mark.parametrize("verb", ["watch", "engine", "web", "share"])
def test_a_verb_does_not_wait_for_the_parts_of_others(verb: str) -> None:
    look = f"""
import sys, click
from appliance.cli import cli
assert cli.get_command(click.Context(cli), {verb!r}) is not None
print(*({{"httpx", "docx", "av", "huey", "appliance.tasks"}} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
