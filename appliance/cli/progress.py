"""A line that moves while something long runs; only on a terminal, only on stderr."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

_BAR: Final = 24
_EVERY_SECONDS: Final = 0.3


def bar(facts: dict[str, Any]) -> str:
    """How far a job is: `████░░░░  43 %  transcribe`; the stage alone while nothing is known."""
    stage = str(facts.get("stage") or "")
    done, total = facts.get("done"), facts.get("total")
    if not done or not total:
        return stage
    share = min(1.0, done / total)
    full = round(share * _BAR)
    return f"{'█' * full}{'░' * (_BAR - full)} {100 * share:3.0f} %  {stage}"


@contextlib.contextmanager
def moving(say: Callable[[], str]) -> Iterator[None]:
    """Draw what `say` says a few times a second, and wipe it away at the end."""
    if not sys.stderr.isatty():
        yield
        return
    stop = threading.Event()

    def draw() -> None:
        while not stop.wait(_EVERY_SECONDS):
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{say()[:width]}")
            sys.stderr.flush()

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
