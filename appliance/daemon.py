"""What every long-lived process of the box has: its readiness, its proof of life;
and what a child of one needs: to die with it, and what it is told at its birth.

What systemd is told (sd_notify) comes from here: READY once we serve, WATCHDOG for every
proof of progress and for nothing else, STATUS in words, STOPPING when we have begun to end.

Not here: its log (journal), what the processes do (watch, tasks, engine, web).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import Any, Final, Self

from appliance.errors import on_the_box

try:  # the extra `systemd`; by its name, since our folder of units is called so too
    systemd: Any = importlib.import_module("systemd.daemon")
except ImportError:
    systemd = None

_PR_SET_PDEATHSIG: Final = 1


def tell_systemd(message: str) -> None:
    """Tell systemd something (READY=1, WATCHDOG=1, STATUS=…); elsewhere nothing happens."""
    if systemd is not None:
        systemd.notify(message)


def stopped(stop: threading.Event | None = None) -> threading.Event:
    """An event, `stop` or a new one, that TERM and INT set. Call it from the first thread."""
    stop = stop or threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def ready(status: str = "") -> None:
    """We serve."""
    tell_systemd(_with_status("READY=1", status))


def progressed(status: str = "") -> None:
    """Something was done that a process that hangs could not have done: feed the watchdog.

    `status` says in words how it goes, for `systemctl status`.
    """
    tell_systemd(_with_status("WATCHDOG=1", status))


def stopping() -> None:
    """We have begun to end: what is in hand is finished or left to our successor."""
    tell_systemd("STOPPING=1\nSTATUS=ends")


def watchdog_seconds() -> float | None:
    """How long systemd waits for a proof of progress; None where nobody waits for one."""
    told = os.environ.get("WATCHDOG_USEC", "")
    return int(told) / 1e6 if told.isdigit() else None


def _with_status(message: str, status: str) -> str:
    return f"{message}\nSTATUS={status}" if status else message


class Owner:
    """The proof that this process lives: a file under lock, which the kernel frees at any death.

    Beside it lies what its jobs are doing (`<id>.json`), written whole, never synced:
    it is for the page, and lost with the process.
    """

    def __init__(self, run_dir: str) -> None:
        """Say that we live, in `run_dir`. Raises node.disk-full, node.io."""
        self.id = uuid.uuid4().hex
        self._folder = os.path.join(run_dir, "owners")
        self._file = os.path.join(self._folder, self.id)
        with on_the_box(self._folder), contextlib.ExitStack() as born:
            os.makedirs(self._folder, mode=0o770, exist_ok=True)
            born.enter_context(_births(self._folder))
            self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
            fcntl.flock(self._fd, fcntl.LOCK_EX)  # somebody may be asking whether we live
        self._progress: dict[int, dict[str, Any]] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(OSError):  # what stays is forgotten with the next of the dead
            _remove(self._file)
        os.close(self._fd)

    def progress(self, job: int, **facts: object) -> None:
        """Show how far a job is; without facts, take it off the board."""
        with self._guard:
            if facts:
                self._progress[job] = {**self._progress.get(job, {}), **facts}
            else:
                self._progress.pop(job, None)
            text = json.dumps(self._progress)
            with (
                contextlib.suppress(OSError),  # a full disk: the page shows less, the job goes on
                open(f"{self._file}.json.new", "w", encoding="ascii") as stream,
            ):
                stream.write(text)
                stream.flush()
                os.replace(f"{self._file}.json.new", f"{self._file}.json")


def alive(run_dir: str, owner: str) -> bool:
    """Tell whether the process behind an owner id still lives; forget one that does not."""
    file = os.path.join(run_dir, "owners", owner)
    try:
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        _remove(file)
        return False
    finally:
        os.close(fd)


def forget_the_dead(run_dir: str) -> None:
    """Remove what processes left that died while nobody had a job to ask after."""
    folder = os.path.join(run_dir, "owners")
    if not os.path.isdir(folder):
        return
    with _births(folder):
        for name in {name.partition(".")[0] for name in os.listdir(folder)}:
            if not alive(run_dir, name):
                _remove(os.path.join(folder, name))


@contextlib.contextmanager
def _births(folder: str) -> Iterator[None]:
    """Keep others out while an owner's file has no lock yet: it would look like a dead one's."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _remove(file: str) -> None:
    """Remove an owner's file and what lies beside it."""
    for left in (file, f"{file}.json", f"{file}.json.new"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(left)


def progress_board(run_dir: str) -> dict[int, dict[str, Any]]:
    """What every running job last said of itself, by job number."""
    folder = os.path.join(run_dir, "owners")
    board: dict[int, dict[str, Any]] = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.endswith(".json"):
            with (
                contextlib.suppress(OSError, ValueError),
                open(os.path.join(folder, name), encoding="ascii") as stream,
            ):
                board |= {int(job): facts for job, facts in json.load(stream).items()}
    return board


@contextlib.contextmanager
def only_one(folder: str, name: str) -> Iterator[bool]:
    """Hold a lock for as long as a process runs; yields False where somebody else holds it."""
    os.makedirs(folder, mode=0o770, exist_ok=True)
    fd = os.open(os.path.join(folder, f"{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def die_with(parent: int) -> None:
    """In a child: have the kernel kill us when `parent` dies, even if it dies before we ask.

    It fires when the *thread* that started us ends; a parent starts its children from one
    that lives as long as the process.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


@contextlib.contextmanager
def in_memory(content: bytes) -> Iterator[int]:
    """Lend a file in memory that holds `content`, to be read from its beginning by a child."""
    fd = os.memfd_create("told", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
