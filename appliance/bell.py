"""The doorbell: says that a job is queued, and is worth nothing.

A Huey message with a job's number on it. The job's row is the truth; recover rings again
for whatever nobody heard. The only door to huey.

Not here: who answers (tasks), when to ring again (recover).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from huey import SqliteHuey
from huey.registry import Message

from appliance.errors import NodeIO, on_the_box


class _Doorbell:
    """Messages as plain JSON: huey's own pickle would run whatever lies in huey.db."""

    def serialize(self, message: Any) -> bytes:  # noqa: ANN401 - huey's tuple
        """Keep the four things a bell needs."""
        return json.dumps([message.id, message.name, message.priority, message.args]).encode()

    def deserialize(self, data: bytes) -> Any:  # noqa: ANN401
        """Make huey's message again. Raises ValueError for anything else."""
        number, name, priority, args = json.loads(data)
        return Message(
            id=str(number),
            name=str(name),
            eta=None,
            retries=0,
            retry_delay=0,
            priority=priority,
            args=tuple(args),
            kwargs={},
            on_complete=None,
            on_error=None,
        )


def _nobody(_job_id: int) -> None:
    """Nobody answers in this process."""


@contextlib.contextmanager
def _named_errors(file: str) -> Iterator[None]:
    """Name what SQLite and the disk answer; a damaged file stays what it is."""
    with on_the_box(file):
        try:
            yield
        except sqlite3.OperationalError as error:
            raise NodeIO(where=file, why=str(error)) from error


class Bell:
    """The way into the worker's ear. Any process may ring it. Raises node.* when it is made."""

    def __init__(self, state_dir: str) -> None:
        """Open huey.db in the state directory, or make it. Raises NodeIO for a damaged one."""
        self._file = os.path.join(state_dir, "huey.db")
        with _named_errors(self._file):
            os.makedirs(state_dir, mode=0o770, exist_ok=True)
            # SQLite would keep it from our group, in which the pages are.
            os.close(os.open(self._file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o660))
            self.huey = self._opened()
        self.answer: Callable[[int], None] = _nobody  # what the worker does when it rings
        self._task = self.huey.task(name="answer")(lambda job_id: self.answer(job_id))

    def _opened(self) -> SqliteHuey:
        try:
            return SqliteHuey(
                "appliance", filename=self._file, results=False, fsync=False, serializer=_Doorbell()
            )
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            why = f"{error}; the worker puts it aside when it starts, nothing is lost"
            raise NodeIO(where=self._file, why=why) from error

    def ring(self, job_id: int, *, priority: int = 0) -> None:
        """Say that a job is queued. One that is lost is rung again by recover."""
        with contextlib.suppress(sqlite3.DatabaseError):
            self._task(job_id, priority=priority)

    def consumer(self, *, workers: int, patience: float) -> Any:  # noqa: ANN401 - huey's
        """Make huey's consumer: its `run` has so many threads answer, until TERM.

        Threads that are answering then have `patience` seconds to end.
        """
        return self.huey.create_consumer(
            workers=workers,
            worker_type="thread",
            periodic=False,
            initial_delay=0.05,
            max_delay=min(2.0, 0.5 * workers),  # each thread looks by itself
            shutdown_timeout=patience,
            graceful_signal="TERM",
        )

    def unanswered(self) -> int:
        """How many rings nobody has answered yet. Raises node.*."""
        with _named_errors(self._file):
            return int(self.huey.pending_count())

    def close(self) -> None:
        """Close this thread's connection."""
        self.huey.storage.close()
