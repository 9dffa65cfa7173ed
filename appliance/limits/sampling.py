"""Memory of children that no controller holds: looked at four times a second.

RLIMIT_DATA holds what a child allocates for itself; pages that it shares with nobody and maps
as shared do not count there. So a child that has grown beyond its limit since we first saw it
is ended, at most a quarter of a second later.

Not here: what ends it (held), groups whose memory the kernel holds (cgroup).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Final

_EVERY_SECONDS: Final = 0.25


class Watched:
    """A child that is looked at."""

    def __init__(
        self, members: Callable[[], Sequence[int]], limit: int, over: Callable[[], None]
    ) -> None:
        self._members = members
        self._limit = limit
        self._over = over
        self._born = _resident(members())  # with what it shares with its template
        self._guard = threading.Lock()
        self._peak = 0
        self._is_over = False
        self._has_ended = False

    def look(self) -> None:
        """See how much it holds now, and end it if that is too much."""
        with self._guard:
            if self._has_ended:
                return
            self._peak = max(self._peak, _resident(self._members()) - self._born)
            if self._peak > self._limit:
                self._is_over = True
                self._over()

    def end(self) -> tuple[int, bool]:
        """Look no more: the most that it held beyond its birth, in bytes, and was it too much."""
        with self._guard:
            self._has_ended = True
            return self._peak, self._is_over

    @property
    def has_ended(self) -> bool:
        """Nobody looks any more."""
        return self._has_ended


class Sampler:
    """Looks at all who are to be looked at; its thread sleeps while there is nobody."""

    def __init__(self) -> None:
        import psutil  # noqa: F401 - now, or the first child would wait for it

        self._changed = threading.Condition()
        self._watched: list[Watched] = []
        self._closing = False
        self._thread: threading.Thread | None = None

    def watch(
        self, members: Callable[[], Sequence[int]], limit: int, over: Callable[[], None]
    ) -> Watched:
        """Look at the processes of `members`; call `over` when they hold `limit` bytes more."""
        one = Watched(members, limit, over)
        with self._changed:
            self._watched.append(one)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="sampler", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return one

    def _look(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._watched)
                self._changed.wait_for(lambda: self._closing, timeout=_EVERY_SECONDS)
                if self._closing:
                    return
                self._watched = [one for one in self._watched if not one.has_ended]
                now = list(self._watched)
            for one in now:
                one.look()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()


def _resident(pids: Sequence[int]) -> int:
    """Bytes that these processes hold together; what two of them share counts twice."""
    import psutil

    held = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            held += psutil.Process(pid).memory_info().rss
    return held
