"""What a person sees who drops a file: the transcript beside it, whatever way it arrived."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from appliance.states import State
from tests.line import sounds
from tests.line.running import FORMATS, SAMPLES, Running

pytestmark = pytest.mark.line
ENGLISH = os.path.join(SAMPLES, "welcome-english.wav")


def exports_of(stem: str) -> list[str]:
    return [f"{stem}.{name}" for name in FORMATS]


def test_a_dropped_recording_comes_back_as_six_files_beside_it(box: Running) -> None:
    path = box.drop(ENGLISH, "six", "talk.wav")
    job = box.ended(path)
    assert job.state is State.DONE, job
    assert box.names("six") == sorted([*exports_of("talk"), "talk.wav"])
    with open(box.path("six", "talk.json"), encoding="utf-8") as stream:
        told = json.load(stream)
    assert told["language"] == "en"
    assert told["provenance"]["model"] == "selftest"
    assert "warning.selftest-model" in [warning["code"] for warning in told["warnings"]]
    assert "meeting" in told["text"]
    assert all(word["end"] <= told["duration"] for word in told["words"])


def test_the_recording_itself_is_never_touched(box: Running) -> None:
    path = box.drop(ENGLISH, "untouched", "talk.wav")
    file = box.path("untouched", "talk.wav")
    os.chmod(file, 0o640)
    before = os.stat(file)
    box.ended(path)
    after = os.stat(file)
    assert (after.st_mtime_ns, after.st_mode, after.st_ino) == (
        before.st_mtime_ns,
        before.st_mode,
        before.st_ino,
    )
    with open(file, "rb") as stream, open(ENGLISH, "rb") as sample:
        assert hashlib.file_digest(stream, "md5").digest() == (
            hashlib.file_digest(sample, "md5").digest()
        )


def test_a_recording_moved_in_is_found(box: Running) -> None:
    os.makedirs(box.path("moved"), exist_ok=True)
    elsewhere = shutil.copy(ENGLISH, box.path("..", "talk.wav"))
    os.rename(elsewhere, box.path("moved", "talk.wav"))
    assert box.ended(b"moved/talk.wav").state is State.DONE


def test_a_download_is_taken_once_it_has_its_name(box: Running) -> None:
    box.drop(ENGLISH, "part", "talk.wav.part")
    time.sleep(3.0)  # longer than a local file takes to settle
    assert box.job(b"part/talk.wav.part") is None
    os.rename(box.path("part", "talk.wav.part"), box.path("part", "talk.wav"))
    assert box.ended(b"part/talk.wav").state is State.DONE
    assert box.job(b"part/talk.wav.part") is None


def test_a_slow_writer_is_waited_for(box: Running) -> None:
    os.makedirs(box.path("slow"))
    with open(ENGLISH, "rb") as sample:
        content = sample.read()
    with open(box.path("slow", "talk.wav"), "wb") as stream:
        for start in range(0, len(content), 60_000):
            stream.write(content[start : start + 60_000])
            stream.flush()
            time.sleep(0.7)
    job = box.ended(b"slow/talk.wav")
    assert job.state is State.DONE
    assert job.source.size == len(content)
    assert job.duration == pytest.approx(9.05, abs=0.1)


def test_a_tree_of_folders_is_found_to_its_leaves(box: Running) -> None:
    for depth in (1, 3, 6):
        parts = ["deep", *(f"folder {n}" for n in range(depth)), "talk.wav"]
        path = box.drop(ENGLISH, *parts)
        assert box.ended(path).state is State.DONE


def test_the_same_sound_again_costs_the_engine_nothing(box: Running) -> None:
    first = box.ended(box.drop(ENGLISH, "twins", "one.wav"))
    second = box.ended(box.drop(ENGLISH, "twins", "two.wav"))
    assert first.sha256 == second.sha256
    row = box.ledger.row("SELECT rss_peak FROM attempt WHERE job = ?", [second.id])
    assert row == {"rss_peak": None}, "no decode child was needed"
    with (
        open(box.path("twins", "one.txt"), "rb") as one,
        open(box.path("twins", "two.txt"), "rb") as two,
    ):
        assert one.read() == two.read()


def test_two_recordings_of_one_stem_get_full_names(box: Running) -> None:
    german = os.path.join(SAMPLES, "besprechung-deutsch.wav")
    os.makedirs(box.path("stem"))
    shutil.copyfile(german, box.path("stem", "Talk.wave"))
    box.drop(ENGLISH, "stem", "talk.wav")
    box.ended(b"stem/talk.wav")
    box.ended(b"stem/Talk.wave")
    assert box.names("stem") == sorted(
        ["talk.wav", "Talk.wave", *exports_of("talk.wav"), *exports_of("Talk.wave")]
    )


def test_a_text_somebody_wrote_is_never_overwritten(box: Running) -> None:
    os.makedirs(box.path("mine"))
    with open(box.path("mine", "talk.txt"), "w", encoding="utf-8") as stream:
        stream.write("my own notes")
    job = box.ended(box.drop(ENGLISH, "mine", "talk.wav"))
    assert job.state is State.DONE
    with open(box.path("mine", "talk.txt"), encoding="utf-8") as stream:
        assert stream.read() == "my own notes"
    assert "talk (2).txt" in box.names("mine")


def test_a_changed_recording_is_transcribed_again_and_ours_replaced(box: Running) -> None:
    path = box.drop(ENGLISH, "again", "talk.wav")
    first = box.ended(path)
    box.drop(os.path.join(SAMPLES, "besprechung-deutsch.wav"), "again", "talk.wav")
    box.until(lambda: (job := box.job(path)) is not None and job.id != first.id, "a second job")
    assert box.ended(path).state is State.DONE
    assert box.names("again") == sorted([*exports_of("talk"), "talk.wav"])
    with open(box.path("again", "talk.json"), encoding="utf-8") as stream:
        assert json.load(stream)["language"] == "de"


def test_silence_is_done_and_says_so(box: Running) -> None:
    sounds.write(box.path("silence", "talk.wav"), sounds.silence(20))
    job = box.ended(b"silence/talk.wav")
    assert job.state is State.DONE
    assert "warning.no-speech" in [notice.code for notice in job.warnings]


def test_a_folder_chooses_its_language_and_formats(box: Running) -> None:
    os.makedirs(box.path("german"))
    with open(box.path("german", ".transcribe.toml"), "w", encoding="utf-8") as stream:
        stream.write('language = "de"\nformats = ["txt", "srt"]\n')
    path = box.drop(os.path.join(SAMPLES, "besprechung-deutsch.wav"), "german", "talk.wav")
    job = box.ended(path)
    assert (job.options.language, job.options.formats) == ("de", ("txt", "srt"))
    assert box.names("german") == [".transcribe.toml", "talk.srt", "talk.txt", "talk.wav"]


def test_a_folder_that_wants_no_transcripts_gets_none(box: Running) -> None:
    os.makedirs(box.path("private"))
    with open(box.path("private", ".notranscribe"), "w", encoding="utf-8"):
        pass
    box.drop(ENGLISH, "private", "talk.wav")
    box.ended(box.drop(ENGLISH, "public", "talk.wav"))
    assert box.names("private") == [".notranscribe", "talk.wav"]


def test_a_corrected_text_is_in_every_file_a_moment_later(box: Running) -> None:
    path = box.drop(ENGLISH, "corrected", "talk.wav")
    job = box.ended(path)
    with open(box.path("corrected", "talk.srt"), "a", encoding="utf-8") as stream:
        stream.write("my own words\n")
    command = [sys.executable, "-m", "appliance", "--settings", box.file, "text"]
    exchange = ["replace", str(job.id), "meeting", "Zusammenkunft"]
    done = subprocess.run([*command, *exchange], capture_output=True, text=True, check=True)
    assert f"{job.id}: revision 1.1" in done.stdout

    def corrected() -> bool:
        now = box.job(path)
        return now is not None and now.state is State.DONE and now.attempt == job.attempt + 1

    box.until(corrected, "the corrected files", seconds=20.0)
    assert box.names("corrected") == sorted([*exports_of("talk"), "talk (2).srt", "talk.wav"])
    for name in ("talk.txt", "talk.json", "talk.vtt", "talk (2).srt"):
        with open(box.path("corrected", name), encoding="utf-8") as stream:
            assert "Zusammenkunft" in stream.read()
    with open(box.path("corrected", "talk.srt"), encoding="utf-8") as stream:
        assert "Zusammenkunft" not in stream.read()
