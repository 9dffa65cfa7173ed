"""Decode children, forked when they are needed by a template that is warm, used once each.

Not here: how a child is held to its limits and who forks it (limits), what it is told (wire,
transcribe.relay).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Self

from appliance import logbook, wire
from appliance.errors import DecoderUnreachable, NodeIO
from appliance.limits import Child, Forked, Held, Limits, Nursery, Place, Sampler, spawn
from appliance.nouns import Usage

NOWHERE: Final = Place()
Used = Callable[[Usage], None]


def nobody(_used: Usage) -> None:
    """Nobody asks what it has used up."""


@contextlib.contextmanager
def _as_ours() -> Iterator[None]:
    """A nursery that has nothing is no disk that fails: recordings wait until it has."""
    try:
        yield
    except NodeIO as error:
        why = str(error.detail["why"]).removeprefix("no decoder starts: ")
        raise DecoderUnreachable(why=why) from error


class DecodeChild:
    """A decode process of our own and the line to it."""

    def __init__(self, process: Held, channel: wire.Channel) -> None:
        self.process = process
        self.channel = channel

    def rss_peak(self) -> int | None:
        """Bytes of memory it needed at most, once it has ended; None while that is not known."""
        verdict = self.process.wait(timeout=5.0)
        return None if verdict is None else verdict.rss_peak

    def end(self) -> Usage | None:
        """Kill it, whatever it does, and wait for its end; what it has used up."""
        self.channel.close()
        self.process.kill()
        verdict = self.process.wait(timeout=5.0)
        self.process.let_be()
        used = self.process.usage
        if verdict is not None and used is not None:
            logbook.note(
                "decoder",
                rss_peak=verdict.rss_peak,
                memory_peak=used.memory_peak,
                cpu_seconds=used.cpu_seconds,
                wall_seconds=used.wall_seconds,
                throttled_seconds=used.throttled_seconds,
                how=str(verdict),
            )
        return used


class Decoders:
    """The decode children of one worker, for any thread. Closing it kills them."""

    def __init__(
        self,
        limits: Limits,
        *,
        place: Place = NOWHERE,
        argv: Sequence[str] | None = None,
    ) -> None:
        """`limits` are the highest that any job has; `place` is where a job's group is made.

        `argv` is another template, for tests; the control socket's number is appended.
        """
        command = argv or [sys.executable, "-P", "-m", "appliance.decode"]

        def begin(fd: int) -> Child:
            return spawn([*command, str(fd)], pass_fds=[fd], limits=limits)

        self._limits = limits
        self._place = place
        self._sampler = Sampler()
        self._nursery = Nursery("decoder", begin, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._nursery.close()
        self._sampler.close()

    @contextlib.contextmanager
    def take(
        self, limits: Limits | None = None, *, name: str = "", used: Used = nobody
    ) -> Iterator[DecodeChild]:
        """Lend a child for one attempt; afterwards it is dead.

        Raises DecoderUnreachable where none starts, NodeIO where it cannot be held to limits.

        It is held to `limits` (None: the highest) in a group called `name`, and `used` is told
        what it has used up.
        """
        channel, theirs = wire.Channel.pair()
        with contextlib.ExitStack() as unless_born, theirs:
            unless_born.callback(channel.close)
            born = self._born(theirs.fileno(), limits or self._limits)
            held = self._held(born, limits or self._limits, name or f"of-{born.pid}")
            child = DecodeChild(held, channel)
            unless_born.pop_all()
        try:
            yield child
        finally:
            if (usage := child.end()) is not None:
                used(usage)

    def get_ready(self) -> None:
        """Wait until there is what decoders are forked of. Raises DecoderUnreachable."""
        with _as_ours():
            self._nursery.get_ready()

    def _born(self, fd: int, limits: Limits) -> Forked:
        with _as_ours():
            return self._nursery.born(fd, limits)

    def _held(self, born: Forked, limits: Limits, name: str) -> Held:
        try:
            return Held(born, limits, self._place, self._sampler, name)
        except OSError as error:
            born.kill()
            born.wait(timeout=5.0)
            raise NodeIO(where="the group of a job", why=str(error)) from error
