"""The bell, as the pages ring it: a job that was just queued is heard at once.

Not here: the bell itself (appliance.bell).
"""

from __future__ import annotations

import contextlib
import logging

from appliance.bell import Bell
from appliance.errors import ApplianceError
from web import db

log = logging.getLogger(__name__)


def ring(*jobs: int) -> None:
    """Say that these are queued; one that nobody hears is rung again by the worker itself."""
    try:
        with contextlib.closing(Bell(db.settings().state_dir)) as bell:
            for job in jobs:
                bell.ring(job)
    except ApplianceError as error:  # damaged: the worker puts it aside when it starts
        log.warning("%s", error, extra={"code": error.code})
