"""How far a running job is, and when everything will be ready: from measured speed alone.

A running job is judged by its own rate. A queued one has no rate yet: it is judged by
what recordings of its kind (the suffix) took per byte lately; where nothing is known of
one of them, nothing is promised.

Not here: what a job says of itself (daemon.progress_board).
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.nouns import Source
from appliance.states import Stage
from appliance.store.attempts import Pace
from appliance.store.jobs import Job

_FAIR_TRIAL_SECONDS: Final = 2.0  # before that a rate says nothing


@dataclass(frozen=True, slots=True)
class Working:
    """A running job, and how far it is."""

    job: Job
    stage: Stage
    done: float | None  # seconds of the recording that have been heard
    total: float | None  # seconds it promises
    seconds_left: float | None

    @property
    def percent(self) -> int | None:
        """How much of the recording has been heard; None while that cannot be told."""
        if self.stage in (Stage.RECORD, Stage.DELIVER):
            return 100
        if self.done is None or not self.total:
            return None
        return min(99, int(100 * self.done / self.total))


def working(job: Job, facts: Mapping[str, Any], now: float) -> Working:
    """Judge a running job by what it said of itself; `now` is seconds since 1970."""
    done, total = facts.get("done"), facts.get("total")
    stage = Stage(facts.get("stage") or job.stage or Stage.STAGE)
    left = None
    if stage is Stage.TRANSCRIBE and now - facts.get("began", now) > _FAIR_TRIAL_SECONDS:
        left = facts.get("left")
    return Working(job, stage, done, total, left)


def seconds_until_ready(
    running: Iterable[Working], queued: Sequence[Source], paces: Iterable[Pace], *, workers: int
) -> float | None:
    """Seconds until all of it is done, or None where something cannot be judged."""
    known = per_byte(paces)
    left = [
        _guess(one.job.source, known) if one.seconds_left is None else one.seconds_left
        for one in running
    ]
    needs = [*left, *(_guess(source, known) for source in queued)]
    whole = [seconds for seconds in needs if seconds is not None]
    if not whole or len(whole) < len(needs):
        return None
    return max(sum(whole) / workers, *whole[: len(left)], 0.0)


def _guess(source: Source, known: Mapping[str, float]) -> float | None:
    rate = known.get(_kind(source.path))
    return None if rate is None else rate * source.size


def per_byte(paces: Iterable[Pace]) -> dict[str, float]:
    """Seconds a byte of each kind of file took, in the middle of what was seen."""
    seen: dict[str, list[float]] = {}
    for pace in paces:
        if pace.size:
            seen.setdefault(_kind(pace.path), []).append(pace.seconds / pace.size)
    return {kind: statistics.median(rates) for kind, rates in seen.items()}


def _kind(path: bytes) -> str:
    return os.path.splitext(path)[1].decode("ascii", "replace").lower()
