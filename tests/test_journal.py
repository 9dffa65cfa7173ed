"""Log lines: one event a line whatever a file is called, and what each of them is about."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest

from appliance import journal

HOSTILE = "talk\n12:00:00 ERROR worker: all is lost\x1b[2J\x9b31m\u202e\u2028.wav"
KINDS = [journal.JsonLines("worker"), journal.Plain("worker")]


def record(message: str, *values: object, **facts: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "args": values, "levelname": "INFO", **facts})
    made.created, made.msecs = 0.0, 7.0
    return made


def line_of(*values: object, **facts: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(journal.JsonLines("worker").format(record(*values, **facts)))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_the_name_of_a_file_neither_forges_a_line_nor_speaks_to_a_terminal(
    kind: logging.Formatter,
) -> None:
    written = kind.format(record("receiving %s", HOSTILE, recording=HOSTILE))
    assert written.isprintable()
    assert "receiving talk\\n12:00:00" in written


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_the_lines_of_a_traceback_forge_nothing(kind: logging.Formatter) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        failed = record("bug", exc_info=sys.exc_info())
    first, *more = kind.format(failed).split("\n")
    assert first.isprintable()
    assert all(line.isprintable() and line.startswith("    ") for line in more)


def test_json_keeps_every_character_of_a_name() -> None:
    assert (
        line_of("seen", recording=HOSTILE + "ä\U000e0001")["recording"] == HOSTILE + "ä\U000e0001"
    )


def test_a_line_says_when_how_grave_who_and_what() -> None:
    line = line_of("hello")
    assert line == {
        "at": "1970-01-01T00:00:00.007Z",
        "level": "info",
        "process": "worker",
        "event": "hello",
    }


def test_what_a_block_is_about_stands_on_each_of_its_lines_and_on_no_other() -> None:
    with journal.about(job=7, share="inbox"), journal.about(attempt=2):
        line = line_of("claimed", code="node.io")
        carried = journal.carried()
    assert [line[key] for key in ("job", "attempt", "share", "code")] == [7, 2, "inbox", "node.io"]
    assert line["correlation"] is None  # said to be unknown, not left out
    assert carried == {"job": 7, "attempt": 2, "share": "inbox"}
    assert "job" not in line_of("idle")


class Terminal(io.StringIO):
    """What is written here is read by a person."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    before = logging.root.handlers[:]
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    journal.to_stderr("watch")
    try:
        logging.getLogger("appliance.test").warning("ignored %s", "a\x1b[31m\nb")
    finally:
        logging.root.handlers[:] = before
    assert screen.getvalue().endswith(" WARNING watch: ignored a\\u001b[31m\\nb\n")
    assert screen.getvalue().count("\n") == 1


def test_a_line_that_is_no_json_becomes_one_of_its_process() -> None:
    told = json.loads(journal.retold("engine", "Segmentation fault\x1b[0m"))
    assert (told["process"], told["event"]) == ("engine", "Segmentation fault\x1b[0m")
    own = journal.JsonLines("worker").format(record("hello"))
    assert journal.retold("engine", own) == own


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"at": "", "process": "w", "event": "claimed", "job": 3}', "claimed (job 3)"),
        ('{"at": "", "process": "w", "event": "job 3: done", "job": 3}', "job 3: done"),
        ('{"at": "", "process": "w", "event": "x", "level": "error"}', "error: x"),
        ('{"at": "", "process": "w", "event": "seen", "recording": "a.wav"}', "seen: a.wav"),
        ('{"event": "no line of ours"}', '{"event": "no line of ours"}'),
        ("[" * 100_000, "[" * 100_000),
        ("Segmentation fault", "Segmentation fault"),
    ],
)
def test_a_person_reads_words(line: str, words: str) -> None:
    assert journal.in_words(line) == words
