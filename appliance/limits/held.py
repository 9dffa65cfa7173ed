"""A job's child, held to the limits of its job by the best that this box has.

It is moved into a group of its own when it has been forked and before it is handed the
recording: a stranger's bytes are only ever read inside. The group ends as one, and says what
the child has used. What no controller holds, the sampler looks at.

Not here: the groups (cgroup), the looking (sampling), which limits a job has (settings).
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from appliance.limits.cgroup import Counts, Group, Place, is_out_of_memory
from appliance.limits.child import Verdict
from appliance.limits.sampling import Sampler
from appliance.limits.template import Forked
from appliance.limits.walls import MB, Limits
from appliance.nouns import Usage

_EMPTY_SECONDS: Final = 5.0  # for what was killed to be gone


class Held:
    """A child of a template in its group: as `Forked`, for who waits for it or kills it."""

    def __init__(
        self, child: Forked, limits: Limits, place: Place, sampler: Sampler, name: str
    ) -> None:
        """Hold `child` to `limits`; it has not been told yet what to do. `name` is its group's.

        Raises OSError where the group that jobs have here is not to be had.
        """
        self.pid: Final = child.pid
        self.usage: Usage | None = None  # once it has ended
        self._child = child
        self._limits = limits
        self._began = time.monotonic()
        self._group = _entered(place.make(name, limits), child)
        # Tells POLLPRI when somebody should `heed` it; None where no controller would tell.
        self.alarm = self._group.memory_alarm() if self._group else None
        self._verdict: Verdict | None = None
        self._guard = threading.Lock()  # the sampler kills, too
        self._is_gone = False
        _lower(child.pid, limits)
        self._watched = None
        if self._group is None or "memory" not in place.controllers:
            self._watched = sampler.watch(self._members, limits.memory_mb * MB, self.kill)

    def kill(self) -> None:
        """End it and whatever it has started; `wait` still has to be called."""
        with self._guard:
            if not self._is_gone:
                if self._group is not None:
                    self._group.kill()
                self._child.kill()

    def heed(self) -> None:
        """The alarm told: what the kernel ends for its memory shall end now.

        What it held is given back at the group's own share of a processor: 256 MB took 1.3 s at
        half an emulated one, and 0.7 s at a whole one.
        """
        if self.alarm is not None and is_out_of_memory(self.alarm):
            self.kill()

    def let_be(self) -> None:
        """Heed it no more, whether it has ended or hangs in the kernel."""
        if self.alarm is not None:
            os.close(self.alarm)
            self.alarm = None

    def wait(self, timeout: float | None = None) -> Verdict | None:
        """Wait for the end; None when `timeout` seconds did not bring it."""
        if self._verdict is None and self._child.has_ended(timeout):
            with self._guard:
                ended = self._child.wait()
                self._is_gone = True
            self._verdict = None if ended is None else self._judged(ended)
        return self._verdict

    def _judged(self, ended: Verdict) -> Verdict:
        """How it ended, as far as its group knows more of it."""
        counts = Counts()
        if self._group is not None:
            self._group.kill()  # what it may have left behind
            self._group.is_empty(_EMPTY_SECONDS)
            counts = self._group.counts()
            self._group.remove()
        sampled, over = self._watched.end() if self._watched else (None, False)
        cpu = counts.cpu_seconds
        self.usage = Usage(
            memory_peak=counts.memory_peak or sampled or ended.rss_peak,
            cpu_seconds=ended.cpu_seconds if cpu is None else cpu,
            wall_seconds=time.monotonic() - self._began,
            throttled_seconds=counts.throttled_seconds,
        )
        return replace(
            ended,
            out_of_memory=ended.out_of_memory or over or counts.oom_kills > 0,
            refused_tasks=counts.refused_tasks,
        )

    def _members(self) -> Sequence[int]:
        """Its processes. Without a group only itself: behind its walls it can start nobody."""
        return [self.pid] if self._group is None else self._group.members()


def _entered(group: Group | None, child: Forked) -> Group | None:
    """Move a child into its group; one that has ended already is nobody's trouble."""
    if group is not None:
        try:
            group.take(child.pid)
        except ProcessLookupError:
            pass
        except OSError:
            group.remove()
            raise
    return group


def _lower(pid: int, limits: Limits) -> None:
    """A template's children begin with the highest limit that any job has."""
    for which, value in (
        (resource.RLIMIT_DATA, limits.memory_mb * MB),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
    ):
        with contextlib.suppress(OSError, ValueError):
            soft, hard = resource.prlimit(pid, which)
            if resource.RLIM_INFINITY not in (soft, hard) and value < soft:
                resource.prlimit(pid, which, (value, hard))
