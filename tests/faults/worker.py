"""The product's worker with another decode child, and with less patience where asked.

    python -m tests.faults.worker MARKS HURRY SETTINGS [broken]

Everything is the product's: Huey's consumer, recover, the line, stage and deliver. Only
Decoders is given `tests.faults.decoder` to start, here and not by a way in from
outside: the product has no such switch. HURRY divides the waits between attempts and
between rounds of recover (1: as they are), so that what takes the product minutes of
waiting takes a proof seconds of it. `broken` is a control: nobody looks after jobs whose
worker has died.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator

from appliance import box, journal, recover, settings, states, tasks
from appliance.decoders import Decoders


def argv_of_decoder(marks: str) -> list[str]:
    """What Decoders starts in place of the decoder."""
    return [sys.executable, "-m", "tests.faults.decoder", marks]


def hurry(times: float) -> None:
    """Divide the waits of this process."""
    shorter = {budget: seconds / times for budget, seconds in states.BACKOFF_BASE.items()}
    states.BACKOFF_BASE = shorter  # type: ignore[misc]
    tasks._RECONCILE_SECONDS = tasks._RECONCILE_SECONDS / times  # type: ignore[misc]


def give_decoder(marks: str) -> None:
    """Have every box of this process start our decode child."""
    other = functools.partial(Decoders, argv=argv_of_decoder(marks))
    setattr(box, Decoders.__name__, other)


@contextlib.contextmanager
def decoder_given(marks: str) -> Iterator[None]:
    """Give it for a while: a process that goes on with other things gets its own back."""
    before = getattr(box, Decoders.__name__)
    give_decoder(marks)
    try:
        yield
    finally:
        setattr(box, Decoders.__name__, before)


def main(marks: str, times: float, file: str, *, broken: bool) -> None:
    """Be the worker until TERM."""
    give_decoder(marks)
    hurry(times)
    if broken:
        recover._bury_the_dead = lambda *_: None
    journal.to_stderr("worker")
    tasks.work(settings.load(file))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], broken="broken" in sys.argv)
