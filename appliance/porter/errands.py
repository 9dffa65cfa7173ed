"""What a porter does at a share, each the pure function of its stage.

In: an attempt at a job, named by number. Out: the staged copy, or nothing. Everything
else comes from the ledger: exports are rendered here, out of the recorded transcript and
its newest revision, so that they need not travel. Every rename is preceded by the ledger's
attempt check.

Not here: the process around it (__main__), what is done when it hangs (the package).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance import deliver, export, journal, marker, regain, report, stage
from appliance.errors import Fenced, ShareOffline, named
from appliance.nouns import Staged
from appliance.porter.talk import Carried, Errand, Moved, Talk
from appliance.settings import GB, Settings, Share
from appliance.states import State
from appliance.store import exports, jobs, revisions
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

_BEAT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Everything an errand works with."""

    ledger: Ledger
    settings: Settings
    share: Share
    job: Job
    errand: Errand
    beat: Callable[[], None]


def carry(ledger: Ledger, settings: Settings, talk: Talk, errand: Errand) -> Carried:
    """Do one errand. Raises what its stage raises, and Fenced for an attempt that is over."""
    job = jobs.get(ledger, errand.job)
    if job is None or (job.state, job.attempt) != (State.RUNNING, errand.attempt):
        raise Fenced(job=errand.job, attempt=errand.attempt)
    share = settings.share_named(job.source.share)
    if share is None:
        raise ShareOffline(share=job.source.share)
    do = VERBS[errand.verb]
    with journal.about(**job.about):
        return Carried(do(Load(ledger, settings, share, job, errand, _beating(talk))))


def _beating(talk: Talk) -> Callable[[], None]:
    """A sign of life that is given at most once a second."""
    last = -_BEAT_SECONDS

    def beat() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _BEAT_SECONDS:
            last = now
            talk.try_to_send(Moved())

    return beat


def _stage(load: Load) -> Staged:
    settings = load.settings
    marker_id = marker.expected(load.ledger, load.share)
    load.beat()
    return stage.stage(
        load.share.root,
        load.job.source,
        settings.state("spool"),
        job=load.job.id,
        spool_bytes=int(settings.node.spool_gb * GB),
        keep_free_bytes=int(settings.disk.stop_below_gb * GB),
        max_bytes=load.share.max_bytes,
        marker_id=marker_id,
        progress=lambda _bytes: load.beat(),
    )


def _deliver(load: Load) -> None:
    text = revisions.text(load.ledger, load.job)
    if text is None:
        raise LookupError(f"job {load.job.id} has no transcript to deliver")
    exports = [one for each in text for one in export.render_all(each, load.job.options)]
    guard = marker.guard(load.ledger, load.share)
    load.beat()
    deliver.deliver(load.ledger, load.share.root, load.job, exports, guard=guard, beat=load.beat)


def _regain(load: Load) -> None:
    guard = marker.guard(load.ledger, load.share)
    load.beat()
    regain.regain(load.ledger, load.share.root, load.job, guard=guard, beat=load.beat)


def _note(load: Load) -> None:
    code = load.errand.code
    error = None if code is None else named(code, load.errand.detail)
    guard = marker.guard(load.ledger, load.share)
    load.beat()
    report.note(load.ledger, load.share, load.job, error, guard=guard, beat=load.beat)


def _withdraw(load: Load) -> None:
    guard = marker.guard(load.ledger, load.share)
    for row in list(exports.of_job(load.ledger, load.job.id)):
        load.beat()
        deliver.withdraw(load.ledger, load.share.root, load.job, row, guard=guard)


VERBS: Final[Mapping[str, Callable[[Load], Staged | None]]] = {
    "regain": _regain,
    "stage": _stage,
    "deliver": _deliver,
    "note": _note,
    "withdraw": _withdraw,
}
