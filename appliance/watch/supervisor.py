"""Start a child for every share, hear its heartbeat, kill the one that hangs.

This process never touches a share, so no file server can stop it. A child that falls
silent is in a call that its server does not answer: after 6 s its share is shown offline, after
30 s it is killed and started again. One that the kernel cannot let go of has no
successor at the same mount, and one as soon as something else is mounted there.

Not here: what a child does (share, rounds).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from appliance import daemon, links, receive
from appliance.errors import AlreadyRunning, LedgerDamaged, NodeError, ShareOffline
from appliance.settings import Settings, Share
from appliance.store import gates, schema, shares
from appliance.store.ledger import Ledger

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 6.0  # of silence: people are told; a disk that wakes up may take longer
DEADLINE_SECONDS: Final = 30.0  # of silence: it is given up
ONSET_SECONDS: Final = 120.0  # before its first sign: it is starting, not at the share yet
BACK_OFF_SECONDS: Final = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
HUNG_SECONDS: Final = 5.0  # the longest pause where the server hung: asking it costs it nothing
DAMAGED: Final = 74  # how a child ends that cannot read the ledger; EX_IOERR
WELL_SECONDS: Final = 300.0  # after so long a life the next death counts as the first
STOP_SECONDS: Final = 5.0
KILL_SECONDS: Final = 2.0
_TURN_SECONDS: Final = 0.5
_SILENT: Final = "the file server does not answer"
_QUIET: Final = "the file server has not answered for {seconds:g} s"


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended that should not have."""

    why: str
    hung: bool  # in a call that its file server did not answer


class Child:
    """One share's process, through all its lives."""

    def __init__(self, settings: Settings, share: Share, *, deadline: float) -> None:
        self.share = share
        self._settings = settings
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._pulse = -1
        self._heard = self._began = self._start_due = 0.0
        self._deaths = 0
        self._spoke = self._hung = self._quiet = False
        self._mount = 0
        self._left: list[subprocess.Popen[bytes]] = []  # killed, and held by the kernel

    @property
    def pid(self) -> int | None:
        """Its process number while it lives."""
        return None if self._process is None else self._process.pid

    def turn(self, now: float) -> Death | None:
        """Start it when it is due, hear it, bury it; returns its death, if it died."""
        if self._process is None:
            if now >= self._start_due:
                self._start(now)
            return None
        self._hear(now)
        code = self._process.poll()
        if code == DAMAGED:
            raise LedgerDamaged(where=self._settings.state_dir, why="a child of the watch says so")
        if code is not None:
            return self._bury(now, f"its watch ended with {code}")
        if self._hung:
            self._leave_behind(now)
        elif now - self._heard > (self._deadline if self._spoke else ONSET_SECONDS):
            self._hung = True
            self._mount = links.came_upon(self.share.root, self._mount)
            self._process.kill()
            log.warning("share %s: %s", self.share.name, _SILENT)
            return Death(_SILENT, hung=True)
        return None

    def falls_quiet(self, now: float) -> bool:
        """Whether its server does not answer, said once for each time."""
        lives = self._process is not None and self._spoke and not self._hung
        quiet = lives and now - self._heard > QUIET_SECONDS and not _is_starved(self.pid)
        self._quiet, before = quiet, self._quiet
        return quiet and not before

    def _leave_behind(self, now: float) -> None:
        """Go on without a child that does not die, where its mount has made way for another."""
        self._left = [process for process in self._left if process.poll() is None]
        mount = links.mount_id(self.share.root)
        if self._process is not None and mount not in (0, self._mount):
            self._left.append(self._process)
            self._bury(now, _SILENT)

    def _start(self, now: float) -> None:
        pulse, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        command = [sys.executable, "-P", "-m", f"{__package__}.share"]
        with daemon.in_memory(self._settings.model_dump_json().encode()) as told:
            self._process = subprocess.Popen(
                [*command, self.share.name, str(theirs), str(os.getpid())],
                stdin=told,
                pass_fds=[theirs],
            )
        os.close(theirs)
        self._mount = links.mount_id(self.share.root)
        self._pulse, self._heard, self._began = pulse, now, now
        self._spoke = self._hung = self._quiet = False

    def _hear(self, now: float) -> None:
        with contextlib.suppress(BlockingIOError):
            if os.read(self._pulse, 4096):
                self._heard, self._spoke = now, True
                self._mount = links.mount_id(self.share.root)

    def _bury(self, now: float, why: str) -> Death | None:
        hung = self._hung  # then its death was told when it fell silent
        self._close()
        self._deaths = 1 if now - self._began > WELL_SECONDS else self._deaths + 1
        pause = BACK_OFF_SECONDS[min(self._deaths, len(BACK_OFF_SECONDS)) - 1]
        self._start_due = now + (min(pause, HUNG_SECONDS) if hung else pause)
        if hung:
            return None
        told = {"share": self.share.name, "seconds": pause}
        log.warning("share %s: %s; trying again", self.share.name, why, extra=told)
        return Death(why, hung=False)

    def _close(self) -> None:
        self._process = None
        os.close(self._pulse)

    def stop(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()

    def end(self, patience: float) -> None:
        """Wait until it has ended; kill it when that takes longer than `patience` seconds."""
        self._left = [process for process in self._left if process.poll() is None]
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        if self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel may hold it
                self._process.wait(KILL_SECONDS)
        self._close()


def watch(
    settings: Settings,
    *,
    stop: threading.Event | None = None,
    alive: Callable[[], None] = daemon.progressed,
    deadline: float = DEADLINE_SECONDS,
) -> None:
    """Watch every share of the settings until `stop`, or without it until TERM or INT.

    `alive` is called after every round over the children, twice a second: no round, no
    sign (systemd's watchdog). Call it from a thread that
    lives as long as the process: the children die with it. Raises AlreadyRunning, and
    LedgerDamaged where only a start can mend the ledger.
    """
    stop = stop or _stop_on_signal()
    schema.prepare(settings.state_dir)
    with _only_one(settings), Ledger(settings.state_dir) as ledger:
        if settings.uploads.enabled:
            receive.prepare(ledger, settings)
        children = [Child(settings, share, deadline=deadline) for share in settings.watched]
        try:
            daemon.ready(f"{len(children)} shares")
            while not stop.wait(_TURN_SECONDS):
                ledger.is_there()
                _turn(ledger, children)
                alive()
        finally:
            daemon.stopping()
            _end(children)


def _turn(ledger: Ledger, children: Sequence[Child]) -> None:
    for child in children:
        now = time.monotonic()
        death, quiet = child.turn(now), child.falls_quiet(now)
        if death is None and not quiet:
            continue
        try:
            _write_down(ledger, child.share.name, death)
        except LedgerDamaged:
            raise
        except NodeError as trouble:  # a full disk must not end the watch of the other shares
            told = {"share": child.share.name, "code": trouble.code}
            log.warning("share %s: %s", child.share.name, trouble, extra=told)


def _write_down(ledger: Ledger, name: str, death: Death | None) -> None:
    """Note how a share's child ended; one that is only quiet takes that back by itself."""
    if death is None:
        why = _QUIET.format(seconds=QUIET_SECONDS)
        log.warning("share %s: %s", name, why)
        shares.seen(ledger, name, state="offline", why=why)
        return
    shares.seen(ledger, name, state="offline" if death.hung else "unknown", why=death.why)
    if death.hung:
        ledger.insist(lambda: gates.close(ledger, ShareOffline(share=name)))


def _is_starved(pid: int | None) -> bool:
    """Whether a process would go on if it were given a processor: no server keeps it waiting."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as stream:
        return stream.read().rpartition(b") ")[2][:1] == b"R"
    return False


def _end(children: Sequence[Child]) -> None:
    for child in children:
        child.stop()
    until = time.monotonic() + STOP_SECONDS
    for child in children:
        child.end(max(until - time.monotonic(), 0.1))


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Hold the lock that says: this state directory's shares are watched."""
    os.makedirs(settings.run_dir, exist_ok=True)
    fd = os.open(os.path.join(settings.run_dir, "watch.lock"), os.O_RDWR | os.O_CREAT, 0o660)
    try:
        _take(fd, settings.state_dir)
        yield
    finally:
        os.close(fd)


def _take(fd: int, where: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(where=where) from None
