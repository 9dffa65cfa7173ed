"""Take away the hidden files of attempts that died while they wrote them.

The next attempt of a job sweeps what the last one left. Where there is none, because the
job was cancelled or its recording changed, nobody would: so what a full scan has met is
taken away when the ledger says that it is ours and that nobody is at it.

Not here: meeting it (scan), the removing itself (deliver).
"""

from __future__ import annotations

import os

from appliance import deliver
from appliance.settings import Share
from appliance.states import State
from appliance.store import jobs
from appliance.store.ledger import Ledger


def clear(ledger: Ledger, share: Share, paths: list[bytes]) -> int:
    """Remove what nobody is writing any more, empty `paths`, and say how many went.

    `paths` lie below the root of a share that is online. Raises OSError.
    """
    folders = {
        (os.path.dirname(path), deliver.job_of_hidden(os.path.basename(path))) for path in paths
    }
    paths.clear()
    return sum(_sweep(ledger, share, folder, job) for folder, job in folders if job is not None)


def _sweep(ledger: Ledger, share: Share, folder: bytes, job_id: int) -> int:
    job = jobs.get(ledger, job_id)
    if job is None or job.source.share != share.name:
        return 0
    if os.path.dirname(job.source.path) != folder:
        return 0  # somebody else's idea of a name
    nobodys = job.attempt if job.state is State.RUNNING else job.attempt + 1
    return deliver.sweep(share.root, folder, job.id, nobodys)
