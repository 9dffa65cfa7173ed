"""Decode children, warmed up before they are needed, used once each.

A child needs half a second to import its decoder; one is kept ready so that a recording
need not wait for that. Children are started from one thread that lives as long as the
process: PR_SET_PDEATHSIG fires when the starting *thread* dies.

Not here: what a child may use up (limits), what it is told (wire, transcribe.relay).
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Final, Self

from appliance import logbook, wire
from appliance.errors import NodeIO
from appliance.limits import Child, Limits, spawn

_SPARE: Final = 1
_START_SECONDS: Final = 60.0


class DecodeChild:
    """A decode process of our own and the line to it."""

    def __init__(self, process: Child, channel: wire.Channel) -> None:
        self.process = process
        self.channel = channel

    def rss_peak(self) -> int | None:
        """Bytes of memory it needed at most, once it has ended; None while that is not known."""
        verdict = self.process.wait(timeout=5.0)
        return None if verdict is None else verdict.rss_peak

    def end(self) -> None:
        """Kill it, whatever it does, and reap it."""
        self.channel.close()
        self.process.kill()
        if (verdict := self.process.wait(timeout=5.0)) is not None:
            logbook.note("decoder", rss_peak=verdict.rss_peak, how=str(verdict))


class Nursery:
    """Keeps a warmed-up child ready. Closing it kills the ones nobody took."""

    def __init__(self, limits: Limits, *, argv: list[str] | None = None) -> None:
        """`argv` is another decoder, for tests; the control socket's number is appended."""
        self._limits = limits
        self._argv = argv or [sys.executable, "-m", "appliance.decode"]
        self._ready: queue.Queue[DecodeChild | OSError] = queue.Queue(maxsize=_SPARE)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._raise_children, name="nursery", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def take(self) -> Iterator[DecodeChild]:
        """Lend a child for one attempt; afterwards it is dead. Raises NodeIO where none starts."""
        child = self._next()
        try:
            yield child
        finally:
            child.end()

    def _next(self) -> DecodeChild:
        why: object = None
        for _ in range(1 + _SPARE):  # what lies ready may be a failure of long ago
            try:
                child = self._ready.get(timeout=_START_SECONDS)
            except queue.Empty:
                break
            if isinstance(child, DecodeChild):
                return child
            why = child
        raise NodeIO(where=self._argv[0], why=f"no decoder starts: {why or 'it takes too long'}")

    def _raise_children(self) -> None:
        while not self._closing.is_set():
            try:
                child: DecodeChild | OSError = self._start()
            except OSError as error:
                child = error
            while not self._closing.is_set():
                with contextlib.suppress(queue.Full):
                    self._ready.put(child, timeout=0.5)
                    break
            else:
                _end(child)

    def _start(self) -> DecodeChild:
        channel, theirs = wire.Channel.pair()
        with contextlib.ExitStack() as unless_started, theirs:
            unless_started.callback(channel.close)
            argv = [*self._argv, str(theirs.fileno())]
            process = spawn(argv, pass_fds=[theirs.fileno()], limits=self._limits)
            unless_started.pop_all()
        return DecodeChild(process, channel)

    def close(self) -> None:
        """End the thread and every child that is still waiting."""
        self._closing.set()
        self._thread.join(timeout=10.0)
        with contextlib.suppress(queue.Empty):
            while True:
                _end(self._ready.get_nowait())


def _end(child: DecodeChild | OSError) -> None:
    if isinstance(child, DecodeChild):
        child.end()
