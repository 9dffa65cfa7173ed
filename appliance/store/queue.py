"""Who is next: the jobs that may be claimed, in their order.

Not here: claiming one (jobs), which of them a thread takes (roster).
"""

from __future__ import annotations

from collections.abc import Collection

from appliance.states import State
from appliance.store import pause
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.store.schema import TO_EXPORT


def queued(ledger: Ledger, *, short: bool, limit: int, but: Collection[str] = ()) -> list[int]:
    """Numbers of jobs that may be claimed, the next one first: the short ones, or the others.

    Recordings of the shares `but` are left out, which walks past all of theirs that wait.
    An edited text that is only to be exported is short, however long its recording is, and
    comes before all: a person has just pressed a button. In a pause there is none.
    """
    if pause.now(ledger) is not None:
        return []
    if short:
        edited = ledger.rows(
            # The plus keeps SQLite from walking past everything that is queued.
            f"SELECT id FROM job WHERE +state = ? AND {TO_EXPORT} ORDER BY id LIMIT ?",
            [State.QUEUED, limit],
        )
        numbers = [row["id"] for row in edited]
        if len(numbers) == limit:
            return numbers
        return numbers + _others(ledger, "priority > 0", limit - len(numbers), but)
    return _others(ledger, "priority <= 0", limit, but)


def _others(ledger: Ledger, which: str, limit: int, but: Collection[str]) -> list[int]:
    if but:
        which += f" AND share NOT IN ({', '.join('?' * len(but))})"
    rows = ledger.rows(
        f"SELECT id FROM job WHERE state = ? AND {which} AND NOT {TO_EXPORT}"
        " ORDER BY priority DESC, id LIMIT ?",
        [State.QUEUED, *but, limit],
    )
    return [row["id"] for row in rows]


def ahead(ledger: Ledger, job: Job) -> int:
    """How many queued jobs come before this one."""
    row = ledger.row(
        "SELECT count(*) AS n FROM job WHERE state = ? AND (priority, -id) > (?, ?)",
        [State.QUEUED, job.priority, -job.id],
    )
    return 0 if row is None else int(row["n"])
