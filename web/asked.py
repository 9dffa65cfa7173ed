"""How the box is, asked once a second however many want to know.

The questions take the ledger's lock and knock at the engine's door: no number of pages
that ask may keep the box from its work.

Not here: the questions (appliance.health.checks).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, cast

from flask import Flask, current_app

from appliance.errors import ApplianceError
from appliance.health import checks
from appliance.health.checks import Seen
from web import db

_KEPT_SECONDS: Final = 1.0


class Asked:
    """What was seen in this second."""

    def __init__(self, ask: Callable[[], Seen], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock  # seconds, only ever growing
        self._seen: Seen | None = None
        self._at = 0.0
        self._guard = threading.Lock()

    def seen(self) -> Seen:
        """What is known, at most a second old. One asks; who comes meanwhile waits for that."""
        with self._guard:
            if self._seen is None or self._clock() - self._at >= _KEPT_SECONDS:
                self._seen = self._ask()
                self._at = self._clock()
            return self._seen


def keep_for(app: Flask, clock: Callable[[], float]) -> None:
    """Give the app its answers."""
    app.extensions["appliance.asked"] = Asked(_look, clock)


def _look() -> Seen:
    try:
        return checks.look(db.ledger(), db.settings())
    except ApplianceError as error:  # the ledger cannot even be read: that is an answer too
        return checks.unreadable(error, db.settings())


def seen() -> Seen:
    """How the box is, for this request."""
    return cast(Asked, current_app.extensions["appliance.asked"]).seen()
