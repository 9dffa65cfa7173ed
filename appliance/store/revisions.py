"""What people made of a job's transcripts, one revision after the other, never changed.

Revision 0 is what was recorded. Each later one is what it changed in the one before, or, of
an undo, the number of the revision it equals; the text of any is made again from these. With
a revision the job is back in the queue, if it had ended, to have its files written anew.

Not here: making an edit (revise), writing the files (workloads.reexport).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.errors import StaleEdit
from appliance.nouns import Change, Notice, Segment, Transcript
from appliance.states import State
from appliance.store import jobs, search, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.values import from_plain, to_plain

EDIT, REPLACE, UNDO = "edit", "replace", "undo"

# What has ended with its text recorded. A file that is away has its turn when it is back.
_GO_ON: Final = frozenset({State.DONE, State.FAILED, State.DEAD, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Revision:
    """An edit of the transcripts of a job's epoch."""

    job: int
    epoch: int
    n: int  # from 1
    kind: str  # EDIT, REPLACE or UNDO
    same_as: int | None  # of an undo: the revision it equals
    who: str
    at_ms: int
    exported_ms: int | None  # when the files beside the recording said so; None: not yet

    @property
    def tag(self) -> str:
        """What tells this text from any other of its job."""
        return tag_of(self.epoch, self.n)


def tag_of(epoch: int, n: int) -> str:
    """What tells the text of a revision from any other of its job; `n` 0: as it was recorded."""
    return f"{epoch}.{n}"


# --- reading ------------------------------------------------------------------------------------


def newest(ledger: Ledger, job: Job) -> int:
    """The number of the newest revision of the job's epoch; 0 when nobody has edited it."""
    row = ledger.row(
        "SELECT max(n) AS n FROM revision WHERE job = ? AND epoch = ?", [job.id, job.epoch]
    )
    return 0 if row is None or row["n"] is None else int(row["n"])


def is_edited(ledger: Ledger, job_id: int, epoch: int) -> bool:
    """Tell whether a person has edited the transcripts of a job's epoch."""
    sql = "SELECT 1 FROM revision WHERE job = ? AND epoch = ? LIMIT 1"
    return ledger.row(sql, [job_id, epoch]) is not None


def history(ledger: Ledger, job: Job) -> list[Revision]:
    """Every revision of the job's epoch, newest first."""
    rows = ledger.rows(
        "SELECT job, epoch, n, kind, same_as, who, at_ms, exported_ms FROM revision"
        " WHERE job = ? AND epoch = ? ORDER BY n DESC",
        [job.id, job.epoch],
    )
    return [Revision(**row) for row in rows]


def text(ledger: Ledger, job: Job, n: int | None = None) -> tuple[Transcript, ...] | None:
    """The job's transcripts at a revision (None: the newest); None before they are recorded."""
    recorded = transcripts.of_job(ledger, job)
    number = newest(ledger, job) if n is None else n
    if recorded is None or number == 0:
        return recorded
    changes = list(_leading_to(ledger, job, number))
    return tuple(applied(one, changes) for one in recorded)


def applied(transcript: Transcript, changes: Iterable[Change]) -> Transcript:
    """A transcript after these changes, one after the other; those of other tasks are not its."""
    segments: list[Segment] = list(transcript.segments)
    mine = [change for change in changes if change.task == transcript.task]
    for change in mine:
        segments[change.first : change.first + change.count] = change.segments
    if not mine:
        return transcript
    numbered = [s if s.id == n else replace(s, id=n) for n, s in enumerate(segments)]
    return replace(transcript, segments=tuple(numbered))


def _leading_to(ledger: Ledger, job: Job, n: int) -> Iterator[Change]:
    """The changes that make revision `n` of what was recorded."""
    rows = ledger.rows(
        "SELECT n, same_as, body FROM revision WHERE job = ? AND epoch = ? AND n <= ?"
        " ORDER BY n DESC",
        [job.id, job.epoch, n],
    )
    bodies: list[bytes] = []
    wanted = n
    for row in rows:
        if row["n"] == wanted:
            if row["same_as"] is None:
                bodies.append(row["body"])
            wanted = wanted - 1 if row["same_as"] is None else row["same_as"]
    for body in reversed(bodies):
        plain = json.loads(zlib.decompress(body).decode("utf-8", "surrogatepass"))
        yield from (from_plain(Change, one) for one in plain)


# --- written ------------------------------------------------------------------------------------


def record(
    ledger: Ledger,
    job: Job,
    *,
    on: int,
    kind: str,
    who: str,
    made: Sequence[Transcript],
    changes: Sequence[Change] = (),
    same_as: int | None = None,
) -> Revision:
    """Write down the revision after revision `on`, and have the job's files written anew.

    `made` are the transcripts as they read now, for `search`. Raises StaleEdit when there is
    a newer revision, or the job was transcribed anew, since the caller looked.
    """
    plain = json.dumps([to_plain(one) for one in changes], ensure_ascii=False)
    body = zlib.compress(plain.encode("utf-8", "surrogatepass"), 6) if same_as is None else None
    with ledger.writing() as db:
        now = jobs.must(ledger, job.id)
        there = history(ledger, now)
        at = there[0].n if there else 0
        if (now.epoch, at) != (job.epoch, on):
            last = there[0].who if there else "a new transcription"
            raise StaleEdit(
                job=job.id, who=last, now=tag_of(now.epoch, at), on=tag_of(job.epoch, on)
            )
        db.execute(
            "INSERT INTO revision (job, epoch, n, kind, same_as, body, who, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [job.id, job.epoch, on + 1, kind, same_as, body, who, ledger.clock().wall_ms],
        )
        for transcript in made:
            search.index(ledger, now, transcript)
        if now.state in _GO_ON:
            export_again(ledger, now, who)
        return history(ledger, now)[0]


def take_over(ledger: Ledger, job: Job) -> None:
    """Give a job the edits of the one this file had before, when sound and recorded text are equal.

    A clock that was changed, or a copy of the file over itself, made it another job. Raises Fenced.
    """
    earlier = jobs.at(ledger, job.source.share, job.source.path)
    same = (one for one in earlier if one.id < job.id and one.sha256 == job.sha256)
    before = next(same, None)
    mine = transcripts.of_job(ledger, job)
    theirs = None if before is None else transcripts.of_job(ledger, before)
    if job.sha256 is None or mine is None or before is None or theirs is None:
        return
    alike = [one.segments for one in mine] == [one.segments for one in theirs]
    if not alike or newest(ledger, job):
        return
    with ledger.writing() as db:
        jobs.cancel_asked(ledger, job)  # raises Fenced when somebody newer has the job
        db.execute(
            "INSERT INTO revision (job, epoch, n, kind, same_as, body, who, at_ms)"
            " SELECT ?, ?, n, kind, same_as, body, who, at_ms FROM revision"
            " WHERE job = ? AND epoch = ?",
            [job.id, job.epoch, before.id, before.epoch],
        )
        for transcript in text(ledger, job) or ():
            search.index(ledger, job, transcript)


def export_again(ledger: Ledger, job: Job, who: str) -> Job:
    """Queue a job whose text was edited: the same epoch, and nothing to transcribe."""
    fresh = {"errors": 0, "crashes": 0, "losses": 0, "cancel": 0}
    return jobs.move(
        ledger, job, State.QUEUED, who=who, values={**fresh, "workload": jobs.REEXPORT}
    )


def finish(
    ledger: Ledger, job: Job, warnings: Sequence[Notice], *, revision: int, rss_peak: int | None
) -> Job:
    """Running → done: the files hold this revision, at least. A newer one queues it again.

    Raises Fenced.
    """
    with ledger.writing() as db:
        done = jobs.finish(ledger, job, warnings, rss_peak=rss_peak)
        db.execute(
            "UPDATE revision SET exported_ms = ? WHERE job = ? AND epoch = ? AND n <= ?"
            " AND exported_ms IS NULL",
            [ledger.clock().wall_ms, job.id, job.epoch, revision],
        )
        behind = [one for one in history(ledger, done) if one.exported_ms is None]
        return export_again(ledger, done, behind[0].who) if behind else done
