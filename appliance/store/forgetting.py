"""A job forgotten: its row, its transcripts and their edits, everything that hangs on it.

The recording stays where it lies, and so does every file beside it. The recording is not
taken for a new one either: its sighting says that a person had it forgotten. Numbers are
never given again, so that nothing which names the job comes to mean another.

Not here: its log (logbook), files of ours beside the recording (deliver.withdraw).
"""

from __future__ import annotations

from typing import Final

from appliance.errors import Fenced
from appliance.states import ENDED
from appliance.store import jobs, numbers, search, sightings
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

WHY: Final = "forgotten"  # the rule that keeps its recording out (admit.rules)
_HANGS_ON_IT: Final = (
    *("partial", "tag", "tick", "revision", "transcript", "export", "event", "attempt", "epoch"),
)


def forget(ledger: Ledger, job: Job) -> None:
    """Forget a job that has ended and is still as we saw it. Raises Fenced."""
    with ledger.writing() as db:
        now = jobs.get(ledger, job.id)
        same = now is not None and (now.state, now.attempt, now.epoch) == (
            *(job.state, job.attempt, job.epoch),
        )
        if not same or job.state not in ENDED:
            raise Fenced(job=job.id, attempt=job.attempt)
        numbers.keep(ledger)
        search.drop(ledger, job.id)
        for table in _HANGS_ON_IT:
            db.execute(f"DELETE FROM {table} WHERE job = ?", [job.id])
        db.execute("DELETE FROM job WHERE id = ?", [job.id])
        _leave_alone(ledger, job)


def forget_at_work(ledger: Ledger, job: Job) -> None:
    """Forget a running job, whose last step this is. Raises Fenced."""
    with ledger.writing():
        forget(ledger, jobs.finish(ledger, job, (), rss_peak=None))


def _leave_alone(ledger: Ledger, job: Job) -> None:
    """Let the watch know the file, or it would be transcribed again at the next scan."""
    seen = sightings.get(ledger, job.source.share, job.source.path)
    if seen is None or (seen.size, seen.mtime_ns) != (job.source.size, job.source.mtime_ns):
        return  # another file lies there by now
    if seen.state == sightings.SETTLED:
        sightings.note(ledger, job.source, sightings.IGNORED, correlation=seen.correlation, why=WHY)
