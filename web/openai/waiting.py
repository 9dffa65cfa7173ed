"""Wait for the job of an open connection, as long as somebody is at its other end.

Not here: what is answered (answers), how many may wait (uploads.slots).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from flask import Flask, current_app, request

from appliance.errors import StillWorking, UploadBroken
from appliance.states import ENDED
from appliance.store import jobs
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from web import db

PATIENCE_SECONDS: Final = 600.0
_AGAIN_SECONDS: Final = 30.0  # the client of OpenAI comes again by itself for up to a minute
_SHORTEST, _LONGEST = 0.05, 0.5  # seconds between two looks


def keep_for(app: Flask, patience: float) -> None:
    """Say how many seconds an answer may take."""
    app.extensions["appliance.patience"] = patience


@dataclass(frozen=True, slots=True)
class Connection:
    """Somebody who waits: all that looking after their job needs, without the request."""

    ledger: Ledger
    patience: float  # seconds
    sock: socket.socket | None  # None: of a test

    def looks(self, number: int) -> Iterator[Job]:
        """The job, look after look; the last look finds that it has ended.

        Raises policy.still-working when it takes longer than we wait, policy.upload-broken
        when nobody waits any more. The job goes on in both cases: who asks again finds its
        text.
        """
        until = time.monotonic() + self.patience
        pause = _SHORTEST
        while True:
            job = jobs.must(self.ledger, number)
            yield job
            if job.state in ENDED:
                return
            if time.monotonic() >= until:
                raise StillWorking(job=number, seconds=_AGAIN_SECONDS)
            if self._is_closed():
                raise UploadBroken
            time.sleep(pause)
            pause = min(pause * 1.3, _LONGEST)

    def ended(self, number: int) -> Job:
        """The job when it has ended. Raises as `looks`."""
        *_, last = self.looks(number)
        return last

    def _is_closed(self) -> bool:
        """Tell whether the asker has closed the connection. What they send early is not read."""
        if self.sock is None:
            return False
        try:
            return self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def here() -> Connection:
    """The connection of this request."""
    patience = cast(float, current_app.extensions["appliance.patience"])
    return Connection(db.ledger(), patience, request.environ.get("gunicorn.socket"))
