"""How every kind of job ends: its files are put beside the recording, and people are told.

Not here: what the files say (export, the porter renders them), each kind's own steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from appliance import logbook, report
from appliance.box import Box
from appliance.errors import Interrupted
from appliance.nouns import Notice, display
from appliance.settings import Share
from appliance.states import Stage, State
from appliance.store import exports, jobs, revisions
from appliance.store.jobs import Job

_GRACE_SECONDS: Final = 10.0  # a job may go on for this long when the worker is told to stop


def end(
    job: Job,
    share: Share,
    box: Box,
    warnings: Sequence[Notice],
    *,
    duration: float | None,
    lies_there: bool = False,
    rss_peak: int | None = None,
) -> None:
    """Deliver, tell, and finish a running job whose transcripts are recorded.

    `lies_there`: the files of what was recorded do already, and nobody has edited it since.
    A revision that comes while this goes on queues the job again. Raises ApplianceError.
    """
    box.owner.progress(job.id, stage=Stage.DELIVER)
    job = jobs.enter(box.ledger, job, Stage.DELIVER, duration=duration)
    logbook.enter(Stage.DELIVER)
    revision = revisions.newest(box.ledger, job)  # at least: the porter looks after us
    if revision or not lies_there:
        box.porters.carry("deliver", job, share, stop=going_down(job, box))
    _note_exports(job, box)
    report.report(job, note=lambda: _take_note_back(job, share, box))
    revisions.finish(box.ledger, job, warnings, revision=revision, rss_peak=rss_peak)


def going_down(job: Job, box: Box) -> Callable[[], None]:
    """What a stage asks every second that is not cancelled: half a set of files helps nobody.

    The question raises Interrupted when the worker has been stopping for a while.
    """
    patience = _GRACE_SECONDS

    def stop() -> None:
        nonlocal patience
        box.sign(job.id)
        if box.stopping.is_set():
            patience -= 1.0
            if patience < 0:
                raise Interrupted

    return stop


def _note_exports(job: Job, box: Box) -> None:
    there = [one for one in exports.of_job(box.ledger, job.id) if one.state == "published"]
    for one in there:
        logbook.note("export", name=display(one.path), format=one.format, bytes=one.bytes)
    logbook.note("exported", files=len(there), bytes=sum(one.bytes for one in there))


def _take_note_back(job: Job, share: Share, box: Box) -> None:
    """Have the note of an earlier failure removed, where there is one."""
    if report.is_note_due(box.ledger, share, job, None, State.DONE):
        box.porters.carry("note", job, share, stop=going_down(job, box))
