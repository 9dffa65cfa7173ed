"""An edited text becomes files again: whole, under their names, by the line's own last steps.

    deliver → report

In: a claimed job whose transcripts are recorded and revised. The recording is looked at, never
read, no engine is asked, and what a person changed beside it stays (deliver).

Not here: asking for it (store.revisions), how any step does it (ending).
"""

from __future__ import annotations

from appliance.box import Box
from appliance.errors import ShareOffline
from appliance.store.jobs import Job
from appliance.workloads import ending


def reexport(job: Job, box: Box) -> None:
    """Write the files of a claimed job anew. Raises ApplianceError."""
    share = box.settings.share_named(job.source.share)
    if share is None:
        raise ShareOffline(share=job.source.share)
    ending.end(job, share, box, job.warnings, duration=job.duration)
