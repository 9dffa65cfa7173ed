"""The line, top to bottom: a recording that stopped changing becomes text beside it.

    stage → transcribe (or find again) → record → render → deliver → report

The first file to read. A stage takes a value and returns a value; each is entered in the
job's row. What is recorded is never computed twice: a job that comes back after its
transcript was recorded goes straight to delivering.

What touches the share (stage, deliver, the note) is done by a porter, a child that can be
killed: a file server that hangs holds no thread of ours.

Not here: how any stage does it (its own module), the last three (ending), how errors end (tasks).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable

from appliance import logbook, stage, weights
from appliance.box import Box
from appliance.errors import ApplianceError, Cancelled, ShareOffline, SourceMissing
from appliance.limits import Limits
from appliance.nouns import Notice, Provenance, Staged, Transcript, Usage, display
from appliance.settings import Share
from appliance.states import Stage
from appliance.store import attempts, jobs, partials, restores, revisions, transcripts
from appliance.store.jobs import Job
from appliance.transcribe import Request, transcribe
from appliance.transcribe.checkpoint import Checkpoint
from appliance.values import to_plain
from appliance.workloads import ending


def transcription(job: Job, box: Box) -> None:
    """Do the whole line for a claimed job. Raises ApplianceError."""
    share = box.settings.share_named(job.source.share)
    if share is None:
        raise ShareOffline(share=job.source.share)
    try:
        job = _remembered(job, share, box)
        recorded, rss_peak = _recorded(job, share, box)
        ending.end(
            job,
            share,
            box,
            _warnings(recorded),
            duration=recorded[0].duration,
            lies_there=transcripts.was_regained(box.ledger, job),
            rss_peak=rss_peak,
        )
    finally:
        stage.free(box.settings.state("spool"), job.id)


def _remembered(job: Job, share: Share, box: Box) -> Job:
    """After a restored ledger: what was done before it was lost is found beside the recording."""
    if restores.may_have_forgotten(box.ledger, job) is None:
        return job
    box.porters.carry("regain", job, share, stop=_stopper(job, box))
    jobs.cancel_asked(box.ledger, job)  # raises Fenced when somebody newer has it
    return jobs.must(box.ledger, job.id)


def _recorded(job: Job, share: Share, box: Box) -> tuple[tuple[Transcript, ...], int | None]:
    """The job's transcripts as they stand in the ledger; what is missing is made and recorded."""
    there = transcripts.of_job(box.ledger, job)
    if there is not None:
        logbook.note("recorded-before")
        return there, None
    logbook.enter(Stage.STAGE)
    box.owner.progress(job.id, stage=Stage.STAGE)
    staged = box.porters.stage(job, share, stop=_stopper(job, box))
    logbook.note("staged", bytes=staged.size, sha256=staged.sha256)
    logbook.enter(Stage.TRANSCRIBE)
    job = jobs.enter(box.ledger, job, Stage.TRANSCRIBE, sha256=staged.sha256)
    model = weights.find(job.options.model, box.settings.model_dir)
    asked = transcripts.asked(job.options, model.sha256)
    rss_peak = None
    found = _found_again(job, staged, asked, box)
    if found is None:
        made, rss_peak = _made(job, share, staged, box)
        # By what heard it: an engine that runs may not have the newest weights yet.
        asked = transcripts.asked(job.options, made[0].provenance.model_sha256)
    else:
        logbook.note("same-as-before")
        made = found
    logbook.enter(Stage.RECORD)
    job = jobs.enter(box.ledger, job, Stage.RECORD)
    with box.ledger.writing():
        for transcript in made:
            transcripts.record(box.ledger, job, transcript, asked_sha256=asked)
        if found and job.epoch == 1:  # else a person wants it anew, as it was heard
            revisions.take_over(box.ledger, job)
    return transcripts.of_job(box.ledger, job) or made, rss_peak


def _found_again(job: Job, staged: Staged, asked: str, box: Box) -> tuple[Transcript, ...] | None:
    """The same content, asked for in the same way, was transcribed before: 0 seconds of engine."""
    found = []
    for task in job.options.tasks:
        same = transcripts.same(
            box.ledger, job, source_sha256=staged.sha256, asked_sha256=asked, task=task
        )
        if same is None:
            return None
        found.append(dataclasses.replace(same, provenance=_ours(same.provenance, job)))
    return tuple(found)


def _ours(provenance: Provenance, job: Job) -> Provenance:
    """The provenance of a reused transcript names this recording, not its twin."""
    return dataclasses.replace(
        provenance,
        options=to_plain(job.options),
        source_name=display(job.source.name),
        source_mtime_ns=job.source.mtime_ns,
        correlation=job.correlation,
    )


def _made(
    job: Job, share: Share, staged: Staged, box: Box
) -> tuple[tuple[Transcript, ...], int | None]:
    box.owner.progress(job.id, stage=Stage.TRANSCRIBE, began=time.time())
    allowed = box.settings.limits_for(share, job.options.profile)
    request = Request(
        source=job.source,
        staged=staged,
        options=job.options,
        correlation=job.correlation,
        max_seconds=share.max_hours * 3600,
        timeout_factor=allowed.job_timeout_factor,
        timeout_least=allowed.job_timeout_least_s,
        limits=Limits(memory_mb=allowed.job_memory_mb, cpus=allowed.job_cpu),
        group=f"{job.id}-{job.attempt}",
    )
    result = transcribe(
        request,
        engine_socket=box.settings.engine_socket,
        decoders=box.decoders,
        checkpoint=Checkpoint(
            functools.partial(partials.made_by, box.ledger, job),
            functools.partial(partials.keep, box.ledger, job),
        ),
        progress=functools.partial(_show, job, box),
        stop=_stopper(job, box),
        used=functools.partial(_write_down, job, box),
    )
    return result.transcripts, result.rss_peak


def _write_down(job: Job, box: Box, usage: Usage) -> None:
    """Note what an attempt has used up; a ledger that takes no more loses that and nothing else."""
    with contextlib.suppress(ApplianceError):
        attempts.used(box.ledger, job, usage)


def _show(job: Job, box: Box, done: float, total: float | None, left: float | None) -> None:
    box.owner.progress(job.id, done=done, total=total, left=left)


def _cancelled(job: Job, box: Box) -> bool:
    """Whether a person wants it stopped. Raises SourceMissing when the watch saw its file go."""
    asked = jobs.cancel_asked(box.ledger, job)
    if asked is jobs.Asked.WATCH:
        raise SourceMissing(name=display(job.source.name))
    return asked is jobs.Asked.PERSON


def _stopper(job: Job, box: Box) -> Callable[[], None]:
    """What a stage asks every second: is this job still wanted, and still ours?"""
    going_down = ending.going_down(job, box)

    def stop() -> None:
        if _cancelled(job, box):
            raise Cancelled
        going_down()

    return stop


def _warnings(recorded: tuple[Transcript, ...]) -> list[Notice]:
    """Each warning once, whichever transcript it stands on."""
    seen: dict[str, Notice] = {}
    for transcript in recorded:
        for notice in transcript.warnings:
            seen.setdefault(notice.code, notice)
    return list(seen.values())
