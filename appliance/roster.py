"""Which job a free thread of the worker takes: a doorbell rings, and the best one comes.

Short recordings come first, and some threads are kept for them: a memo never waits for a
recording of six hours. Of long ones only so many are taken at once as keep the engine busy;
with more, each would be done later and none sooner. And while long ones wait, a flood of
short ones does not take their threads.

A recording that is long in coming, from a server that hardly moves, keeps its thread and nobody
else's turn: others are heard meanwhile. A share of which half the threads wait gets no more.

What is short is told by the size of the file: nothing else is known before it is opened.
Not here: claiming (store.jobs), doing (tasks).
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from appliance.store import queue
from appliance.store.ledger import Ledger

_FED_BY_ONE: Final = 285.0  # seconds of sound a second that one decode child feeds (measured)
LEAST_LONG: Final = 2  # one is heard while another is fetched or delivered


class Roster:
    """What the threads of one worker are at."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        threads: int,
        speed: Callable[[], float | None],
        slow: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        """`speed()` is the engine's: seconds of sound a second, None while nobody knows.

        `slow()` are the jobs whose recordings are long in coming, and their shares.
        """
        self._slow = slow
        self._ledger = ledger
        self._threads = threads
        self._speed = speed
        self._choosing = threading.Lock()
        self._taken: dict[int, bool] = {}  # jobs in hand: is it a short one

    def long_ones(self) -> int:
        """How many long recordings may be in hand at once."""
        wanted = max(LEAST_LONG, math.ceil((self._speed() or 0.0) / _FED_BY_ONE) + 1)
        return max(1, min(wanted, self._threads - 1))

    @contextlib.contextmanager
    def next(self) -> Iterator[int | None]:
        """Lend the number of the job to do now; None when there is none for this thread."""
        with self._choosing:
            chosen = self._choose()
            if chosen is not None:
                self._taken[chosen[0]] = chosen[1]
        try:
            yield chosen[0] if chosen else None
        finally:
            if chosen is not None:
                with self._choosing:
                    del self._taken[chosen[0]]

    def _choose(self) -> tuple[int, bool] | None:
        most = self.long_ones()
        slow = self._slow()
        long_in_hand = sum(not short for job, short in self._taken.items() if job not in slow)
        short_in_hand = sum(self._taken.values())
        half = max(1, self._threads // 2)
        full = [share for share, jobs in Counter(slow.values()).items() if jobs >= half]
        a_long_one = self._first(full, short=False) if long_in_hand < most else None
        a_short_one = self._first(full, short=True)
        if a_short_one is None or (a_long_one and short_in_hand >= max(1, self._threads - most)):
            return None if a_long_one is None else (a_long_one, False)
        return (a_short_one, True)

    def _first(self, full: Collection[str], *, short: bool) -> int | None:
        """The queued job that has waited longest, of those nobody here has in hand."""
        waiting = queue.queued(self._ledger, short=short, limit=len(self._taken) + 1, but=full)
        return next((job for job in waiting if job not in self._taken), None)
