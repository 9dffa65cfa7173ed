"""A child that reads hostile files: how it is started, held in, watched and ended.

Two sides. The parent calls `spawn` and gets a Child to wait for or to kill. The child's
first act is `confine(given())`, before it imports anything heavy; once it has imported all
it needs, `seal` takes the file system away from it. From then on it holds the descriptors
it was handed and nothing else. The platform may refuse any of this: then Confinement says
so, and the child runs on with what was achieved.

Memory is held by RLIMIT_DATA (what the child allocates for itself: a mapped library or the
ring costs nothing) with RLIMIT_AS far above it as a backstop. Where cgroup v2 is delegated,
`spawn` is the place to put the child into one, and Verdict.out_of_memory the place to say
what its memory.events counted; no signature changes.

Not here: which limits a job gets (settings), what its death costs it (tasks).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import IO, Final

from appliance.values import from_json

MB: Final = 1 << 20
OUT_OF_MEMORY: Final = 71  # how a child exits that ran into its memory limit
_GIVEN: Final = "APPLIANCE_CHILD_LIMITS"  # from spawn to confine, and no setting
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "TMPDIR")
_BACKSTOP_MB: Final = 4_096  # address space beyond the memory limit

_PDEATHSIG, _DUMPABLE, _NO_NEW_PRIVS = 1, 4, 38  # prctl
_NEWUSER, _NEWNET = 0x1000_0000, 0x4000_0000  # unshare
_CAPABILITY_V3 = 0x2008_0522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # Landlock, alike on every machine
_PATH_BENEATH = 1
_READING = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, read a folder
_FILE_READING = 1 << 0 | 1 << 2
_FILE_ACCESS = {1: 13, 2: 14, 3: 15, 4: 15}  # kinds of access to files, by Landlock's version
_NO_TCP, _SCOPED = 0b11, 0b11
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use up."""

    memory_mb: int = 512
    cpu_seconds: int = 3_600
    wall_seconds: int = 6 * 3_600  # from `start_clock` on
    file_bytes: int = 16 * MB  # the longest file it may write, its log counted
    open_files: int = 64


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the platform let us take away from ourselves."""

    no_network: bool = False
    no_capabilities: bool = False
    no_new_privileges: bool = False
    dies_with_parent: bool = False
    reads_only_libraries: bool = False  # Landlock: every thread, before anything is imported
    landlock: bool = False  # Landlock again: no path opens any more


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
        if self._verdict is None and self._ended(timeout):
            _, status, used = os.wait4(self.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._verdict = _verdict(self._process.returncode, used, self._limits, self._ours)
            os.close(self._pidfd)
        return self._verdict

    def _ended(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))


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
        env={**kept, _GIVEN: given, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    return Child(process, limits)


def given() -> Limits:
    """In the child: the limits that `spawn` chose; the usual ones when run by hand."""
    if _GIVEN not in os.environ:
        return Limits()
    parent, limits = json.loads(os.environ[_GIVEN])
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
        reads_only_libraries=_landlock([*_SYSTEM, sys.prefix, sys.base_prefix, *sys.path]),
    )


def seal(achieved: Confinement) -> Confinement:
    """In the child, once everything is imported: from now on no path opens, no process starts."""
    _limit(resource.RLIMIT_NPROC, 0)
    return replace(achieved, landlock=_landlock([]))


def start_clock(limits: Limits) -> None:
    """In the child, when its work arrives: it ends itself after `wall_seconds`, wherever it is."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(max(1, limits.wall_seconds))


def _verdict(returncode: int, used: resource.struct_rusage, limits: Limits, ours: int) -> Verdict:
    """`ours` is the parent's own peak in bytes, below which the child's is never told."""
    ended_by = -returncode if returncode < 0 else None
    rss_peak = used.ru_maxrss * 1024
    cpu = used.ru_utime + used.ru_stime
    crashed = ended_by in (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
    return Verdict(
        exit_code=None if returncode < 0 else returncode,
        signal=ended_by,
        rss_peak=rss_peak,
        cpu_seconds=cpu,
        out_of_memory=returncode == OUT_OF_MEMORY
        or (crashed and rss_peak > max(limits.memory_mb * MB * 0.9, 1.05 * ours)),
        out_of_cpu=ended_by == signal.SIGXCPU or (crashed and cpu >= limits.cpu_seconds),
        out_of_time=ended_by == signal.SIGALRM,
    )


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
    """Move into a network without interfaces; a plain user needs a user namespace for it."""
    unshare = _libc().unshare
    return bool(unshare(_NEWNET) == 0 or unshare(_NEWUSER | _NEWNET) == 0)


def _drop_capabilities() -> bool:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_V3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    return bool(_libc().capset(header, nothing) == 0)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


def _landlock(readable: Sequence[str]) -> bool:
    """Let this thread, and those it starts, read below `readable` and do nothing else."""
    libc = _libc()
    version = int(libc.syscall(_CREATE_RULESET, None, 0, 1))
    if version < 1:
        return False
    files = (1 << _FILE_ACCESS.get(version, 16)) - 1
    rules = (ctypes.c_uint64 * 3)(files, _NO_TCP if version >= 4 else 0, _SCOPED)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = int(libc.syscall(_CREATE_RULESET, rules, size, 0))
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(libc, ruleset, path)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    """Allow reading below `path`; one that is not there needs no rule, and `/` gets none."""
    if os.path.abspath(path or os.curdir) == "/":
        return
    with contextlib.suppress(OSError):
        fd = os.open(path or os.curdir, os.O_PATH | os.O_CLOEXEC)
        access = _READING if os.path.isdir(path or os.curdir) else _FILE_READING
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_PathBeneath(access, fd)), 0)
        os.close(fd)
