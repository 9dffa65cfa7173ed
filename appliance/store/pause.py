"""The queue stands still because a person said so: one row, or none.

While it is there no job is claimed. What is in work is finished; what is queued stays
queued, keeps its turn and pays with no attempt.

Not here: gates, which close by themselves (gates), a single job that is held (jobs).
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Pause:
    """Who stopped the queue, why, and since when."""

    who: str
    why: str
    at_ms: int


def now(ledger: Ledger) -> Pause | None:
    """The pause that lasts; None while jobs are taken."""
    row = ledger.row("SELECT who, why, at_ms FROM pause")
    return None if row is None else Pause(**row)


def begin(ledger: Ledger, *, who: str, why: str) -> Pause:
    """Let no job be claimed from now on. A pause that lasts already stays as it is."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO pause (id, who, why, at_ms) VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING",
            [who, why, ledger.clock().wall_ms],
        )
        lasting = now(ledger)
        assert lasting is not None  # noqa: S101 - written a line above
        return lasting


def end(ledger: Ledger) -> bool:
    """Let jobs be claimed again; say whether there was a pause. Whoever ends it rings."""
    with ledger.writing() as db:
        return db.execute("DELETE FROM pause").rowcount > 0
