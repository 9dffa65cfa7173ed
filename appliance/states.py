"""Where a job may go from where it is, and where an error sends it. No I/O.

Here: the one table of transitions (the ledger refuses any other) and the retry policy.

Not here: moving a job (store.jobs), finding the ones that are due (recover).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.errors import (
    ApplianceError,
    Budget,
    Cancelled,
    Interrupted,
    Retry,
    SourceChanged,
    SourceMissing,
)


class State(enum.StrEnum):
    """What has become of a job."""

    DISCOVERED = "discovered"  # noticed, must settle (again) before it may queue
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    HELD = "held"  # a person said: not now
    WAITING = "waiting"  # its gate is closed
    RETRY_WAIT = "retry-wait"
    FAILED = "failed"  # a permanent cause
    DEAD = "dead"  # a budget is exhausted
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    SOURCE_MISSING = "source-missing"


class Stage(enum.StrEnum):
    """Which part of the line a running job is in."""

    STAGE = "stage"
    TRANSCRIBE = "transcribe"
    RECORD = "record"
    DELIVER = "deliver"


_S = State
NEXT: Final[Mapping[State, frozenset[State]]] = {
    # from: the happy step first, then what else may happen
    _S.DISCOVERED: frozenset({_S.QUEUED, _S.SKIPPED, _S.HELD, _S.SOURCE_MISSING, _S.CANCELLED}),
    _S.QUEUED: frozenset({_S.RUNNING, _S.HELD, _S.WAITING, _S.CANCELLED, _S.SOURCE_MISSING}),
    _S.RUNNING: frozenset(
        {
            _S.DONE,
            _S.QUEUED,  # the worker is stopping in good order
            _S.WAITING,
            _S.RETRY_WAIT,
            _S.FAILED,
            _S.DEAD,
            _S.CANCELLED,
            _S.DISCOVERED,  # the source changed under our hands
            _S.SOURCE_MISSING,
        }
    ),
    _S.DONE: frozenset(
        {_S.QUEUED}
    ),  # transcribe again: a new epoch; export an edited text: the same
    _S.HELD: frozenset({_S.QUEUED, _S.CANCELLED, _S.SOURCE_MISSING}),
    _S.WAITING: frozenset({_S.QUEUED, _S.HELD, _S.CANCELLED, _S.SOURCE_MISSING}),
    _S.RETRY_WAIT: frozenset({_S.QUEUED, _S.HELD, _S.CANCELLED, _S.SOURCE_MISSING}),
    _S.FAILED: frozenset({_S.QUEUED}),  # a person pressed Retry, or deleted the error file
    _S.DEAD: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset({_S.QUEUED}),
    _S.SKIPPED: frozenset({_S.QUEUED}),
    _S.SOURCE_MISSING: frozenset({_S.QUEUED, _S.DISCOVERED}),
}

LIVE: Final = frozenset({_S.DISCOVERED, _S.QUEUED, _S.RUNNING, _S.HELD, _S.WAITING, _S.RETRY_WAIT})
ENDED: Final = frozenset(_S) - LIVE

ALLOWANCE: Final[Mapping[Budget, int]] = {
    Budget.ERRORS: 5,
    Budget.CRASHES: 3,
    Budget.LOSSES: 5,  # within an hour; recover forgets older ones
}
BACKOFF_BASE: Final[Mapping[Budget, float]] = {
    Budget.ERRORS: 5.0,
    Budget.CRASHES: 30.0,
    Budget.LOSSES: 5.0,
}
BACKOFF_CAP_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where an error sends a job."""

    state: State
    delay: float = 0.0  # seconds until it may queue again (retry-wait only)


def after(error: ApplianceError, *, spent: int, jitter: Callable[[float, float], float]) -> Verdict:
    """Say where a job goes when `error` stopped it.

    `spent` counts the failures already charged to this error's budget, this one not
    included; `jitter(low, high)` draws from the interval (random.uniform). Full jitter
    as in "Exponential Backoff And Jitter" (AWS, 2015): U(0, min(cap, base * 2**n)).
    """
    match error:
        case Cancelled():
            return Verdict(State.CANCELLED)
        case Interrupted():
            return Verdict(State.QUEUED)
        case SourceChanged():
            return Verdict(State.DISCOVERED)
        case SourceMissing():
            return Verdict(State.SOURCE_MISSING)
    if error.retry is Retry.WHEN_WELL:
        return Verdict(State.WAITING)
    if error.retry is Retry.NEVER:
        return Verdict(State.FAILED)
    if error.budget is not Budget.NONE and spent + 1 >= ALLOWANCE[error.budget]:
        return Verdict(State.DEAD)
    if error.budget is Budget.LOSSES and not spent:
        return Verdict(State.RETRY_WAIT)  # it did nothing wrong: on with it at once
    ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE.get(error.budget, 5.0) * 2**spent)
    return Verdict(State.RETRY_WAIT, jitter(0.0, ceiling))
