"""Decode children, forked when they are needed by a template that is warm, used once each.

The template is started from one thread that lives as long as the process: PR_SET_PDEATHSIG
fires when the starting *thread* dies. It is started again when it dies, and its children
with it.

Not here: what a child may use up (limits), what it is told (wire, transcribe.relay).
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Final, Self

from appliance import logbook, wire
from appliance.errors import NodeIO
from appliance.limits import Forked, Gone, Limits, Template

_START_SECONDS: Final = 60.0
_TRIES: Final = 3  # templates that a child is asked of
_REST_SECONDS: Final = 0.2  # between a template that died and the next


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


class Nursery:
    """Keeps a template ready, for any thread. Closing it kills whatever came of it."""

    def __init__(self, limits: Limits, *, argv: list[str] | None = None) -> None:
        """`argv` is another template, for tests; the control socket's number is appended."""
        self._limits = limits
        self._argv = argv or [sys.executable, "-m", "appliance.decode"]
        self._changed = threading.Condition()
        self._template: Template | None = None
        self._why: Exception | None = None  # no template starts
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="nursery", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def take(self) -> Iterator[DecodeChild]:
        """Lend a child for one attempt; afterwards it is dead. Raises NodeIO where none starts."""
        child = self._born()
        try:
            yield child
        finally:
            child.end()

    def _born(self) -> DecodeChild:
        for _ in range(_TRIES):
            template = self._ready()
            channel, theirs = wire.Channel.pair()
            with theirs:
                try:
                    return DecodeChild(template.fork(theirs.fileno()), channel)
                except Gone:
                    channel.close()
                    self._lost(template)
        raise NodeIO(where=self._argv[0], why="no decoder starts: it dies at once")

    def _ready(self) -> Template:
        """The template, as soon as there is one."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: self._template or self._why or self._closing.is_set(),
                timeout=_START_SECONDS,
            )
            if self._template is not None:
                return self._template
            why = self._why if came else "it takes too long"
            raise NodeIO(where=self._argv[0], why=f"no decoder starts: {why}")

    def _lost(self, template: Template) -> None:
        with self._changed:
            if self._template is template:
                self._template, self._why = None, None
                self._changed.notify_all()
        template.close()

    # --- the thread -----------------------------------------------------------------------------

    def _keep(self) -> None:
        """Start a template whenever there is none."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing.is_set() or self._template is None)
                if self._closing.is_set():
                    return
            template, why = self._started()
            with self._changed:
                if self._closing.is_set() and template is not None:
                    template.close()
                else:
                    self._template, self._why = template, why
                self._changed.notify_all()
            if template is None:
                self._closing.wait(_REST_SECONDS)

    def _started(self) -> tuple[Template | None, Exception | None]:
        try:
            return Template(self._argv, self._limits), None
        except (OSError, Gone) as error:
            return None, error

    def close(self) -> None:
        """End the thread, the template, and every child that is still there."""
        with self._changed:
            self._closing.set()
            template, self._template = self._template, None
            self._changed.notify_all()
        if template is not None:
            template.close()
        self._thread.join(timeout=10.0)
