"""The child of one share: everything that touches the share happens here, and only here.

Started by the supervisor as `python -m appliance.watch.share NAME PULSE PARENT`, with the
settings as JSON on its standard input. It writes a byte to the descriptor PULSE while it
gets on; where a file server hangs, the bytes stop and the supervisor kills it.

Not here: what it does (rounds), what is done when it dies (supervisor).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from appliance import daemon, journal
from appliance.bell import Bell
from appliance.errors import LedgerDamaged, NodeIO
from appliance.settings import Settings
from appliance.store.ledger import Ledger
from appliance.watch.finds import Ring
from appliance.watch.rounds import Rounds
from appliance.watch.supervisor import DAMAGED

log = logging.getLogger(__name__)
_BEAT_SECONDS: Final = 1.0


def no_bell(_job_id: int) -> None:
    """Ring nothing: whoever recovers lost bells finds the job a few seconds later."""


class Pulse:
    """The heartbeat of a child, at most one byte a second."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._last = -_BEAT_SECONDS

    def beat(self) -> None:
        """Say that we get on."""
        now = time.monotonic()
        if now - self._last >= _BEAT_SECONDS:
            self._last = now
            with contextlib.suppress(BlockingIOError):  # nobody has listened for hours
                os.write(self._fd, b".")


def watch_share(
    settings: Settings,
    name: str,
    *,
    stopping: threading.Event,
    wake: threading.Event,
    beat: Callable[[], None],
    ring: Ring = no_bell,
) -> None:
    """Watch one share until `stopping`; `wake` interrupts the pause between two steps."""
    share = settings.share_named(name)
    if share is None:
        raise LookupError(f"no share is named {name}")
    with Ledger(settings.state_dir) as ledger:
        rounds = Rounds(ledger, settings, share, ring=ring, beat=beat, wake=wake.set)
        try:
            while not stopping.is_set():
                wake.wait(min(rounds.step(time.monotonic()), _BEAT_SECONDS))
                wake.clear()
        finally:
            rounds.close()


def main(arguments: list[str]) -> None:
    """Run as the child of a supervisor."""
    name, pulse_fd, parent = arguments[0], int(arguments[1]), int(arguments[2])
    daemon.die_with(parent)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # what a broken lease sends kills otherwise
    stopping, wake = threading.Event(), threading.Event()

    def stop(_signal: int, _frame: object) -> None:
        stopping.set()
        wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    journal.to_stderr("watch")
    settings = Settings.model_validate_json(sys.stdin.buffer.read())
    beat = Pulse(pulse_fd).beat
    with journal.about(share=name), _bell(settings.state_dir) as ring:
        try:
            watch_share(settings, name, stopping=stopping, wake=wake, beat=beat, ring=ring)
        except LedgerDamaged as error:
            log.warning("%s", error)
            sys.exit(DAMAGED)


@contextlib.contextmanager
def _bell(state_dir: str) -> Iterator[Ring]:
    """Lend the bell; where its queue is damaged, none, until the worker has put that aside."""
    try:
        bell = Bell(state_dir)
    except NodeIO as error:
        log.warning("%s", error)
        yield no_bell
        return
    with contextlib.closing(bell):
        yield bell.ring


if __name__ == "__main__":
    main(sys.argv[1:])
