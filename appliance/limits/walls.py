"""The child's side: which rights it gives up, when, and what of that was achieved.

Memory is held by RLIMIT_DATA (what the child allocates for itself: a mapped library or the
ring costs nothing) with RLIMIT_AS far above it as a backstop.

Not here: how the two large walls are built (landlock, seccomp), the parent's side (child).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from appliance.limits import landlock, seccomp
from appliance.values import from_json

log = logging.getLogger("appliance.limits")
MB: Final = 1 << 20
OUT_OF_MEMORY: Final = 71  # how a child exits that ran into its memory limit
UNWALLED: Final = 72  # and one around which a wall is missing that must stand
GIVEN: Final = "APPLIANCE_CHILD_LIMITS"  # from spawn to confine, and no setting
_BACKSTOP_MB: Final = 4_096  # address space beyond the memory limit

_PDEATHSIG, _DUMPABLE, _NO_NEW_PRIVS = 1, 4, 38  # prctl
_STDERR = 2
_NEWUSER, _NEWNET = 0x1000_0000, 0x4000_0000  # unshare
_CAPABILITY_V3 = 0x2008_0522
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use up."""

    memory_mb: int = 512
    cpu_seconds: int = 3_600
    wall_seconds: int = 6 * 3_600  # from `start_clock` on
    file_bytes: int = 16 * MB  # the longest file it may write, its log counted
    open_files: int = 64
    cpus: float = 2.0  # processors; held where there is a controller for it
    tasks: int = 64  # processes and threads; likewise, behind a wall that allows none at all
    every_wall: bool = False  # must stand, or it does not work at all


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the platform let us take away from ourselves."""

    no_network: bool = False
    no_capabilities: bool = False
    no_new_privileges: bool = False
    dies_with_parent: bool = False
    reads_only_libraries: bool = False  # Landlock: every thread, before anything is imported
    landlock: bool = False  # Landlock again: no path opens any more
    few_system_calls: bool = False  # seccomp: no socket, no process, no new code

    def missing(self) -> tuple[str, ...]:
        """The walls that do not stand, in words; none where all is as it should be."""
        return tuple(words for name, words in WALLS.items() if not getattr(self, name))


WALLS: Final = {
    "no_network": "a network of its own",
    "no_capabilities": "no capabilities",
    "no_new_privileges": "no new privileges",
    "dies_with_parent": "an end with the worker's",
    "reads_only_libraries": "no files but libraries while it starts (Landlock)",
    "landlock": "no files at all once it works (Landlock)",
    "few_system_calls": "few system calls (seccomp)",
}


def given() -> Limits:
    """In the child: the limits that `spawn` chose; the usual ones when run by hand."""
    if GIVEN not in os.environ:
        return Limits()
    parent, limits = json.loads(os.environ[GIVEN])
    if parent != os.getppid():
        os._exit(1)  # it died before we asked to die with it
    return from_json(Limits, json.dumps(limits))


def confine(limits: Limits) -> Confinement:
    """In the child, before it has threads: give up what no decoder needs. Never raises."""
    _first_to_go()
    network = _leave_network()
    powerless = _drop_capabilities()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, limits.memory_mb * MB)
    _limit(resource.RLIMIT_AS, (limits.memory_mb + _BACKSTOP_MB) * MB)
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds)
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    privileges = _prctl(_NO_NEW_PRIVS, 1)
    _prctl(_DUMPABLE, 0)
    parent = os.getppid()
    orphan = _prctl(_PDEATHSIG, signal.SIGKILL)  # last: a change of credentials undoes it
    if os.getppid() != parent:
        os._exit(1)
    return Confinement(
        no_network=network,
        no_capabilities=powerless,
        no_new_privileges=privileges,
        dies_with_parent=orphan,
        reads_only_libraries=landlock.restrict([*_SYSTEM, sys.prefix, sys.base_prefix, *sys.path]),
    )


def seal(achieved: Confinement, *, start: Callable[[], None] | None = None) -> Confinement:
    """In the child, once everything is imported: no path opens, no process starts, no new code.

    From here on only what `seccomp` lists may be asked of the kernel. `start` is called behind
    the wall around files and before the other: the last moment to start a thread.
    """
    no_paths = landlock.restrict([])
    if start is not None:
        start()
    _limit(resource.RLIMIT_NPROC, 0)
    return replace(achieved, landlock=no_paths, few_system_calls=seccomp.restrict())


def insist(limits: Limits, achieved: Confinement, *, sealed: bool) -> None:
    """In the child: end it where a wall must stand and does not. What it says has a log yet.

    The platform had every wall when the worker asked; since then a call may have failed for want
    of memory, or of descriptors. Before it is `sealed`, two of them cannot stand.
    """
    missing = set(achieved.missing())
    if not sealed:
        missing -= {WALLS["landlock"], WALLS["few_system_calls"]}
    if limits.every_wall and missing:
        log.error("a decoder does not work without: %s", ", ".join(sorted(missing)))
        sys.stderr.flush()
        os._exit(UNWALLED)


def start_clock(limits: Limits) -> None:
    """In the child, when its work arrives: it ends itself after `wall_seconds`, wherever it is."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(max(1, limits.wall_seconds))


def be_mute(nowhere: int) -> None:
    """In the child, when its work arrives: what is written to its stderr reaches nobody any more.

    That is the worker's own line to the journal, which limits how much of a unit it takes: who
    has taken over a decoder would silence the worker there, or speak in its place. `nowhere` was
    opened before the walls; behind them nothing is put in another's place but what is free.
    """
    sys.stderr.flush()
    os.close(_STDERR)
    if fcntl.fcntl(nowhere, fcntl.F_DUPFD_CLOEXEC, _STDERR) != _STDERR:
        os._exit(1)
    os.close(nowhere)


def _first_to_go() -> None:
    """When the box runs out of memory, this child is the one to end."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def _limit(which: int, value: int) -> None:
    """Set a limit that nothing can raise again; a lower one that stands already is kept."""
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    slack = 5 if which == resource.RLIMIT_CPU else 0  # first a signal that names the reason
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(which, (value, value + slack))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> bool:
    return int(_libc().prctl(option, value, 0, 0, 0)) == 0


def _leave_network() -> bool:
    """Move into a network without interfaces; a plain user needs a user namespace for it.

    Under systemd neither is to be had, and where the whole unit is without a network
    (`PrivateNetwork=`) neither is needed.
    """
    unshare = _libc().unshare
    return bool(unshare(_NEWNET) == 0 or unshare(_NEWUSER | _NEWNET) == 0 or _is_alone())


def _is_alone() -> bool:
    """Tell whether this network has no interface but its own loopback."""
    with contextlib.suppress(OSError), open("/proc/self/net/dev", encoding="ascii") as stream:
        return {line.partition(":")[0].strip() for line in stream if ":" in line} <= {"lo"}
    return False


def _drop_capabilities() -> bool:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_V3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    return bool(_libc().capset(header, nothing) == 0 or _is_powerless())


def _is_powerless() -> bool:
    """Tell whether we never had a capability: then it may be that we may not even give it up."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as stream:
        held = [
            int(line.split()[1], 16) for line in stream if line.startswith(("CapPrm", "CapEff"))
        ]
        return held == [0, 0]
    return False
