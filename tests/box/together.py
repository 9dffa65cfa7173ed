"""Commands that run beside each other, and what of their work only one of them does at a time.

An emulated machine keeps one processor busy and goes by a clock of its own (guest.machine), so
what runs beside it changes no figure of it.

Not here: which ones there are (__main__).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.box.steps import say

PROCESSORS: Final = len(os.sched_getaffinity(0))


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until nobody else has this file; have it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def run(commands: Mapping[str, Sequence[str]], at_once: int = PROCESSORS) -> dict[str, int]:
    """Run all, in their order and so many at once; the status of each.

    What one says is said at once, its name before each line. Who ends this ends them: each gets
    TERM and is waited for.
    """
    begun: list[subprocess.Popen[str]] = []
    ending = threading.Event()

    def one(name: str, argv: Sequence[str]) -> int:
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        ) as process:  # fmt: skip
            begun.append(process)
            if ending.is_set():
                process.terminate()
            assert process.stdout is not None
            for line in process.stdout:
                say(f"{name}| {line.rstrip()}")
        return process.returncode

    with ThreadPoolExecutor(at_once) as pool:
        results = {name: pool.submit(one, name, argv) for name, argv in commands.items()}
        try:
            return {name: result.result() for name, result in results.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            ending.set()
            for process in begun:
                process.terminate()
            raise


def module(name: str, *words: str) -> list[str]:
    """The command that runs a module of ours."""
    return [sys.executable, "-m", name, *words]
