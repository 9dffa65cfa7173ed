"""The log of one attempt at a job: `<state>/logs/<job>/<attempt>.jsonl`, for whoever asks why.

In: what a stage, the decode child or the engine has to tell. Out: a file of JSON lines,
only ever added to, never above a limit; and what it tells a person, read back. `note`
writes to the book of this thread's attempt and does nothing outside of one, so a stage
need not be handed the book. A disk that takes no more costs the log and nothing else.

No line holds a word of a transcript, of a vocabulary or of a prompt: numbers, names of
codes, and file names only.

Not here: the journal's lines (journal), how long a book is kept (retention).
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from appliance import journal

LIMIT: Final = 1_000_000  # bytes of one attempt
_LAST: Final = 4_096  # of them, for how it ended
_LONGEST: Final = 400  # characters of one fact
_CUT: Final = "more was said than this log may hold; only how it ended follows"
log = logging.getLogger("appliance.logbook")
Line = dict[str, Any]


class Book:
    """One attempt's log, open for adding."""

    def __init__(self, file: str, *, limit: int = LIMIT) -> None:
        """Open `file`; where that cannot be, nothing is written and that is said once."""
        self._limit = limit
        self._left_out = 0
        self._written = 0
        self._began = time.monotonic()
        self._stage: tuple[str, float] | None = None
        self._fd: int | None = None
        try:
            os.makedirs(os.path.dirname(file), mode=0o770, exist_ok=True)
            self._fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._written = os.fstat(self._fd).st_size
        except OSError as error:
            self._give_up(error)

    def add(self, event: str, **facts: object) -> None:
        """Write one line, unless the log is full or cannot be written."""
        line = _line(event, facts)
        if self._left_out or self._written + len(line) > self._limit - _LAST:
            self._left_out += 1
            if self._left_out == 1:
                self._write(_line("cut", {"why": _CUT}))
            return
        self._write(line)

    def enter(self, stage: str) -> None:
        """Write how long the stage before took, and that this one begins."""
        self._leave()
        self.add("begin", stage=stage)
        self._stage = (stage, time.monotonic())

    def _leave(self) -> None:
        if self._stage is not None:
            name, began = self._stage
            self._stage = None
            self.add("end", stage=name, seconds=time.monotonic() - began)

    def end(self, **facts: object) -> None:
        """Write how it ended, for which there is always room."""
        self._leave()
        cut = {"left_out": self._left_out} if self._left_out else {}
        took = {"seconds": time.monotonic() - self._began}
        self._write(_line("ended", {**facts, **took, **cut}))

    def _write(self, line: bytes) -> None:
        if self._fd is None:
            return
        try:
            written = os.write(self._fd, line)
            self._written += written
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.close()
        log.warning("the log of this attempt cannot be written: %s", error.strerror)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            with contextlib.suppress(
                OSError
            ):  # a disk over a network says only now that it is full
                os.close(self._fd)
            self._fd = None


def _line(event: str, facts: Mapping[str, object]) -> bytes:
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    short = {key: _short(fact) for key, fact in facts.items()}
    line = journal.as_line({"at": at, "event": event, **short})
    return line.encode("utf-8", "replace") + b"\n"


def _short(fact: object) -> object:
    if isinstance(fact, float):
        return round(fact, 3)
    return f"{fact[:_LONGEST]}…" if isinstance(fact, str) and len(fact) > _LONGEST else fact


# --- writing ------------------------------------------------------------------------------------

_book: ContextVar[Book | None] = ContextVar("book", default=None)


@contextlib.contextmanager
def kept(logs: str, job: int, attempt: int) -> Iterator[Book]:
    """Keep the log of an attempt for the length of a block, in this thread."""
    book = Book(file_of(logs, job, attempt))
    before = _book.set(book)
    try:
        yield book
    finally:
        _book.reset(before)
        book.close()


def note(event: str, **facts: object) -> None:
    """Write a line into the log of this thread's attempt; without one, nothing happens."""
    if (book := _book.get()) is not None:
        book.add(event, **facts)


def enter(stage: str) -> None:
    """Note that this thread's attempt has left one stage and is in the next."""
    if (book := _book.get()) is not None:
        book.enter(stage)


# --- reading ------------------------------------------------------------------------------------


def file_of(logs: str, job: int, attempt: int) -> str:
    """Where the log of an attempt lies."""
    return os.path.join(logs, str(job), f"{attempt}.jsonl")


def read(logs: str, job: int, attempt: int) -> list[Line] | None:
    """The lines of an attempt's log; None where there is no such log (any more).

    A line that was cut short, when the box died or its disk was full, is left out.
    """
    try:
        with open(file_of(logs, job, attempt), "rb") as stream:
            written = stream.read(2 * LIMIT)
    except OSError:
        return None
    lines = []
    for text in written.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            line = json.loads(text)
            if isinstance(line, dict) and "event" in line:
                lines.append(line)
    return lines


@dataclass(frozen=True, slots=True)
class Summary:
    """What an attempt's log says in short."""

    stages: tuple[tuple[str, float | None], ...]  # in order, with seconds; None: not ended
    facts: Mapping[str, object]  # by their names: model, windows, rss_peak …

    @property
    def seconds(self) -> Mapping[str, float | None]:
        """How long each stage took."""
        return dict(self.stages)


# What of which line a person asks about first.
_TELLING: Final[Mapping[str, tuple[str, ...]]] = {
    "staged": ("bytes",),
    "recording": ("container", "codec", "rate", "channels", "tracks"),
    "sound": ("seconds", "speech", "windows", "damaged", "missing"),
    "engine": ("model", "device", "compute_type"),
    "heard": ("language", "windows_median", "windows_slowest", "times_real"),
    "decoder": ("rss_peak",),
    "exported": ("files", "bytes"),
    "ended": ("state", "code", "left_out"),
}


def summary(lines: list[Line]) -> Summary:
    """Put the lines of a log in short."""
    stages: dict[str, float | None] = {}
    facts: dict[str, object] = {}
    for line in lines:
        match line:
            case {"event": "begin", "stage": str(name)}:
                stages.setdefault(name, None)
            case {"event": "end", "stage": str(name), "seconds": int() | float() as seconds}:
                stages[name] = seconds
            case {"event": str(event)}:
                found = {key: line[key] for key in _TELLING.get(event, ()) if key in line}
                facts |= {f"{event}_{key}": fact for key, fact in found.items() if fact is not None}
    return Summary(tuple(stages.items()), facts)
