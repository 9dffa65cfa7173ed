"""One step of the line runs ahead, in a thread of its own: libav decodes the next block of
sound while the voice detector judges this one. Both leave Python's lock alone while they work.

The thread is started once, before the child is sealed: afterwards nobody can start one.

Not here: decoding (sound), judging (windows).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")
_AHEAD: Final = 2  # items that may lie ready: two blocks are forty seconds of sound
_BEAT_SECONDS: Final = 0.5
_END: Final = object()


class Ahead:
    """The thread. Used for one iterable at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")

    def start(self) -> None:
        """Start the thread; it waits."""
        self._thread.submit(int).result()

    def of(self, items: Iterable[T], *, beat: Callable[[], None]) -> Iterator[T]:
        """Give the items, made ahead; raise what making them raised. `beat` while we wait."""
        making = iter(items)
        ready = deque(self._thread.submit(next, making, _END) for _ in range(_AHEAD))
        while (item := _result(ready.popleft(), beat)) is not _END:
            ready.append(self._thread.submit(next, making, _END))
            yield cast("T", item)


def _result(made: Future[Any], beat: Callable[[], None]) -> object:
    while not made.done():
        try:
            return made.result(timeout=_BEAT_SECONDS)
        except TimeoutError:
            beat()
    return made.result()
