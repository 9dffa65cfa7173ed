"""What people say of jobs: their tags and how urgent they are. Neither moves a job.

A tag is a word and is there as long as a job carries it. Urgency is the row's own
`priority`: the higher comes first, and what is above 0 goes before long recordings, as
short ones do (queue).

Not here: moving a job (jobs), who may say so (web.access).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from appliance.rights import Shares
from appliance.store import sight
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.store.sight import within

MOST_TAGS: Final = 20  # of a job
URGENCY: Final = 100  # the highest, and its negative the lowest


def of_job(ledger: Ledger, job_id: int) -> list[str]:
    """The tags of a job, by name."""
    rows = ledger.rows("SELECT name FROM tag WHERE job = ? ORDER BY name", [job_id])
    return [row["name"] for row in rows]


def of_jobs(ledger: Ledger, numbers: Sequence[int]) -> dict[int, list[str]]:
    """The tags of several jobs; a job without any is not in there."""
    marks = ", ".join("?" * len(numbers))
    found: dict[int, list[str]] = {}
    for row in ledger.rows(
        f"SELECT job, name FROM tag WHERE job IN ({marks}) ORDER BY job, name", [*numbers]
    ):
        found.setdefault(row["job"], []).append(row["name"])
    return found


def counts(ledger: Ledger, *, shares: Shares = None) -> dict[str, int]:
    """Every tag, and how many jobs carry it."""
    seen, values = sight.of_jobs(shares)
    where = "" if shares is None else f" JOIN job ON job.id = tag.job WHERE {seen}"
    rows = ledger.rows(
        f"SELECT tag.name, count(*) AS jobs FROM tag{where} GROUP BY tag.name ORDER BY tag.name",
        values,
    )
    return {row["name"]: row["jobs"] for row in rows}


def tag(ledger: Ledger, job: Job, names: Iterable[str]) -> None:
    """Let a job carry these tags and no others."""
    with ledger.writing() as db:
        db.execute("DELETE FROM tag WHERE job = ?", [job.id])
        db.conn.executemany(
            "INSERT INTO tag (job, name) VALUES (?, ?)", [(job.id, one) for one in set(names)]
        )


def rename(ledger: Ledger, name: str, to: str, *, shares: Shares = None) -> int:
    """Let every job carry another tag in the place of that one; say how many did."""
    seen, values = within(shares)
    with ledger.writing() as db:
        db.execute(
            "INSERT OR IGNORE INTO tag (job, name) SELECT tag.job, ? FROM tag"
            f" JOIN job ON job.id = tag.job WHERE tag.name = ? AND {seen}",
            [to, name, *values],
        )
        return drop(ledger, name, shares=shares) if name != to else 0


def drop(ledger: Ledger, name: str, *, shares: Shares = None) -> int:
    """Let no job carry that tag any more; say how many did."""
    seen, values = within(shares)
    with ledger.writing() as db:
        return db.execute(
            f"DELETE FROM tag WHERE name = ? AND job IN (SELECT id FROM job WHERE {seen})",
            [name, *values],
        ).rowcount


def hurry(ledger: Ledger, job: Job, priority: int) -> None:
    """Say how urgent a job is. It shows when the job is next taken out of the queue."""
    with ledger.writing() as db:
        db.execute("UPDATE job SET priority = ? WHERE id = ?", [priority, job.id])
