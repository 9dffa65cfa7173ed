"""What a page asks about jobs: who is next, what ended lately, how many, one page after another.

`shares` is what the asker may see (None: everything); what lies elsewhere is not there.

Not here: one job by its number or its file, moving it (jobs), who needs a hand (overdue).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.nouns import Source
from appliance.rights import Shares
from appliance.states import State
from appliance.store.jobs import SELECT, Job, from_row
from appliance.store.ledger import Ledger
from appliance.store.schema import HAS_ENDED
from appliance.store.sight import of_jobs


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs ended in a stretch of time, and how."""

    done: int
    warned: int  # of them, with a warning
    failed: int


def page(
    ledger: Ledger,
    states: Sequence[State] = (),
    *,
    share: str | None = None,
    before: int | None = None,
    limit: int = 50,
    shares: Shares = None,
) -> list[Job]:
    """Jobs by number, newest first: those below `before`, in these states and that share."""
    asked: list[tuple[str, Sequence[object]]] = [of_jobs(shares)]
    if states:
        asked.append((f"state IN ({', '.join('?' * len(states))})", states))
    if share is not None:
        asked.append(("share = ?", [share]))
    if before is not None:
        asked.append(("job.id < ?", [before]))
    where = " AND ".join(condition for condition, _ in asked)
    values = [value for _, values in asked for value in values]
    rows = ledger.rows(f"{SELECT} WHERE {where} ORDER BY job.id DESC LIMIT ?", [*values, limit])
    return [from_row(row) for row in rows]


def next_up(ledger: Ledger, *, limit: int = 20, shares: Shares = None) -> list[Job]:
    """Queued jobs in the order in which they are taken."""
    seen, values = of_jobs(shares)
    rows = ledger.rows(
        f"{SELECT} WHERE state = ? AND {seen} ORDER BY priority DESC, job.id LIMIT ?",
        [State.QUEUED, *values, limit],
    )
    return [from_row(row) for row in rows]


def in_line(ledger: Ledger, *, limit: int) -> list[Source]:
    """What the queue holds, without what was asked for: enough to judge how long it will take."""
    rows = ledger.rows(
        "SELECT share, path, size, mtime_ns FROM job WHERE state = ? LIMIT ?", [State.QUEUED, limit]
    )
    return [Source(**row) for row in rows]


def lately_ended(ledger: Ledger, *, limit: int = 10, shares: Shares = None) -> list[Job]:
    """What ended last, the newest end first."""
    seen, values = of_jobs(shares)
    rows = ledger.rows(
        f"{SELECT} WHERE {HAS_ENDED} AND {seen} ORDER BY updated_ms DESC, job.id DESC LIMIT ?",
        [*values, limit],
    )
    return [from_row(row) for row in rows]


def tally(ledger: Ledger, *, since_ms: int, shares: Shares = None) -> Tally:
    """How many jobs have ended since then."""
    seen, values = of_jobs(shares)
    row = ledger.row(
        "SELECT total(state = ?) AS done,"
        " total(state = ? AND coalesce(warnings, '[]') <> '[]') AS warned,"
        " total(state IN (?, ?)) AS failed"
        f" FROM job WHERE {HAS_ENDED} AND updated_ms >= ? AND {seen}",
        [State.DONE, State.DONE, State.FAILED, State.DEAD, since_ms, *values],
    )
    return Tally(**{name: int(count) for name, count in (row or {}).items()})
