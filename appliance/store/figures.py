"""Sums over everything, for those who draw curves: attempts by their end, queue, files seen.

Each walks a whole table: whoever asks keeps the answer for a while.

Not here: names of metrics (web.metrics), one job (jobs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.states import State
from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Ends:
    """Attempts that ended alike."""

    share: str
    outcome: str
    code: str | None
    stage: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """How long finished attempts took: how many up to each bound, all of them, seconds in all."""

    up_to: tuple[int, ...]
    count: int
    seconds: float


def ends(ledger: Ledger) -> list[Ends]:
    """Every attempt that has ended, summed up."""
    rows = ledger.rows(
        "SELECT job.share, attempt.outcome, attempt.code, attempt.stage, count(*) AS count"
        " FROM attempt JOIN job ON job.id = attempt.job WHERE attempt.outcome IS NOT NULL"
        " GROUP BY 1, 2, 3, 4"
    )
    return [Ends(**row) for row in rows]


def spread(ledger: Ledger, bounds: Sequence[float]) -> Spread:
    """How long attempts took that ended as done; `bounds` in seconds."""
    took = "(ended_ms - began_ms) / 1000.0"
    columns = ", ".join(f"total({took} <= ?) AS b{n}" for n in range(len(bounds)))
    row = ledger.row(
        f"SELECT {columns}, count(*) AS n, total(max({took}, 0)) AS seconds FROM attempt"
        " WHERE outcome = ?",
        [*bounds, State.DONE],
    )
    if row is None:
        return Spread((0,) * len(bounds), 0, 0.0)
    return Spread(tuple(int(row[f"b{n}"]) for n in range(len(bounds))), row["n"], row["seconds"])


def heard(ledger: Ledger) -> float:
    """Seconds of sound in all recordings that are done."""
    row = ledger.row("SELECT total(duration) AS seconds FROM job WHERE state = ?", [State.DONE])
    return float(row["seconds"]) if row else 0.0


def queue(ledger: Ledger) -> tuple[int, int, int | None]:
    """Queued jobs: short ones, others, and since when the first of them waits (ms)."""
    row = ledger.row(
        "SELECT total(priority > 0) AS short, total(priority <= 0) AS long,"
        " min(updated_ms) AS since FROM job WHERE state = ?",
        [State.QUEUED],
    )
    return (int(row["short"]), int(row["long"]), row["since"]) if row else (0, 0, None)


def sighted(ledger: Ledger) -> dict[str, int]:
    """How many files of the shares are in each state."""
    rows = ledger.rows("SELECT state, count(*) AS n FROM sighting GROUP BY state")
    return {row["state"]: row["n"] for row in rows}
