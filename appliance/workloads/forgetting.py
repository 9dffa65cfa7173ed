"""A job forgotten together with its files: those of ours that nobody changed are taken away.

    withdraw → forget

In: a claimed job that had ended. What a person changed beside the recording stays, the
recording is looked at and never touched; where it is away or another one, every file stays.

Not here: asking for it (moves), the rows (store.forgetting), a file (deliver.withdraw).
"""

from __future__ import annotations

import contextlib
import shutil

from appliance import logbook
from appliance.box import Box
from appliance.errors import ShareOffline, SourceChanged, SourceMissing
from appliance.states import Stage
from appliance.store import forgetting as rows
from appliance.store import jobs
from appliance.store.jobs import Job
from appliance.workloads import ending


def forgetting(job: Job, box: Box) -> None:
    """Take a claimed job's files away, and forget it. Raises ApplianceError."""
    share = box.settings.share_named(job.source.share)
    if share is None:
        raise ShareOffline(share=job.source.share)
    box.owner.progress(job.id, stage=Stage.DELIVER)
    logbook.enter(Stage.DELIVER)
    job = jobs.enter(box.ledger, job, Stage.DELIVER)
    with contextlib.suppress(SourceMissing, SourceChanged):
        box.porters.carry("withdraw", job, share, stop=ending.going_down(job, box))
    rows.forget_at_work(box.ledger, job)
    shutil.rmtree(box.settings.state("logs", str(job.id)), ignore_errors=True)
