"""What a process says while it works: one JSON object a line, a plain line for a terminal.

Every line says when, how grave, which process and what. `about` adds the job, attempt,
share and correlation id that all lines of a block belong to, so that no caller repeats
them. Names of files come from strangers: no line of either kind holds a character that
could begin another line or speak to a terminal.

Not here: the log of one attempt (logbook), how a page or a note spells a name (report).
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

_RESERVED: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "process"}
_OF_A_JOB: Final = ("job", "attempt", "share", "code", "correlation")
_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))


@contextlib.contextmanager
def about(**facts: object) -> Iterator[None]:
    """Say what every line of this block, in this thread, is about."""
    before = _about.set({**_about.get(), **facts})
    try:
        yield
    finally:
        _about.reset(before)


def carried() -> dict[str, str | int | float]:
    """What this thread's lines are about just now: to hand on to another process."""
    return {key: fact for key, fact in _about.get().items() if isinstance(fact, str | int | float)}


def visible(text: str) -> str:
    """Spell what cannot be printed as JSON would: a line stays one line, an ESC is no ESC."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, process, event, and the fields a caller gave.

    A line about a job has job, attempt, share, code and correlation, known or null.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self.converter = time.gmtime
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "event": record.getMessage(),
        }
        own = {key: value for key, value in record.__dict__.items() if key not in _RESERVED}
        if "job" in (told := {**_about.get(), **own}):
            line |= dict.fromkeys(_OF_A_JOB)
        line |= told
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return as_line(line)


class Plain(logging.Formatter):
    """For a person at a terminal; what follows a line's first is set in, so that it forges none."""

    def __init__(self, process: str) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self._process = process

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Write the line itself."""
        record.message = f"{self._process}: {visible(record.message)}"
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - logging's own
        """Write where it happened."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {visible(line)}" for line in lines)


def as_line(facts: Mapping[str, object]) -> str:
    """One line of JSON that a terminal survives as well."""
    return visible(json.dumps(facts, ensure_ascii=False, default=str))


def to_stderr(process: str, *, level: int = logging.INFO) -> None:
    """Log to stderr: plain for a terminal, JSON lines for the journal or a file."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Plain(process) if sys.stderr.isatty() else JsonLines(process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("huey").setLevel(logging.WARNING)
    logging.getLogger("watchdog").setLevel(logging.WARNING)


def retold(process: str, line: str) -> str:
    """A line that one of our processes printed, as a line of JSON, whatever it was."""
    if _facts(line) is not None:
        return visible(line)
    moment = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
    return as_line({"at": at, "level": "info", "process": process, "event": line})


def in_words(line: str) -> str:
    """A line of JSON as a person reads it; any other line as it is."""
    facts = _facts(line)
    if facts is None:
        return line
    words = f"{facts['event']}"
    if facts.get("job") is not None and "job" not in words:
        words += f" (job {facts['job']})"
    elif facts.get("recording") is not None:
        words += f": {facts['recording']}"
    grave = str(facts.get("level", "info"))
    told = words if grave in ("info", "debug") else f"{grave}: {words}"
    return f"{told}\n{facts['traceback']}" if facts.get("traceback") else told


def _facts(line: str) -> dict[str, Any] | None:
    """The facts of a line that `JsonLines` wrote; None for any other."""
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) and {"at", "process", "event"} <= facts.keys() else None
