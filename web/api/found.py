"""The job that an address names, as far as whoever asks may see it or move it.

What is out of sight is not there (404); what is seen and may not be moved is refused (403).

Not here: the policy of an address (access.policy), what is done with the job (moves, texts).
"""

from __future__ import annotations

from flask import abort

from appliance.errors import NotAllowed
from appliance.rights import Right
from appliance.store import jobs
from appliance.store.jobs import Job
from web import db
from web.access import sees
from web.access.asker import asker


def seen(number: int) -> Job:
    """The job of that number; else 404."""
    return jobs.get(db.ledger(), number, shares=sees()) or abort(404)


def operated(number: int) -> Job:
    """The job of that number, which whoever asks may move. Raises NotAllowed; else 404."""
    job = jobs.get(db.ledger(), number, shares=asker().rights.shares(Right.OPERATE))
    if job is None:
        seen(number)
        raise NotAllowed
    return job
