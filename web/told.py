"""Jobs as the pages tell them: the error with its next step, the warnings, when it goes on.

Not here: gathering them (overview), the catalogue's own text (appliance.errors).
"""

from __future__ import annotations

from appliance.errors import WARNINGS, ApplianceError, named
from appliance.nouns import Notice
from appliance.report import for_people, spelled
from appliance.states import State
from appliance.store.gates import Gate
from appliance.store.jobs import Job
from appliance.store.ledger import Moment


def trouble(job: Job) -> ApplianceError | None:
    """The error that stopped a job, spelt for a page; None when nothing did."""
    return for_people(named(job.code, job.detail), job) if job.code else None


def warning(notice: Notice) -> str:
    """A warning's sentence."""
    caution = WARNINGS.get(notice.code)
    return notice.code if caution is None else caution.sentence(notice.detail)


def why_it_waits(job: Job, closed: tuple[Gate, ...] = ()) -> str:
    """What a job that is not queued waits for."""
    # What the spool's gate says is about the recording that found it full, which may be another's.
    gate = next((gate for gate in closed if gate.name == job.gate != "spool"), None)
    if gate is not None:
        return spelled(gate.error).sentence
    error = trouble(job)
    return error.sentence if error else _BY_ITSELF.get(job.state, "It goes on by itself.")


_BY_ITSELF = {
    State.HELD: "Somebody put it on hold.",
    State.DISCOVERED: "It changed while we read it; it must be complete again first.",
}


def again_ms(job: Job, now: Moment) -> int | None:
    """When a job is tried again by itself, on the wall's clock."""
    if job.state is not State.RETRY_WAIT or job.due_bt is None or job.boot_id != now.boot_id:
        return None
    return now.wall_ms + max(0, round((job.due_bt - now.boot_s) * 1000))
