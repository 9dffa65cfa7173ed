"""Who listens to the stream of events, and for how long: seats, a clock, a door that closes.

Each listener holds a thread of this process, so there are few seats, and few for one asker. A
listener leaves when the process is to end, and when they may no longer see what they saw.

Not here: what they are told (events).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, cast

from flask import Flask, current_app

from appliance.errors import ApplianceError, StreamsFull
from web.access.asker import asker, identify

SEATS: Final = 12  # of the threads that serve.py starts, which answer everybody else as well
_OF_ONE: Final = 4


class Streams:
    """The seats of one process."""

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        """`pause(seconds)` is how a listener waits."""
        self.pause = pause
        self.stays: Callable[[], bool] = lambda: True  # until the process is to end
        self._taken: Counter[str] = Counter()
        self._guard = threading.Lock()

    def sit(self, who: str) -> Callable[[], None]:
        """Take a seat; what is handed back gives it up, once. Raises StreamsFull."""
        with self._guard:
            if self._taken.total() >= SEATS or self._taken[who] >= _OF_ONE:
                raise StreamsFull
            self._taken[who] += 1
        left = threading.Event()

        def leave() -> None:
            with self._guard:
                if not left.is_set():
                    left.set()
                    self._taken[who] -= 1

        return leave


def keep_for(app: Flask) -> Streams:
    """Give the app its seats."""
    made = app.extensions["appliance.streams"] = Streams()
    return made


def streams() -> Streams:
    """The seats of this request's app."""
    return cast(Streams, current_app.extensions["appliance.streams"])


def is_welcome() -> bool:
    """Tell whether whoever asks may still see exactly what they saw when they came."""
    before = asker()
    try:
        now = identify()
    except ApplianceError:
        return False
    return (now.who, now.rights) == (before.who, before.rights)
