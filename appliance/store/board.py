"""What is asked about many jobs: who is next, what ended lately, how many, page after page.

`shares` is what the asker may see (None: everything); what lies elsewhere is not there.

Not here: one job by its number or its file, moving it (jobs), who needs a hand (overdue).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Choice:
    """Which jobs are meant, beside their states; what is None or empty chooses nothing out."""

    share: str | None = None
    numbers: Sequence[int] = ()
    tags: Sequence[str] = ()  # any of them
    since_ms: int | None = None  # found then, or later
    until_ms: int | None = None  # found before then
    named: str = ""  # what the recording's path holds somewhere, whatever the case of its letters

    def conditions(self) -> Iterator[tuple[str, Sequence[object]]]:
        """As conditions of a question, with their values."""
        if self.share is not None:
            yield "job.share = ?", [self.share]
        if self.numbers:
            yield f"job.id IN ({_marks(self.numbers)})", self.numbers
        if self.tags:
            tagged = f"SELECT job FROM tag WHERE name IN ({_marks(self.tags)})"
            yield f"job.id IN ({tagged})", self.tags
        if self.since_ms is not None:
            yield "job.created_ms >= ?", [self.since_ms]
        if self.until_ms is not None:
            yield "job.created_ms < ?", [self.until_ms]
        if self.named:
            literal = re.sub(r"([%_\\])", r"\\\1", self.named)
            yield r"CAST(job.path AS TEXT) LIKE ? ESCAPE '\'", [f"%{literal}%"]


EVERY: Final = Choice()


def page(
    ledger: Ledger,
    states: Sequence[State] = (),
    *,
    share: str | None = None,
    before: int | None = None,
    limit: int = 50,
    shares: Shares = None,
    choice: Choice = EVERY,
) -> list[Job]:
    """Jobs by number, newest first: those below `before`, in these states and that share."""
    asked = [of_jobs(shares), *choice.conditions()]
    if states:
        asked.append((f"state IN ({_marks(states)})", [*states]))
    if share is not None:
        asked.append(("job.share = ?", [share]))
    if before is not None:
        asked.append(("job.id < ?", [before]))
    where = " AND ".join(condition for condition, _ in asked)
    values = [value for _, values in asked for value in values]
    rows = ledger.rows(f"{SELECT} WHERE {where} ORDER BY job.id DESC LIMIT ?", [*values, limit])
    return [from_row(row) for row in rows]


def counts(ledger: Ledger, choice: Choice, *, shares: Shares = None) -> dict[State, int]:
    """How many of the jobs that are meant are in each state."""
    asked = [of_jobs(shares), *choice.conditions()]
    where = " AND ".join(condition for condition, _ in asked)
    values = [value for _, values in asked for value in values]
    rows = ledger.rows(
        f"SELECT state, count(*) AS n FROM job WHERE {where} GROUP BY state ORDER BY state", values
    )
    return {State(row["state"]): row["n"] for row in rows}


def below(ledger: Ledger, share: str, folder: bytes) -> dict[State, int]:
    """How many jobs of recordings in a folder, or deeper, are in which state."""
    rows = ledger.rows(
        "SELECT state, count(*) AS jobs FROM job WHERE share = ? AND path > ? AND path < ?"
        " GROUP BY state ORDER BY state",
        [share, folder + b"/", folder + b"0"],  # "0" comes right after "/"
    )
    return {State(row["state"]): row["jobs"] for row in rows}


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


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
