"""Decide whether a settled file becomes a job, and with which options; write both down.

In: a Source that has stopped growing. Out: a job in the queue, or a sighting that names
the rule which kept the file out. A file that is empty or too big is admitted all the
same: its owner can mend it, so the line ends it with a note beside it.

Not here: waiting (settle), finding files (watch), doing the job (workloads).
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass
from typing import Final

from appliance.admit import rules
from appliance.errors import ApplianceError, SourceChanged, SourceMissing
from appliance.nouns import Options, Source, display
from appliance.states import LIVE, State
from appliance.store import exports, jobs, sightings, uploads
from appliance.store.exports import Published
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.store.shares import ShareRow
from appliance.store.uploads import Upload

SHORT_BYTES: Final = 8 << 20  # four minutes as WAV, eight as MP3: taken before longer ones
SHORT: Final = 1  # its priority
EXPRESS: Final = 2  # of what somebody waits for with an open connection: before all others
EXPRESS_BYTES: Final = (
    25 << 20
)  # as much as OpenAI's own service takes; more is nobody's quick word
ASK_ABOVE: Final = 200  # recordings in a share we have never seen, before we ask a person


class Step(enum.Enum):
    """What becomes of a file."""

    ADMIT = "admit"
    IGNORE = "ignore"  # for good; `why` names the rule
    HOLD = "hold"  # until the share is adopted


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a file, and the rule that says so."""

    step: Step
    why: str | None = None


def decide(path: bytes, row: ShareRow) -> Decision:
    """Say what becomes of a recording found at `path`, as the share stands. No I/O."""
    if rule := rules.of_path(path):
        return Decision(Step.IGNORE, rule)
    if row.adopted_ms is None:
        return Decision(Step.HOLD, "not-adopted")
    if row.existing == "ignore" and row.scanned_ms is None:
        return Decision(Step.IGNORE, "old-file")  # found by the first scan since adoption
    return Decision(Step.ADMIT)


def existing_files(wish: str, count: int, *, forgotten: bool = False) -> str:
    """What becomes of `count` recordings found in a share never seen: ask | ignore | process.

    `forgotten`: it was let in before, by a ledger that is lost. New recordings lie among the
    old ones then, so neither all nor none of them may be taken without a person's word.
    """
    if forgotten and wish != "process":
        return "ask"
    return "process" if wish == "ask" and count <= ASK_ABOVE else wish


def admit(ledger: Ledger, source: Source, options: Options) -> Job | None:
    """Write a settled file's sighting and its job, in one transaction.

    A job of this very source that waited for the file goes back into the queue; jobs of
    what the file was before end. None when there is nothing to do about it. What was sent to
    the box is asked for as its sender has said, whoever finds it.
    """
    with ledger.writing():
        sent = uploads.of_source(ledger, source)
        if sent is not None:
            options = sent.options
            uploads.arrived(ledger, sent.id)
        before = sightings.get(ledger, source.share, source.path)
        correlation = before.correlation if before else new_correlation()
        was_gone = before is not None and before.state == sightings.GONE
        sightings.note(ledger, source, sightings.SETTLED, correlation=correlation)
        end_live(ledger, source.share, source.path, SourceChanged, but=source)
        born = jobs.add(
            ledger,
            source,
            options,
            correlation=correlation,
            priority=_priority(source, sent),
            who=sent.who if sent else "watch",
            submitter=sent.who if sent else None,
        )
        return born or _again(ledger, jobs.find(ledger, source), options, was_gone=was_gone)


def _priority(source: Source, sent: Upload | None) -> int:
    if sent is not None and sent.kind == uploads.ANSWERED and source.size <= EXPRESS_BYTES:
        return EXPRESS
    return SHORT if source.size <= SHORT_BYTES else 0


def _again(ledger: Ledger, job: Job | None, options: Options, *, was_gone: bool) -> Job | None:
    """Queue a job whose file is (back) in its place: one dropped anew is asked for anew.

    Not one that only waits to have a person's corrections written: that text would be gone.
    """
    waits = {State.DISCOVERED, State.SOURCE_MISSING}
    if was_gone:
        waits |= {State.FAILED, State.DEAD, State.CANCELLED}
    if job is None or job.state not in waits:
        return None
    anew = was_gone and job.workload != jobs.REEXPORT and options != job.options
    changed = options if anew else None
    return jobs.requeue(ledger, job, who="watch", options=changed)


def gone(ledger: Ledger, share: str, path: bytes) -> None:
    """Write down that a file is no longer there; its waiting jobs end. Only while online."""
    with ledger.writing():
        seen = sightings.get(ledger, share, path)
        if seen is not None:
            source = Source(share, path, seen.size, seen.mtime_ns)
            sightings.note(ledger, source, sightings.GONE, correlation=seen.correlation)
        end_live(ledger, share, path, SourceMissing)


def end_live(
    ledger: Ledger,
    share: str,
    path: bytes,
    cause: type[ApplianceError],
    *,
    but: Source | None = None,
) -> None:
    """End every job of this path that has not begun, and ask a running one to stop."""
    for job in list(jobs.at(ledger, share, path)):
        if but is not None and job.source.same_file(but):
            continue
        if job.state is State.RUNNING:  # or it would deliver over what its successor writes
            jobs.cancel(ledger, job, who="watch")
        elif job.state in LIVE and job.workload != jobs.FORGET:  # that needs no file
            error = cause(name=display(job.source.name))
            jobs.move(ledger, job, State.SOURCE_MISSING, who="watch", error=error)


def new_correlation() -> str:
    """An id that ties log lines, events and exports of one sighting together."""
    return uuid.uuid4().hex


def try_again(ledger: Ledger, note: Published) -> Job | None:
    """Somebody deleted the error file of a failed job: they want it tried again."""
    with ledger.writing():
        exports.vanished(ledger, note.share, note.path)
        job = jobs.get(ledger, note.job)
        if job is None or job.state not in (State.FAILED, State.DEAD):
            return None
        return jobs.requeue(ledger, job, who="folder")


def source_of(ledger: Ledger, note: Published) -> Source | None:
    """The recording that an error file lies beside."""
    job = jobs.get(ledger, note.job)
    return None if job is None else job.source
