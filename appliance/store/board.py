"""What is asked about many jobs: who is next, what ended lately, how many, page after page.

`shares` is what the asker may see (None: everything); what lies elsewhere is not there.

Not here: one job by its number or its file, moving it (jobs), who needs a hand (overdue).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.nouns import Source
from appliance.rights import Shares
from appliance.states import State
from appliance.store import heaps
from appliance.store.jobs import SELECT, Job, from_row
from appliance.store.ledger import Ledger
from appliance.store.schema import HAS_ENDED
from appliance.store.sight import apart, of_jobs


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

    def conditions(self, *, walking: bool = False) -> Iterator[tuple[str, Sequence[object]]]:
        """As conditions of a question, with their values; `walking` as in `of_jobs`."""
        mark = "+" if walking else ""
        if self.share is not None:
            yield f"{mark}job.share = ?", [self.share]
        if self.numbers:
            yield f"job.id IN ({_marks(self.numbers)})", self.numbers
        if self.tags:
            tagged = f"SELECT job FROM tag WHERE name IN ({_marks(self.tags)})"
            yield f"job.id IN ({tagged})", self.tags
        if self.since_ms is not None:
            yield f"{mark}job.created_ms >= ?", [self.since_ms]
        if self.until_ms is not None:
            yield f"{mark}job.created_ms < ?", [self.until_ms]
        if self.named:
            literal = re.sub(r"([%_\\])", r"\\\1", self.named)
            yield r"CAST(job.path AS TEXT) LIKE ? ESCAPE '\'", [f"%{literal}%"]

    @property
    def is_of_shares(self) -> bool:
        """Tell whether nothing but a share chooses: then no job has to be looked at to count."""
        return replace(self, share=None) == EVERY


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
    if share is not None:
        choice = replace(choice, share=share)
    every = not states and shares is None and choice.share is None
    if choice.is_of_shares and not every:
        numbers = heaps.first(
            *(ledger, heaps.NEWEST),
            shares=shares,
            states=states,
            share=choice.share,
            before=before,
            limit=limit,
        )
        return _in_order(ledger, numbers)
    asked = [of_jobs(shares, walking=True), *choice.conditions(walking=True)]
    if states:
        asked.append((f"+state IN ({_marks(states)})", [*states]))
    if before is not None:
        asked.append(("job.id < ?", [before]))
    where = " AND ".join(condition for condition, _ in asked)
    values = [value for _, values in asked for value in values]
    rows = ledger.rows(f"{SELECT} WHERE {where} ORDER BY job.id DESC LIMIT ?", [*values, limit])
    return [from_row(row) for row in rows]


def _in_order(ledger: Ledger, numbers: Sequence[int]) -> list[Job]:
    """Jobs by their numbers, in that order; one that was forgotten meanwhile is left out."""
    rows = ledger.rows(f"{SELECT} WHERE job.id IN ({_marks(numbers)})", numbers)
    found = {row["id"]: from_row(row) for row in rows}
    return [found[number] for number in numbers if number in found]


def counts(ledger: Ledger, choice: Choice, *, shares: Shares = None) -> dict[State, int]:
    """How many of the jobs that are meant are in each state."""
    chosen = list(choice.conditions())
    if choice.is_of_shares:
        parts = [("sum(jobs) AS n FROM census AS job", [of_jobs(shares), *chosen])]
    else:
        looked_at = choice.named or choice.tags or choice.numbers  # each job, in the table's order
        seen = [(sql, values) for _, sql, values in apart(shares)] if looked_at else _parts(shares)
        parts = [("count(*) AS n FROM job", [one, *chosen]) for one in seen]
    every = " UNION ALL ".join(
        f"SELECT state, {sql} WHERE {' AND '.join(asked for asked, _ in conditions)} GROUP BY state"
        for sql, conditions in parts
    )
    rows = ledger.rows(
        f"SELECT state, sum(n) AS n FROM ({every}) GROUP BY state HAVING sum(n) > 0 ORDER BY state",
        [value for _, conditions in parts for _, values in conditions for value in values],
    )
    return {State(row["state"]): row["n"] for row in rows}


def _parts(shares: Shares) -> Iterator[tuple[str, Sequence[object]]]:
    """What is seen, in parts that an index answers each; also who sees all sees share by share."""
    for column, seen, values in apart(shares):
        if column == "share":
            yield f"job.share IN (SELECT share FROM census AS job WHERE {seen})", values
        else:
            yield seen, values


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
    return _in_order(ledger, heaps.first(ledger, heaps.NEXT, shares=shares, limit=limit))


def in_line(ledger: Ledger, *, limit: int) -> list[Source]:
    """What the queue holds, without what was asked for: enough to judge how long it will take."""
    rows = ledger.rows(
        "SELECT share, path, size, mtime_ns FROM job WHERE state = ? LIMIT ?", [State.QUEUED, limit]
    )
    return [Source(**row) for row in rows]


def lately_ended(ledger: Ledger, *, limit: int = 10, shares: Shares = None) -> list[Job]:
    """What ended last, the newest end first."""
    return _in_order(ledger, heaps.first(ledger, heaps.LAST_ENDED, shares=shares, limit=limit))


def tally(ledger: Ledger, *, since_ms: int, shares: Shares = None) -> Tally:
    """How many jobs have ended since then."""
    asked = list(_parts(shares))
    ended = " UNION ALL ".join(
        f"SELECT state, warnings FROM job WHERE {HAS_ENDED} AND updated_ms >= ? AND {seen}"
        for seen, _ in asked
    )
    row = ledger.row(
        "SELECT total(state = ?) AS done,"
        " total(state = ? AND coalesce(warnings, '[]') <> '[]') AS warned,"
        f" total(state IN (?, ?)) AS failed FROM ({ended})",
        [
            *(State.DONE, State.DONE, State.FAILED, State.DEAD),
            *(value for _, values in asked for value in (since_ms, *values)),
        ],
    )
    return Tally(**{name: int(count) for name, count in (row or {}).items()})
