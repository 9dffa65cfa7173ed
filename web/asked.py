"""Whether the box can take work, asked once a second however many want to know.

The questions take the ledger's lock and knock at the engine's door: no number of pages
that ask may keep the box from its work.

Not here: the questions (appliance.health.ready).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, cast

from flask import Flask, current_app

from appliance.errors import ApplianceError
from appliance.health import ready
from web import db

Answers = Mapping[str, ApplianceError | None]
_KEPT_SECONDS: Final = 1.0


class Asked:
    """The answers of this second."""

    def __init__(self, ask: Callable[[], Answers], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock  # seconds, only ever growing
        self._answers: Answers | None = None
        self._at = 0.0
        self._guard = threading.Lock()

    def answers(self) -> Answers:
        """What is known, at most a second old. One asks; who comes meanwhile waits for that."""
        with self._guard:
            if self._answers is None or self._clock() - self._at >= _KEPT_SECONDS:
                self._answers = self._ask()
                self._at = self._clock()
            return self._answers


def keep_for(app: Flask, clock: Callable[[], float]) -> None:
    """Give the app its answers."""
    app.extensions["appliance.asked"] = Asked(
        lambda: ready.answers(db.ledger(), db.settings()), clock
    )


def answers() -> Answers:
    """The answers of this request's app."""
    return cast(Asked, current_app.extensions["appliance.asked"]).answers()
