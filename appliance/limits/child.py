"""The parent's side: start a child, wait for it, kill it, and say how it ended.

Not here: what the child gives up (walls), the group of a job's child (held).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import IO, Final

from appliance.limits.walls import GIVEN, MB, OUT_OF_MEMORY, Limits

_KEPT: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "TMPDIR")
_ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Arrays that are freed together at the heap's top glibc gives back to the kernel, and fetches
    # anew: with these a decoder's page faults were a quarter (ten minutes of MP3: 40,000 → 10,000).
    "MALLOC_MMAP_THRESHOLD_": str(32 * MB),
    "MALLOC_TRIM_THRESHOLD_": str(64 * MB),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a child ended."""

    exit_code: int | None  # None when a signal ended it
    signal: int | None
    rss_peak: int  # bytes; never below what the parent held when it spawned the child
    cpu_seconds: float
    out_of_memory: bool
    out_of_cpu: bool
    out_of_time: bool
    orphaned: bool = False  # it died because what it was forked from did
    refused_tasks: int = 0  # processes and threads that it was not allowed to start


class Child:
    """A started child, in a session of its own. Not for two threads at once."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.pid: Final = process.pid
        self._process = process
        self._limits = limits
        self._pidfd = os.pidfd_open(process.pid)
        self._ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._verdict: Verdict | None = None

    def kill(self) -> None:
        """End the child and everything it may have started; `wait` still has to be called."""
        if self._verdict is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> Verdict | None:
        """Wait for the end; None when `timeout` seconds did not bring it."""
        if self._verdict is None and has_ended(self._pidfd, timeout):
            _, status, used = os.wait4(self.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._verdict = verdict(
                self._process.returncode,
                used.ru_maxrss * 1024,
                used.ru_utime + used.ru_stime,
                self._limits,
                self._ours,
            )
            os.close(self._pidfd)
        return self._verdict


def spawn(
    argv: Sequence[str],
    *,
    pass_fds: Sequence[int],
    limits: Limits,
    stderr: int | IO[bytes] | None = None,
) -> Child:
    """Start a child that calls `confine(given())` first.

    The kernel ends it when the thread that called this ends: call it from one that lives as
    long as the process. A descriptor in `pass_fds` keeps its number in the child.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    given = json.dumps([os.getpid(), asdict(limits)])
    process = subprocess.Popen(
        argv,
        pass_fds=pass_fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
        env={**kept, **_ENVIRONMENT, GIVEN: given},
    )
    return Child(process, limits)


def has_ended(pidfd: int, timeout: float | None) -> bool:
    """Tell whether a process has ended, at the latest after `timeout` seconds."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def verdict(
    returncode: int, rss_peak: int, cpu_seconds: float, limits: Limits, ours: int
) -> Verdict:
    """Say how a child ended, and of what.

    `ours` is the parent's own peak in bytes, below which the child's is never told.
    """
    ended_by = -returncode if returncode < 0 else None
    crashed = ended_by in (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
    return Verdict(
        exit_code=None if returncode < 0 else returncode,
        signal=ended_by,
        rss_peak=rss_peak,
        cpu_seconds=cpu_seconds,
        out_of_memory=returncode == OUT_OF_MEMORY
        or (crashed and rss_peak > max(limits.memory_mb * MB * 0.9, 1.05 * ours)),
        out_of_cpu=ended_by == signal.SIGXCPU or (crashed and cpu_seconds >= limits.cpu_seconds),
        out_of_time=ended_by == signal.SIGALRM,
    )
