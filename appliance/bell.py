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
from collections.abc import Callable
from typing import Any

from huey import SqliteHuey
from huey.registry import Message

from appliance.errors import NodeIO


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


class Bell:
    """The way into the worker's ear. Any process may ring it."""

    def __init__(self, state_dir: str) -> None:
        """Open huey.db in the state directory, or make it. Raises NodeIO for a damaged one."""
        os.makedirs(state_dir, mode=0o770, exist_ok=True)
        file = os.path.join(state_dir, "huey.db")
        try:
            self.huey = SqliteHuey(
                "appliance", filename=file, results=False, fsync=False, serializer=_Doorbell()
            )
        except sqlite3.DatabaseError as error:
            why = f"{error}; the worker puts it aside when it starts, nothing is lost"
            raise NodeIO(where=file, why=why) from error
        self.answer: Callable[[int], None] = _nobody  # what the worker does when it rings
        self._task = self.huey.task(name="answer")(lambda job_id: self.answer(job_id))

    def ring(self, job_id: int, *, priority: int = 0) -> None:
        """Say that a job is queued. One that is lost is rung again by recover."""
        with contextlib.suppress(sqlite3.DatabaseError):
            self._task(job_id, priority=priority)

    def unanswered(self) -> int:
        """How many rings nobody has answered yet."""
        return int(self.huey.pending_count())

    def close(self) -> None:
        """Close this thread's connection."""
        self.huey.storage.close()
