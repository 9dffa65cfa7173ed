"""The product, broken on purpose: one rule of the proof at a time.

Each is a context manager that patches the product for as long as it lasts. Whoever says
that nothing can go wrong must be seen to notice each of them.

Not here: noticing (model).
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Final
from unittest import mock

from appliance import deliver, recover
from appliance.box import Box
from appliance.deliver import place
from appliance.states import Stage, State
from appliance.store import events, exports, gates, jobs, overdue, schema, transcripts
from appliance.store.ledger import Ledger

line: Any = importlib.import_module("appliance.workloads.transcription")  # not its function

Mutant = Callable[[], contextlib.AbstractContextManager[Any]]


def _no_fencing() -> contextlib.AbstractContextManager[Any]:
    """A late write of an attempt is let through."""

    def write(ledger: Ledger, job: jobs.Job, columns: dict[str, object]) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        with ledger.writing() as db:
            db.execute(f"UPDATE job SET {names} WHERE id = ?", [*columns.values(), job.id])  # noqa: S608

    def asked(ledger: Ledger, job: jobs.Job) -> jobs.Asked:
        row = ledger.row("SELECT cancel FROM job WHERE id = ?", [job.id])
        return jobs.Asked(row["cancel"] if row else 0)

    return _both(
        mock.patch.object(jobs, "_write", write), mock.patch.object(jobs, "cancel_asked", asked)
    )


def _commit_before_rename() -> contextlib.AbstractContextManager[Any]:
    """An export is called published before it has its name."""

    def put_early(errand: Any, folder: int, parcel: Any, spot: Any) -> Any:
        job, export = errand.job, parcel.export
        exports.intend(
            errand.ledger,
            job,
            path=spot.path,
            format_=export.format,
            suffix=export.suffix,
            sha256=parcel.sha256,
            size=len(export.content),
            before=spot.holds,
        )
        exports.published(errand.ledger, job, spot.path)
        place.put(folder, parcel.temp, spot.name, over=spot.holds)
        return exports.at(errand.ledger, job.source.share, spot.path)

    return mock.patch.object(deliver, "_put", put_early)


def _no_record() -> contextlib.AbstractContextManager[Any]:
    """What the engine said is delivered without having been written down."""
    return mock.patch.object(transcripts, "record", return_value=None)


def _transcribed_twice() -> contextlib.AbstractContextManager[Any]:
    """A job that comes back is not looked up in the ledger."""
    of_job = transcripts.of_job

    def forgets(ledger: Ledger, job: jobs.Job) -> Any:
        return None if job.stage is Stage.STAGE else of_job(ledger, job)

    return _both(
        mock.patch.object(transcripts, "of_job", forgets),
        mock.patch.object(line, "_found_again", return_value=None),
    )


def _lost_retry() -> contextlib.AbstractContextManager[Any]:
    """A wait that is over is overlooked."""
    return mock.patch.object(overdue, "due", return_value=[])


def _double_claim() -> contextlib.AbstractContextManager[Any]:
    """Two that ring at the same job both get it."""

    def claim(ledger: Ledger, job_id: int, *, owner: str) -> jobs.Job | None:
        job = jobs.get(ledger, job_id)
        if job is None or job.state not in (State.QUEUED, State.RUNNING):
            return None
        now = ledger.clock()
        with ledger.writing() as db:
            db.execute(
                "UPDATE job SET state = 'running', stage = 'stage', attempt = ?, owner = ?,"
                " boot_id = ? WHERE id = ?",
                [job.attempt + 1, owner, now.boot_id, job_id],
            )
            claimed = jobs.must(ledger, job_id)
            events.add(ledger, claimed, was="queued", became="running", code=None, who=owner)
            return claimed

    return mock.patch.object(jobs, "claim", claim)


def _wrong_gate() -> contextlib.AbstractContextManager[Any]:
    """Whoever claims asks at another share's gate."""
    before = gates.before

    def other(ledger: Ledger, *, share: str, model: str) -> str | None:
        return before(ledger, share=f"not {share}", model=model)

    return mock.patch.object(gates, "before", other)


def _no_reconcile() -> contextlib.AbstractContextManager[Any]:
    """Nobody takes back what a dead owner had."""
    return mock.patch.object(recover, "_bury_the_dead", return_value=None)


def _living_buried() -> contextlib.AbstractContextManager[Any]:
    """A worker that lives is taken for dead: its job is done a second time."""
    return mock.patch.object(Box, "minds", return_value=False)


MUTANTS: Final[dict[str, Mutant]] = {
    "no fencing": _no_fencing,
    "committed before the rename": _commit_before_rename,
    "delivered without a record": _no_record,
    "transcribed twice": _transcribed_twice,
    "a lost retry": _lost_retry,
    "a double claim": _double_claim,
    "the wrong gate": _wrong_gate,
    "the dead are not buried": _no_reconcile,
    "the living are": _living_buried,
}


@contextlib.contextmanager
def _both(*patches: contextlib.AbstractContextManager[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as undo:
        for patch in patches:
            undo.enter_context(patch)
        yield


# --- the checkpointer's lock --------------------------------------------------------------------


@contextlib.contextmanager
def checkpoints_without_lock() -> Iterator[None]:
    """The one checkpointer takes no lock: SQLite's WAL-reset bug has its race again."""
    with mock.patch.object(Ledger, "_locked", return_value=contextlib.nullcontext()):
        yield


def checkpoint_outside_the_lock(folder: str) -> bool:
    """Tell whether a checkpoint or a commit ever runs while somebody else could take the lock.

    Every statement is followed, of every connection, and the lock tried from outside.
    """
    schema.prepare(folder)
    free: list[str] = []
    with Ledger(folder) as ledger:
        other = os.open(os.path.join(folder, "ledger.lock"), os.O_RDWR | os.O_CLOEXEC)

        def follow(statement: str) -> None:
            if "wal_checkpoint" not in statement and statement != "COMMIT":
                return
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(other, fcntl.LOCK_UN)
            free.append(statement)

        ledger.db.conn.set_trace_callback(follow)
        try:
            gates.open_again(ledger, "share:nobody")
            ledger.checkpoint()
        finally:
            ledger.db.conn.set_trace_callback(None)
            os.close(other)
    return bool(free)
