"""Control groups (cgroup v2): one for each job's child, below the group that systemd delegated.

The kernel charges a page to the group of the process that first touches it, and never moves a
charge: what a child shares with its template is the template's, what it writes is its own.

Source: the kernel's cgroup-v2.rst.

Not here: finding the delegated group (delegation), who is put into one (held), what is done
about memory where there is no such controller (sampling).
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import select
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.limits.walls import MB, Limits

log = logging.getLogger("appliance.limits")
PREFIX: Final = "job-"
CONTROLLERS: Final = ("cpu", "memory", "pids")
_PERIOD_US: Final = 100_000
_LEAVE_SECONDS: Final = 1.0


class Mode(enum.StrEnum):
    """How a job is held to its limits."""

    CGROUP2 = "cgroup2"  # by the kernel: memory, processors, processes, and an end for all of it
    PARTIAL = "partial"  # it is ended as a group; what no controller holds is looked at
    RLIMIT = "rlimit"  # each process has limits of its own, and memory is looked at


@dataclass(frozen=True, slots=True)
class Counts:
    """What the kernel has counted in a group."""

    memory_peak: int | None = None  # bytes; None: it does not say
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None  # it wanted a processor and was not let
    oom_kills: int = 0  # because of its own limit, not of want in the whole unit or box
    refused_tasks: int = 0  # processes and threads that it was not allowed to start


@dataclass(frozen=True, slots=True)
class Place:
    """Where groups for jobs are made, and what can be limited in them."""

    folder: str | None = None
    controllers: frozenset[str] = frozenset()

    @property
    def mode(self) -> Mode:
        """How a job is held to its limits here."""
        if self.folder is None:
            return Mode.RLIMIT
        return Mode.CGROUP2 if self.controllers >= set(CONTROLLERS) else Mode.PARTIAL

    def make(self, name: str, limits: Limits) -> Group | None:
        """A group with these limits; None where none are made. Raises OSError.

        What was chosen holds: a job that cannot have its group does not go on without.
        """
        if self.folder is None:
            return None
        group = Group(os.path.join(self.folder, PREFIX + name))
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(group.folder)
            for file, value in _written(limits, self.controllers):
                group.write(file, value)
        except OSError:
            group.remove()
            raise
        with contextlib.suppress(OSError):  # a kernel that does not count swap has none to refuse
            if "memory" in self.controllers:
                group.write("memory.swap.max", "0")
        return group


def _written(limits: Limits, controllers: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Which file of a group says what."""
    if "memory" in controllers:
        # No memory.high: a child above it is not ended but put to sleep, for minutes (0027).
        yield "memory.max", str(limits.memory_mb * MB)
        yield "memory.oom.group", "1"
    if "cpu" in controllers:
        yield "cpu.max", f"{round(limits.cpus * _PERIOD_US)} {_PERIOD_US}"
    if "pids" in controllers:
        yield "pids.max", str(limits.tasks)


def choose(folder: str | None) -> Place:
    """Find out what can be limited below a delegated group, and clear away what was left there.

    `folder` has no processes of its own any more (delegation.settle_in). Never raises.
    """
    if folder is None:
        return Place()
    for name in _left_over(folder):
        left = Group(os.path.join(folder, name))
        left.kill()
        left.is_empty(_LEAVE_SECONDS)
        left.remove()
    for controller in CONTROLLERS:
        with contextlib.suppress(OSError):
            Group(folder).write("cgroup.subtree_control", f"+{controller}")
    found = Place(folder, frozenset(_read(folder, "cgroup.subtree_control").split()))
    try:
        trial = found.make("trial", Limits())
    except OSError as error:
        log.warning("no group for a job can be made: %s", error)
        return Place()
    can_kill = trial is not None and trial.can_be_killed()
    if trial is not None:
        trial.remove()
    return found if can_kill else Place()


class Group:
    """One group."""

    def __init__(self, folder: str) -> None:
        self.folder: Final = folder

    def write(self, file: str, value: str) -> None:
        """Set a value. Raises OSError."""
        with open(os.path.join(self.folder, file), "w", encoding="ascii") as stream:
            stream.write(value)

    def take(self, pid: int) -> None:
        """Move a process in, every thread of it. Raises OSError."""
        self.write("cgroup.procs", str(pid))

    def members(self) -> list[int]:
        """The processes in it."""
        return [int(pid) for pid in _read(self.folder, "cgroup.procs").split()]

    def can_be_killed(self) -> bool:
        """Tell whether it can be ended as one (Linux 5.14)."""
        return os.access(os.path.join(self.folder, "cgroup.kill"), os.W_OK)

    def kill(self) -> None:
        """End everything in it, whatever it ignores and however it got there."""
        with contextlib.suppress(OSError):  # dying is work, too: not at half a processor
            self.write("cpu.max", "max")
        with contextlib.suppress(OSError):
            self.write("cgroup.kill", "1")

    def is_empty(self, timeout: float) -> bool:
        """Tell whether nobody is left in it, at the latest after `timeout` seconds."""
        until = time.monotonic() + timeout
        events = os.path.join(self.folder, "cgroup.events")
        with contextlib.suppress(OSError), open(events, encoding="ascii") as stream:
            poll = select.poll()
            poll.register(stream, select.POLLPRI)
            while _table(stream.read()).get("populated"):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                poll.poll(left * 1000)
                stream.seek(0)
        return True

    def memory_alarm(self) -> int | None:
        """A descriptor of its own that tells POLLPRI when memory was refused; None without.

        Whoever has it reads it (`is_out_of_memory`) before it tells again. At its limit a group
        may tell a hundred times a second: the kernel leaves 10 ms between two.
        """
        try:
            alarm = os.open(os.path.join(self.folder, "memory.events"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        is_out_of_memory(alarm)  # one that nobody has read yet tells at once
        return alarm

    def counts(self) -> Counts:
        """What the kernel has counted so far."""
        peak = _read(self.folder, "memory.peak").strip()  # Linux 5.19
        cpu = _table(_read(self.folder, "cpu.stat"))
        memory = _table(_read(self.folder, "memory.events"))
        used, throttled = cpu.get("usage_usec"), cpu.get("throttled_usec")
        return Counts(
            memory_peak=int(peak) if peak.isdigit() else None,
            cpu_seconds=None if used is None else used / 1e6,
            throttled_seconds=None if throttled is None else throttled / 1e6,
            oom_kills=_oom_kills(memory),
            refused_tasks=_table(_read(self.folder, "pids.events")).get("max", 0),
        )

    def remove(self) -> None:
        """Remove it; one that somebody is still in stays, and the next worker clears it away."""
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)


def is_out_of_memory(alarm: int) -> bool:
    """Tell whether a group's `memory_alarm` says that the kernel has ended it."""
    with contextlib.suppress(OSError):
        return _oom_kills(_table(os.pread(alarm, 4096, 0).decode("ascii"))) > 0
    return False


def _oom_kills(events: Mapping[str, int]) -> int:
    """Who was ended because of the group's own limit."""
    return events.get("oom_kill", 0) if events.get("oom") else 0


def _left_over(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return [name for name in os.listdir(folder) if name.startswith(PREFIX)]
    return []


def _read(folder: str, file: str) -> str:
    """What a file says; nothing where there is no such file."""
    try:
        with open(os.path.join(folder, file), encoding="ascii") as stream:
            return stream.read()
    except OSError:
        return ""


def _table(text: str) -> dict[str, int]:
    """Read lines of a name and a number."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
