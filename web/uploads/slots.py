"""How much may go on at once that keeps a thread of the pages for long.

Whoever sends gigabytes, or waits for an answer, has a thread to themselves meanwhile. There are
enough for some; the rest are told when to come again, and everybody else is served as ever.

Not here: how often one may ask (access.limits).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final, cast

from flask import Flask, current_app

from appliance.errors import TooManyAtOnce

MOST: Final = {"uploads": 12, "answers": 12}
AGAIN_SECONDS: Final = {"uploads": 5.0, "answers": 10.0}


def keep_for(app: Flask) -> None:
    """Give the app its slots."""
    app.extensions["appliance.slots"] = {
        what: threading.BoundedSemaphore(most) for what, most in MOST.items()
    }


@contextlib.contextmanager
def one_of(what: str) -> Iterator[None]:
    """Hold one of the slots for `uploads` or `answers`. Raises policy.too-many-at-once."""
    slots = cast(dict[str, threading.BoundedSemaphore], current_app.extensions["appliance.slots"])
    if not slots[what].acquire(blocking=False):
        raise TooManyAtOnce(what=what, seconds=AGAIN_SECONDS[what])
    try:
        yield
    finally:
        slots[what].release()
