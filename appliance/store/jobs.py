"""The job's row: born, claimed, moved, ended. The one writer of a state.

Every write of a worker is fenced by the attempt it claimed: a late one meets another
number in the row and raises Fenced instead of touching anything.

Not here: which step an error means (states), who is due (overdue), what a worker does.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.errors import ApplianceError, Budget, Fenced
from appliance.nouns import Detail, Notice, Options, Source
from appliance.rights import Shares
from appliance.states import ENDED, NEXT, Stage, State, Verdict
from appliance.store import events, gates, numbers, pause
from appliance.store.ledger import Ledger, Row
from appliance.store.sight import of_jobs
from appliance.values import from_json, to_json

LINE: Final = "transcription"  # what a job is born for: the whole line
REEXPORT: Final = "reexport"  # what it is back in the queue for when only its text was edited
FORGET: Final = "forget"  # likewise, to be forgotten together with its files

_COUNTER: Final[Mapping[Budget, str]] = {
    Budget.ERRORS: "errors",
    Budget.CRASHES: "crashes",
    Budget.LOSSES: "losses",
}
_NUMBER: Final = f"{numbers.newest(numbers.JOB)} + 1"
SELECT: Final = (
    "SELECT job.*, epoch.options FROM job JOIN epoch ON epoch.job = job.id AND epoch.n = job.epoch"
)


class Asked(enum.IntEnum):
    """Who wants a running job stopped."""

    NOBODY = 0
    PERSON = 1  # it ends as cancelled
    WATCH = 2  # its file has gone: it ends as source-missing, and the file may come back


@dataclass(frozen=True, slots=True)
class Job:
    """One row as it was when we looked."""

    id: int
    workload: str  # what its next turn is: a key of WORKLOADS
    epoch: int  # how many times it was asked for anew; its options belong to it
    source: Source
    sha256: str | None
    state: State
    stage: Stage | None
    priority: int
    attempt: int  # the fencing token
    errors: int
    crashes: int
    losses: int
    owner: str | None
    boot_id: str | None
    due_bt: float | None
    cancel: bool
    gate: str | None
    code: str | None
    detail: Detail
    warnings: tuple[Notice, ...]
    duration: float | None
    correlation: str
    created_ms: int
    updated_ms: int
    submitter: str | None  # who sent it to the box; None: it was dropped into a share
    options: Options

    def spent(self, budget: Budget) -> int:
        """How many failures of this kind it has had since a person last asked for it."""
        column = _COUNTER.get(budget)
        return 0 if column is None else int(getattr(self, column))

    @property
    def about(self) -> dict[str, str | int]:
        """What every line of a log says that is about it."""
        told: dict[str, str | int] = {"job": self.id, "attempt": self.attempt}
        return told | {"share": self.source.share, "correlation": self.correlation}


def from_row(row: Row) -> Job:
    source = Source(row["share"], row["path"], row["size"], row["mtime_ns"])
    warnings = json.loads(row["warnings"] or "[]")
    return Job(
        source=source,
        state=State(row["state"]),
        stage=Stage(row["stage"]) if row["stage"] else None,
        cancel=bool(row["cancel"]),
        detail=json.loads(row["detail"] or "{}"),
        warnings=tuple(Notice(code, detail) for code, detail in warnings),
        options=from_json(Options, row["options"]),
        **{name: row[name] for name in _PLAIN},
    )


_PLAIN: Final = (
    *("id", "workload", "epoch", "sha256", "priority", "attempt", "errors", "crashes", "losses"),
    *("owner", "boot_id", "due_bt", "gate", "code", "duration", "correlation"),
    *("created_ms", "updated_ms", "submitter"),
)


# --- reading ------------------------------------------------------------------------------------


def get(ledger: Ledger, job_id: int, *, shares: Shares = None) -> Job | None:
    """The job of that number, if `shares` lets one see it (None: wherever it lies)."""
    if not 0 < job_id < 1 << 63:
        return None
    seen, values = of_jobs(shares)
    row = ledger.row(f"{SELECT} WHERE job.id = ? AND {seen}", [job_id, *values])
    return None if row is None else from_row(row)


def find(ledger: Ledger, source: Source) -> Job | None:
    """The job of exactly this source."""
    row = ledger.row(
        f"{SELECT} WHERE share = ? AND path = ? AND size = ? AND mtime_ns = ?",
        [source.share, source.path, source.size, source.mtime_ns],
    )
    return None if row is None else from_row(row)


def at(ledger: Ledger, share: str, path: bytes) -> Iterator[Job]:
    """Every job this file has had, newest first."""
    for row in ledger.rows(
        f"{SELECT} WHERE share = ? AND path = ? ORDER BY job.id DESC", [share, path]
    ):
        yield from_row(row)


def listing(
    ledger: Ledger, states: Sequence[State] = (), *, limit: int = 100, newest: bool = True
) -> list[Job]:
    """Jobs in any of these states (all, when none is named), by number."""
    marks = ", ".join("?" * len(states))
    where = f" WHERE state IN ({marks})" if states else ""
    order = "DESC" if newest else "ASC"
    rows = ledger.rows(f"{SELECT}{where} ORDER BY job.id {order} LIMIT ?", [*states, limit])
    return [from_row(row) for row in rows]


def counts(ledger: Ledger, *, shares: Shares = None) -> Mapping[State, int]:
    """How many jobs are in each state; no job is looked at for that."""
    seen, values = of_jobs(shares)
    rows = ledger.rows(
        f"SELECT state, sum(jobs) AS n FROM census AS job WHERE {seen} GROUP BY state HAVING n > 0",
        values,
    )
    return {State(row["state"]): row["n"] for row in rows}


def cancel_asked(ledger: Ledger, job: Job) -> Asked:
    """Tell who wants this job stopped, or that somebody newer has it (Fenced)."""
    row = ledger.row("SELECT cancel, state, attempt FROM job WHERE id = ?", [job.id])
    if row is None or (row["state"], row["attempt"]) != (job.state, job.attempt):
        raise Fenced(job=job.id, attempt=job.attempt)
    return Asked(row["cancel"])


# --- born ---------------------------------------------------------------------------------------


def add(
    ledger: Ledger,
    source: Source,
    options: Options,
    *,
    correlation: str,
    workload: str = LINE,
    priority: int = 0,
    who: str = "watch",
    submitter: str | None = None,
) -> Job | None:
    """Write a new job and queue it; None when this very source has one already.

    `submitter` is whoever sent the recording to the box, and sees its job wherever it lies.
    """
    now = ledger.clock()
    with ledger.writing() as db:
        cursor = db.execute(
            "INSERT INTO job (id, workload, share, path, size, mtime_ns, state, priority,"
            " correlation, created_ms, updated_ms, submitter)"
            f" VALUES ({_NUMBER}, {', '.join('?' * 11)}) ON CONFLICT DO NOTHING",
            [
                *(workload, source.share, source.path, source.size, source.mtime_ns),
                *(State.DISCOVERED, priority, correlation, now.wall_ms, now.wall_ms, submitter),
            ],
        )
        if cursor.rowcount != 1:
            return None
        job_id = int(cursor.lastrowid or 0)
        _write_epoch(ledger, job_id, 1, options, who)
        born = must(ledger, job_id)
        events.add(ledger, born, was=None, became=State.DISCOVERED, code=None, who=who)
        return move(ledger, born, State.QUEUED, who=who)


def _write_epoch(ledger: Ledger, job_id: int, n: int, options: Options, who: str) -> None:
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO epoch (job, n, options, who, at_ms) VALUES (?, ?, ?, ?, ?)",
            [job_id, n, to_json(options).decode(), who, ledger.clock().wall_ms],
        )


def must(ledger: Ledger, job_id: int) -> Job:
    """The job of that number, which is there: jobs are never deleted under a writer."""
    job = get(ledger, job_id)
    if job is None:
        raise LookupError(f"job {job_id}")
    return job


# --- moved --------------------------------------------------------------------------------------


def move(
    ledger: Ledger,
    job: Job,
    to: State,
    *,
    who: str,
    error: ApplianceError | None = None,
    values: Mapping[str, object] | None = None,
) -> Job:
    """Take one step through the table of states and leave an event; or raise Fenced.

    `values` are columns written in the same step.
    """
    if to not in NEXT[job.state]:
        raise ValueError(f"a {job.state} job cannot become {to}")  # our bug, not bad luck
    columns: dict[str, object] = {
        "state": to,
        "code": error.code if error else None,
        "detail": json.dumps(error.detail) if error else None,
        "gate": None,
        "due_bt": None,
        "hint_bt": None,
        **(values or {}),
    }
    with ledger.writing() as db:
        _write(ledger, job, columns)
        if to in ENDED:
            db.execute("DELETE FROM partial WHERE job = ?", [job.id])
        moved = must(ledger, job.id)
        code = error.code if error else None
        events.add(ledger, moved, was=job.state, became=to, code=code, who=who)
        return moved


def _write(ledger: Ledger, job: Job, columns: Mapping[str, object]) -> None:
    """Set columns of a job that is still as we saw it; raise Fenced when it is not."""
    names = ", ".join(f"{name} = ?" for name in columns)
    with ledger.writing() as db:
        written = db.execute(
            f"UPDATE job SET {names}, updated_ms = ?"
            " WHERE id = ? AND state = ? AND attempt = ? AND epoch = ?",
            [
                *columns.values(),
                ledger.clock().wall_ms,
                *(job.id, job.state, job.attempt, job.epoch),
            ],
        ).rowcount
    if written != 1:
        raise Fenced(job=job.id, attempt=job.attempt)


def claim(ledger: Ledger, job_id: int, *, owner: str) -> Job | None:
    """Take a queued job: queued → running under a new attempt. None when it is not to be had."""
    now = ledger.clock()
    with ledger.writing() as db:
        job = get(ledger, job_id)
        if job is None or job.state is not State.QUEUED or pause.now(ledger) is not None:
            return None
        model = job.options.model if job.workload == LINE else None
        if gate := gates.before(ledger, share=job.source.share, model=model):
            move(ledger, job, State.WAITING, who=owner, values={"gate": gate})
            return None
        attempt = job.attempt + 1
        values = {"attempt": attempt, "owner": owner, "boot_id": now.boot_id}
        move(ledger, job, State.RUNNING, who=owner, values={**values, "stage": Stage.STAGE})
        db.execute(
            "INSERT INTO attempt (job, n, epoch, owner, began_ms) VALUES (?, ?, ?, ?, ?)",
            [job.id, attempt, job.epoch, owner, now.wall_ms],
        )
        return must(ledger, job_id)


def enter(ledger: Ledger, job: Job, stage: Stage, **known: object) -> Job:
    """Say that a running job has reached a stage, with what is known by now (sha256, duration)."""
    with ledger.writing():
        _write(ledger, job, {"stage": stage, **known})
        return must(ledger, job.id)


def reminded(ledger: Ledger, job: Job, options: Options, *, sha256: str, who: str) -> Job:
    """Give a running job back what it was done with; other options are a new epoch."""
    values: dict[str, object] = {"sha256": sha256}
    with ledger.writing():
        if options != job.options:
            values["epoch"] = job.epoch + 1
            _write_epoch(ledger, job.id, job.epoch + 1, options, who)
        _write(ledger, job, values)
        return must(ledger, job.id)


# --- ended --------------------------------------------------------------------------------------


def finish(ledger: Ledger, job: Job, warnings: Sequence[Notice], *, rss_peak: int | None) -> Job:
    """Running → done. Everything published is on disk by now."""
    pairs = json.dumps([[notice.code, dict(notice.detail)] for notice in warnings])
    values = {"warnings": pairs, "workload": LINE}
    with ledger.writing():
        done = move(ledger, job, State.DONE, who=job.owner or "", values=values)
        _end_attempt(ledger, job, State.DONE, None, rss_peak)
        return done


def end(
    ledger: Ledger,
    job: Job,
    verdict: Verdict,
    error: ApplianceError,
    *,
    who: str,
    rss_peak: int | None = None,
) -> Job:
    """Write down that `error` stopped a running job, charge its budget, close its gate."""
    now = ledger.clock()
    values: dict[str, object] = {"owner": None}
    if column := _COUNTER.get(error.budget):
        values[column] = job.spent(error.budget) + 1
    if verdict.state is State.RETRY_WAIT:
        values["due_bt"] = now.boot_s + verdict.delay
        values["boot_id"] = now.boot_id
    with ledger.writing():
        if verdict.state is State.WAITING:
            values["gate"] = error.gate_name
            gates.close(ledger, error)
        ended = move(ledger, job, verdict.state, who=who, error=error, values=values)
        _end_attempt(ledger, job, verdict.state, error.code, rss_peak)
        return ended


def _end_attempt(
    ledger: Ledger, job: Job, outcome: State, code: str | None, rss_peak: int | None
) -> None:
    with ledger.writing() as db:
        db.execute(
            "UPDATE attempt SET ended_ms = ?, stage = ?, outcome = ?, code = ?, rss_peak = ?"
            " WHERE job = ? AND n = ?",
            [
                *(ledger.clock().wall_ms, job.stage, outcome, code, rss_peak),
                *(job.id, job.attempt),
            ],
        )


# --- what people ask for ------------------------------------------------------------------------


def requeue(ledger: Ledger, job: Job, *, who: str, options: Options | None = None) -> Job:
    """Put a job back into the queue. One that is done, or that gets new options: a new epoch."""
    values: dict[str, object] = {"errors": 0, "crashes": 0, "losses": 0, "cancel": 0}
    with ledger.writing():
        if job.state is State.DONE or options is not None:
            values |= {"epoch": job.epoch + 1, "workload": LINE}
            _write_epoch(ledger, job.id, job.epoch + 1, options or job.options, who)
        elif job.workload == FORGET:
            values["workload"] = LINE  # whoever wants it again does not want it gone
        return move(ledger, job, State.QUEUED, who=who, values=values)


def cancel(ledger: Ledger, job: Job, *, who: str) -> Job:
    """Stop a job: at once when it waits, at its next window when it runs."""
    if job.state is State.RUNNING:
        asked = Asked.WATCH if who == "watch" else Asked.PERSON
        with ledger.writing():
            if asked is Asked.PERSON or not must(ledger, job.id).cancel:
                _write(ledger, job, {"cancel": asked})
            return must(ledger, job.id)
    return move(ledger, job, State.CANCELLED, who=who)
