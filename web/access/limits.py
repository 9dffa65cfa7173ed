"""How often anybody may ask anything: generous for people, an end to a program gone wild.

Counted in the memory of this one process, by person, key or address.

Not here: guessing passwords, which is slowed down on its own (throttle).
"""

from __future__ import annotations

from typing import Final

from flask import Flask, request
from flask_limiter import Limiter

from web.access.asker import address, asker

PER_MINUTE: Final = 1200  # an open page asks twice in two seconds; somebody may have ten of them


def bound(app: Flask, per_minute: int) -> None:
    """Refuse (429) what comes more often from one asker in a minute."""
    limiter = Limiter(
        _who,
        app=app,
        application_limits=[f"{per_minute} per minute"],  # all addresses together
        storage_uri="memory://",
        strategy="moving-window",
        headers_enabled=True,
    )
    limiter.request_filter(lambda: request.endpoint == "static")


def _who() -> str:
    who = asker()
    return who.who if who.rights.able else f"address:{address()}"
