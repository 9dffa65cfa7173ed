"""Decode children, forked when they are needed by a template that is warm, used once each.

Not here: what a child may use up and who forks it (limits), what it is told (wire,
transcribe.relay).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Self

from appliance import logbook, wire
from appliance.limits import Child, Forked, Limits, Nursery, spawn


class DecodeChild:
    """A decode process of our own and the line to it."""

    def __init__(self, process: Forked, channel: wire.Channel) -> None:
        self.process = process
        self.channel = channel

    def rss_peak(self) -> int | None:
        """Bytes of memory it needed at most, once it has ended; None while that is not known."""
        verdict = self.process.wait(timeout=5.0)
        return None if verdict is None else verdict.rss_peak

    def end(self) -> None:
        """Kill it, whatever it does, and wait for its end."""
        self.channel.close()
        self.process.kill()
        if (verdict := self.process.wait(timeout=5.0)) is not None:
            logbook.note("decoder", rss_peak=verdict.rss_peak, how=str(verdict))


class Decoders:
    """The decode children of one worker, for any thread. Closing it kills them."""

    def __init__(self, limits: Limits, *, argv: Sequence[str] | None = None) -> None:
        """`argv` is another template, for tests; the control socket's number is appended."""
        command = argv or [sys.executable, "-m", "appliance.decode"]

        def begin(fd: int) -> Child:
            return spawn([*command, str(fd)], pass_fds=[fd], limits=limits)

        self._nursery = Nursery("decoder", begin, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._nursery.close()

    @contextlib.contextmanager
    def take(self) -> Iterator[DecodeChild]:
        """Lend a child for one attempt; afterwards it is dead. Raises NodeIO where none starts."""
        channel, theirs = wire.Channel.pair()
        with contextlib.ExitStack() as unless_born, theirs:
            unless_born.callback(channel.close)
            child = DecodeChild(self._nursery.born(theirs.fileno()), channel)
            unless_born.pop_all()
        try:
            yield child
        finally:
            child.end()
