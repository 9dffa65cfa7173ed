"""What a process says while it works: one JSON object a line, a plain line for a terminal,
and on the box an entry of the journal with its facts as fields (JOB_ID, SHARE, CODE …).

Every line says when, how grave, which process and what. `about` adds the job, attempt,
share and correlation id that all lines of a block belong to, so that no caller repeats
them. Names of files come from strangers: no line of any kind holds a character that
could begin another line or speak to a terminal.

Not here: the log of one attempt (logbook), how a page or a note spells a name (report).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

try:  # the extra `systemd`; by its name, since our folder of units is called so too
    systemd: Any = importlib.import_module("systemd.journal")
except ImportError:
    systemd = None

_RESERVED: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "process"}
_OF_A_JOB: Final = ("job", "attempt", "share", "code", "correlation")
_FIELDS: Final = {"job": "JOB_ID"}  # the others are called in the journal as here, in capitals
_GRAVITY: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG: Final = 7  # syslog's numbers
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
        told = _told(record)
        if "job" in told:
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


class ToJournal(logging.Handler):
    """Hands every record to the journal of the box, its facts as fields one can ask for."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; where the journal takes nothing, its line goes to stderr."""
        try:
            systemd.send(**fields(self._process, record))
        except OSError:
            sys.stderr.write(JsonLines(self._process).format(record) + "\n")


def fields(process: str, record: logging.LogRecord) -> dict[str, str]:
    """What the journal is told of a record: MESSAGE, PRIORITY, and its facts in capitals.

    `journalctl JOB_ID=7 SHARE=meetings`, `CODE=node.disk-full` find what they name. (systemd
    has a JOB_ID of its own, and no shares.)
    """
    known = next((number for level, number in _GRAVITY if record.levelno >= level), _DEBUG)
    facts = {
        _FIELDS.get(key, key.upper().lstrip("_")): visible(str(fact))
        for key, fact in _told(record).items()
        if fact is not None
    }
    entry = {
        **facts,
        "MESSAGE": visible(record.getMessage()),
        "PRIORITY": str(known),
        "SYSLOG_IDENTIFIER": f"appliance-{process}",
        "LOGGER": record.name,
        "CODE_FILE": record.pathname,
        "CODE_FUNC": record.funcName or "",
    }
    if record.exc_info:
        entry["TRACEBACK"] = logging.Formatter().formatException(record.exc_info)
    return entry


def is_journalled() -> bool:
    """Tell whether our stderr ends in the journal, and we can talk to that ourselves."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return systemd is not None and (device, inode) == (str(found.st_dev), str(found.st_ino))


def _told(record: logging.LogRecord) -> dict[str, Any]:
    """What a record is about, and the facts that its caller gave."""
    own = {key: value for key, value in record.__dict__.items() if key not in _RESERVED}
    return {**_about.get(), **own}


def as_line(facts: Mapping[str, object]) -> str:
    """One line of JSON that a terminal survives as well."""
    return visible(json.dumps(facts, ensure_ascii=False, default=str))


def to_stderr(process: str, *, level: int = logging.INFO) -> None:
    """Log to stderr: plain for a terminal, entries for the journal, JSON lines for a file."""
    handler: logging.Handler = ToJournal(process)
    if not is_journalled():
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
