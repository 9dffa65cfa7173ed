"""Numbers of jobs and of their steps: none is given twice, whatever is deleted meanwhile.

SQLite gives the number of a deleted row again when it was the highest; but links, logs and
whoever tells of steps go by these numbers.

Not here: deleting anything (forgetting, events.expire).
"""

from __future__ import annotations

from typing import Final

from appliance.store.ledger import Ledger

JOB: Final = "job"
EVENT: Final = "event"


def newest(table: str) -> str:
    """The highest number that was given in JOB or EVENT, as an expression of SQL."""
    return (
        f"max(coalesce((SELECT max(id) FROM {table}), 0),"
        f" coalesce((SELECT upto FROM numbered WHERE what = '{table}'), 0))"
    )


def keep(ledger: Ledger) -> None:
    """Remember how far numbers were given, before rows go; in the caller's transaction."""
    with ledger.writing() as db:
        for table in (JOB, EVENT):
            db.execute(
                f"INSERT OR REPLACE INTO numbered (what, upto) VALUES (?, {newest(table)})", [table]
            )
