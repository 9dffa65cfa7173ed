"""The log of an attempt: only added to, never too long, never in the way, nothing that was said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance import logbook, wire
from appliance.logbook import Book
from appliance.nouns import Options, Recording
from appliance.transcribe.account import Account

HOSTILE = "a\nb\x1b[31m\u202e\udcff.wav"


def test_an_attempt_is_a_file_of_lines_that_is_only_added_to(tmp_path: Path) -> None:
    for name in ("first.wav", "second.wav"):
        with logbook.kept(str(tmp_path), 3, 1) as book:
            book.add("claimed", recording=name)
    told = logbook.read(str(tmp_path), 3, 1)
    assert told is not None
    assert [line["recording"] for line in told] == ["first.wav", "second.wav"]
    assert (tmp_path / "3" / "1.jsonl").stat().st_mode & 0o777 == 0o640
    assert logbook.read(str(tmp_path), 3, 2) is None


def test_a_note_goes_to_the_book_of_its_thread_and_nowhere_without_one(tmp_path: Path) -> None:
    logbook.note("lost")
    with logbook.kept(str(tmp_path), 1, 1):
        logbook.note("kept", seconds=1.23456)
    logbook.note("lost")
    told = logbook.read(str(tmp_path), 1, 1)
    assert told is not None
    assert [(line["event"], line["seconds"]) for line in told] == [("kept", 1.235)]


def test_stages_follow_each_other_and_the_last_ends_with_the_attempt(tmp_path: Path) -> None:
    with logbook.kept(str(tmp_path), 1, 1) as book:
        logbook.enter("stage")
        logbook.note("staged", bytes=7)
        logbook.enter("transcribe")
        book.end(state="failed", code="source.unreadable")
    told = logbook.read(str(tmp_path), 1, 1)
    assert told is not None
    assert [(line["event"], line.get("stage")) for line in told] == [
        ("begin", "stage"),
        ("staged", None),
        ("end", "stage"),
        ("begin", "transcribe"),
        ("end", "transcribe"),
        ("ended", None),
    ]
    short = logbook.summary(told)
    assert [name for name, _ in short.stages] == ["stage", "transcribe"]
    assert all(seconds is not None for seconds in short.seconds.values())
    assert short.facts["staged_bytes"] == 7
    assert short.facts["ended_code"] == "source.unreadable"


def test_a_log_never_outgrows_its_limit_and_its_last_line_says_that_it_was_cut(
    tmp_path: Path,
) -> None:
    file = tmp_path / "1" / "1.jsonl"
    book = Book(str(file), limit=20_000)
    for _ in range(1_000):
        book.add("said", line="x" * 10_000)
    assert logbook.read(str(tmp_path), 1, 1)[-1]["event"] == "cut"  # type: ignore[index]
    book.end(state="done")
    book.close()
    assert file.stat().st_size <= 20_000
    told = logbook.read(str(tmp_path), 1, 1)
    assert told is not None
    assert told[-1]["event"] == "ended"
    assert told[-1]["left_out"] == 1_000 - sum(line["event"] == "said" for line in told)


def test_a_name_forges_no_line(tmp_path: Path) -> None:
    with logbook.kept(str(tmp_path), 1, 1):
        logbook.note("claimed", recording=HOSTILE)
    written = (tmp_path / "1" / "1.jsonl").read_bytes()
    assert written.count(b"\n") == 1
    assert written.decode().rstrip("\n").isprintable()
    assert logbook.read(str(tmp_path), 1, 1)[0]["recording"] == HOSTILE  # type: ignore[index]


def test_a_full_disk_costs_the_log_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "1.jsonl").symlink_to("/dev/full")  # every write: no space left
    with logbook.kept(str(tmp_path), 1, 1) as book:
        logbook.note("claimed")
        logbook.enter("stage")
        book.end(state="done")
    assert caplog.text.count("cannot be written") == 1


def test_a_folder_that_cannot_be_made_costs_the_log_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("somebody put a file here")
    with logbook.kept(str(tmp_path / "logs"), 1, 1) as book:
        logbook.note("claimed")
        book.end(state="done")
    assert logbook.read(str(tmp_path / "logs"), 1, 1) is None


def test_a_line_that_was_torn_is_left_out(tmp_path: Path) -> None:
    with logbook.kept(str(tmp_path), 1, 1):
        logbook.note("claimed")
    with open(tmp_path / "1" / "1.jsonl", "ab") as stream:
        stream.write(b'{"at": "2026-')
    assert [line["event"] for line in logbook.read(str(tmp_path), 1, 1) or ()] == ["claimed"]


def test_an_account_has_figures_and_no_words(tmp_path: Path) -> None:
    options = Options(vocabulary=("Zwetschge",), initial_prompt="Dear Board of Zwetschgen")
    with logbook.kept(str(tmp_path), 1, 1):
        account = Account(options)
        account.engine(wire.Welcome(2, "e", "selftest", "0", 80, True, "cpu", "int8", False))
        account.found(Recording("wav", "pcm_s16le", 1, 0, 16_000, 1, 9.0, 0.0))
        account.said(["libav.mp3: " + "x" * 9_999] * 1_000)
        for index in range(3):
            account.sent(index)
            account.heard(index)
        account.sound(wire.Ended(9.0, 7.0, 3, 0, 0.0))
        account.over("de", 0.9, 9.0)
    told = logbook.read(str(tmp_path), 1, 1)
    assert told is not None
    said = [line["line"] for line in told if line["event"] == "said"]
    assert (len(said), max(map(len, said))) == (200, 300)
    asked = next(line for line in told if line["event"] == "asked")
    assert (asked["vocabulary_words"], asked["has_prompt"]) == (1, True)
    facts = logbook.summary(told).facts
    assert (facts["recording_codec"], facts["sound_windows"]) == ("pcm_s16le", 3)
    assert facts["heard_language"] == "de"
    assert "Zwetschge" not in (tmp_path / "1" / "1.jsonl").read_text(encoding="utf-8")
    assert os.listdir(tmp_path) == ["1"]
