"""The first jobs of what somebody sees, without a look at what lies elsewhere.

SQLite walks one index in its order. Over several shares, or states, there is none that has
the order of them all, and it would walk past a hundred thousand jobs for the three that are
seen. So each heap (a share or a sender, with a state where one is asked for) gives its first
few by an index of its own, and the first of those are the answer. Which heaps there are is
known without a look at a job (census).

Not here: what is asked about them (board).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.rights import Shares
from appliance.states import State
from appliance.store.ledger import Ledger
from appliance.store.schema import HAS_ENDED, IS_QUEUED
from appliance.store.sight import apart

Asked = tuple[str, Sequence[object]]  # a condition and its values


@dataclass(frozen=True, slots=True)
class Order:
    """An order of jobs that an index has, within a heap."""

    by_state: bool  # whether each state is a heap of its own
    which: str
    order: str


NEWEST: Final = Order(by_state=True, which="TRUE", order="job.id DESC")
LAST_ENDED: Final = Order(by_state=False, which=HAS_ENDED, order="job.updated_ms DESC, job.id DESC")
NEXT: Final = Order(by_state=False, which=IS_QUEUED, order="job.priority DESC, job.id")


def first(
    ledger: Ledger,
    order: Order,
    *,
    shares: Shares,
    states: Sequence[State] = (),
    share: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[int]:
    """Numbers of the first jobs in that order; those below `before`, in these states."""
    heaps: list[Asked] = [("jobs > 0", [])]
    if states:
        heaps.append((f"state IN ({', '.join('?' * len(states))})", [*states]))
    if share is not None:
        heaps.append(("share = ?", [share]))
    jobs: list[Asked] = [(order.which, [])]
    if share is not None:
        jobs.append(("job.share = ?", [share]))
    if before is not None:
        jobs.append(("job.id < ?", [before]))
    found = [
        _first_of(order, column, [(seen, values), *heaps], [(seen, values), *jobs], limit)
        for column, seen, values in apart(shares)
    ]
    rows = ledger.rows(
        f"SELECT id FROM job WHERE id IN ({' UNION ALL '.join(sql for sql, _ in found)})"
        f" ORDER BY {order.order} LIMIT ?",
        [*(value for _, values in found for value in values), limit],
    )
    return [row["id"] for row in rows]


def _first_of(
    order: Order, column: str, heaps: Sequence[Asked], jobs: Sequence[Asked], limit: int
) -> Asked:
    """The first `limit` of each heap, as a question."""
    columns = (column, "state") if order.by_state else (column,)
    same = [f"job.{one} = heap.{one}" for one in columns]
    inner = " AND ".join([*same, *(condition for condition, _ in jobs)])
    outer = " AND ".join(condition for condition, _ in heaps)
    sql = (
        f"SELECT found.id FROM (SELECT DISTINCT {', '.join(columns)} FROM census AS job"
        f" WHERE {outer}) AS heap CROSS JOIN job AS found ON found.id IN (SELECT job.id FROM job"
        f" WHERE {inner} ORDER BY {order.order} LIMIT ?)"
    )
    return sql, [*(value for _, values in (*heaps, *jobs) for value in values), limit]
