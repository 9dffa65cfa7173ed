"""What has been heard of a job that still runs, to be read along.

Windows may be heard in any order; shown are those without a gap before them, so that what
stands on the page never changes.

Not here: the rows (store.partials), placing words (transcribe.assemble).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.nouns import Segment
from appliance.store import partials
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.transcribe.assemble import so_far
from appliance.transcribe.checkpoint import kept


@dataclass(frozen=True, slots=True)
class Partial:
    """Some of it."""

    segments: tuple[Segment, ...]
    next: int  # what to ask for afterwards


def read(ledger: Ledger, job: Job, after: int = 0) -> Partial:
    """The segments from window `after` on, as far as they go without a gap."""
    rows = partials.since(ledger, job.id, max(0, after))
    whole = dict(_without_gap(rows, max(0, after)))
    segments = tuple(so_far(kept(whole), job.options.tasks[0]))
    return Partial(segments, max(whole, default=max(0, after) - 1) + 1)


def _without_gap(rows: Mapping[int, bytes], after: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while (number := after + len(found)) in rows:
        found.append((number, rows[number]))
    return found
