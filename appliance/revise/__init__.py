"""Edits of a transcript: each is a revision, made on the text that its author saw.

In: a job, the tag of the revision that was looked at (a web page's If-Match), and what is
wanted. Out: the tag of the new revision, and the job back in the queue to have its files
written anew; whoever asked rings the bell. What was recorded is never touched, and nothing
is ever taken back but by a newer revision.

Not here: the rows (store.revisions), times of words (alignment), the files
(workloads.reexport), who may edit (web).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.errors import EditRefused, NothingToEdit, StaleEdit
from appliance.nouns import Change, Segment, Transcript
from appliance.revise.alignment import realigned
from appliance.revise.everywhere import MOST_LETTERS, Exchange, exchanged, places
from appliance.store import jobs, revisions
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

__all__ = [
    "MOST_LETTERS",
    "Exchange",
    "Opened",
    "edit",
    "is_still_there",
    "opened",
    "places",
    "replace_everywhere",
    "undo",
]

MOST_SEGMENTS: Final = 50  # that one edit takes together, or one is parted into


@dataclass(frozen=True, slots=True)
class Opened:
    """The text of a job as it reads now."""

    job: Job
    revision: int
    transcripts: tuple[Transcript, ...]

    @property
    def tag(self) -> str:
        """What an edit of this text has to name."""
        return revisions.tag_of(self.job.epoch, self.revision)

    def transcript(self, task: str) -> Transcript:
        """The transcript of a task. Raises EditRefused where there is none."""
        for one in self.transcripts:
            if one.task == task:
                return one
        raise EditRefused(job=self.job.id, why=f"there is no {task} of it")


def opened(ledger: Ledger, job_id: int) -> Opened:
    """Open the newest text of a job. Raises NothingToEdit."""
    job = jobs.get(ledger, job_id)
    if job is None:
        raise NothingToEdit(job=job_id)
    newest = revisions.newest(ledger, job)
    text = revisions.text(ledger, job, newest)
    if text is None:
        raise NothingToEdit(job=job_id)
    return Opened(job, newest, text)


def edit(
    ledger: Ledger,
    job_id: int,
    *,
    on: str,
    task: str,
    first: int,
    texts: Sequence[str],
    count: int = 1,
    who: str,
) -> str:
    """Let `texts` stand in the place of `count` segments from `first` on; say the new tag.

    One text for one segment changes it, two part it, one for two joins them; a text without
    letters goes. Whoever saves a segment has read it: what the model thought of the whole of it
    counts no more. A text that is there already makes no revision. Raises NothingToEdit,
    StaleEdit, EditRefused, node.*.
    """
    text = _on(ledger, job_id, on)
    transcript = text.transcript(task)
    why = _wrong(transcript, first, count, texts)
    if why is not None:
        raise EditRefused(job=job_id, why=why)
    stood = transcript.segments[first : first + count]
    made = realigned(stood, texts)
    if [_told(one) for one in made] == [_told(one) for one in stood]:
        return text.tag
    change = Change(task, first, count, tuple(map(_confirmed, made)))
    return _record(ledger, text, revisions.EDIT, who, [change])


def is_still_there(
    ledger: Ledger, job_id: int, *, on: str, task: str, first: int, count: int
) -> bool:
    """Tell whether these segments, as they were at the tag `on`, stand in the newest text.

    In the same places: an edit of them that came too late may be made on the newest text.
    """
    text = opened(ledger, job_id)
    before = next(
        (n for n in range(text.revision) if on == revisions.tag_of(text.job.epoch, n)), None
    )
    seen = None if before is None else revisions.text(ledger, text.job, before)
    at = slice(first, first + count)
    stood, stands = (
        [list(map(_told, one.segments[at])) for one in texts or () if one.task == task]
        for texts in (seen, text.transcripts)
    )
    return stood == stands and any(stood)


def replace_everywhere(
    ledger: Ledger, job_id: int, *, on: str, task: str, exchange: Exchange, who: str
) -> str:
    """Exchange a word wherever it stands, as one revision; say its tag.

    `places` shows beforehand where. Where it stands nowhere, no revision is made. Raises as
    `edit` does.
    """
    text = _on(ledger, job_id, on)
    if max(len(exchange.heard), len(exchange.written)) > MOST_LETTERS:
        raise EditRefused(job=job_id, why="it is too long")
    try:
        changes = exchanged(text.transcript(task), exchange)
    except ValueError as error:
        raise EditRefused(job=job_id, why=str(error)) from error
    return _record(ledger, text, revisions.REPLACE, who, changes) if changes else text.tag


def undo(ledger: Ledger, job_id: int, *, on: str, to: int, who: str) -> str:
    """Let the text read as it did at revision `to` (0: as it was recorded); say the new tag.

    It is a new revision: an undo can be undone. Raises as `edit` does.
    """
    text = _on(ledger, job_id, on)
    if text.revision == 0:
        raise EditRefused(job=job_id, why="nobody has edited it")
    if not 0 <= to < text.revision:
        raise EditRefused(job=job_id, why=f"there is no revision {to} before this one")
    made = revisions.text(ledger, text.job, to)
    if made is None:
        raise NothingToEdit(job=job_id)
    new = revisions.record(
        ledger,
        text.job,
        on=text.revision,
        kind=revisions.UNDO,
        who=who,
        made=made,
        same_as=to,
    )
    return new.tag


def _on(ledger: Ledger, job_id: int, on: str) -> Opened:
    """The newest text, which is the one that was looked at. Raises StaleEdit."""
    text = opened(ledger, job_id)
    if text.tag != on:
        last = next(iter(revisions.history(ledger, text.job)), None)
        raise StaleEdit(
            job=job_id, who=last.who if last else "a new transcription", now=text.tag, on=on[:40]
        )
    return text


def _record(ledger: Ledger, text: Opened, kind: str, who: str, changes: Sequence[Change]) -> str:
    touched = {change.task for change in changes}
    made = [revisions.applied(one, changes) for one in text.transcripts if one.task in touched]
    new = revisions.record(
        ledger, text.job, on=text.revision, kind=kind, who=who, made=made, changes=changes
    )
    return new.tag


def _wrong(transcript: Transcript, first: int, count: int, texts: Sequence[str]) -> str | None:
    if first < 0 or count < 1 or first + count > len(transcript.segments):
        return f"it has {len(transcript.segments)} segments"
    if max(count, len(texts)) > MOST_SEGMENTS:
        return f"more than {MOST_SEGMENTS} segments at once"
    if sum(map(len, texts)) > MOST_LETTERS:
        return f"more than {MOST_LETTERS} letters at once"
    return None


def _told(segment: Segment) -> tuple[str, float, float]:
    return segment.text.strip(), segment.start, segment.end


def _confirmed(segment: Segment) -> Segment:
    """Nothing is left to doubt but its words, one by one."""
    return replace(segment, avg_logprob=0.0, no_speech_prob=0.0, compression_ratio=1.0)
