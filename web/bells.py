"""Ringing for the worker: a job was queued by a page.

Not here: what rings (appliance.bell); a ring that is lost is made up for (appliance.recover).
"""

from __future__ import annotations

import logging

from appliance.bell import Bell
from appliance.errors import ApplianceError
from web import db

log = logging.getLogger(__name__)


def ring(*numbers: int) -> None:
    """Ring once for each job."""
    try:
        bell = Bell(db.settings().state_dir)
    except ApplianceError as error:  # what is queued is found without a bell, a little later
        log.warning("%s", error, extra={"code": error.code})
        return
    for number in numbers:
        bell.ring(number)
    bell.close()
