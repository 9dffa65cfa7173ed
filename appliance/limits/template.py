"""A process that has everything loaded and forks children that have it too.

Loading what a decoder needs takes 0.3 s of processor, forking a process that has it 0.01 s
(measured): for a memo more than all else the box does about it, hearing left aside. A decoder's
template confines itself before it loads anything, and never sees a file; every child begins as it
was, seals itself, and is used once: nothing of one recording can reach the next. A porter's
saves what eight of them would each load, and hold, for a burst of memos.

Two sides. The parent starts a Template and asks it for children. The template calls `serve`
with what a child is to do. It must have a single thread, or forking it would be unsafe.

Not here: rights and limits (walls), what a child does (decode, porter), a template that died
(nursery).
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from appliance.limits.child import Child, Verdict, has_ended, verdict
from appliance.limits.walls import Limits

_FRAME: Final = 4_096
_READY_SECONDS: Final = 240.0  # to load everything on a slow box; a death is noticed at once
_ANSWER_SECONDS: Final = 60.0
_PDEATHSIG: Final = 1


class Gone(Exception):
    """The template has ended."""


# --- the parent's side --------------------------------------------------------------------------


class Template:
    """A started template. Usable from any thread."""

    def __init__(
        self,
        begin: Callable[[int], Child],
        limits: Limits,
    ) -> None:
        """Have `begin` start it, which is handed the number of its socket. Raises OSError, Gone.

        `limits` are those of its children, to tell by how one ended.

        The kernel ends it when the thread that called this ends, and its children with it.
        """
        self._limits = limits
        self._talking = threading.Lock()
        self._endings: dict[int, list[Any]] = {}  # of children nobody has asked after yet
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = begin(theirs.fileno())
            except OSError:
                self._socket.close()
                raise
        try:
            self._receive("ready", _READY_SECONDS)
        except Gone:
            raise Gone(str(self.close())) from None

    def fork(self, fd: int, limits: Limits | None = None) -> Forked:
        """Have it fork a child that is handed `fd`. Raises Gone.

        `limits` are what its end is told by, where they are not those of all.
        """
        with self._talking:
            try:
                socket.send_fds(self._socket, [b"fork"], [fd])
            except OSError as error:
                raise Gone from error
            pid, pidfd = self._receive("forked", _ANSWER_SECONDS)
        return Forked(self, pid, pidfd, limits or self._limits)

    def ending(self, pid: int) -> list[Any] | None:
        """How a child of it has ended, once the kernel says so; None: the template has, too."""
        with self._talking:
            try:
                while pid not in self._endings:
                    self._receive("ended", _ANSWER_SECONDS)
            except Gone:
                return None
            return self._endings.pop(pid)

    def close(self) -> Verdict | None:
        """End it, and every child of it; how it ended comes back. Not for two threads."""
        self._socket.close()
        self._process.kill()
        return self._process.wait(timeout=5.0)

    def _receive(self, wanted: str, seconds: float) -> tuple[int, int]:
        """Read until a message of this kind; endings of children that come first are kept."""
        while True:
            poll = select.poll()
            try:
                poll.register(self._socket, select.POLLIN)
            except ValueError as closed:
                raise Gone from closed
            if not poll.poll(seconds * 1000):
                raise Gone
            try:
                frame, fds, _, _ = socket.recv_fds(self._socket, _FRAME, 1)
            except OSError as error:
                raise Gone from error
            if not frame:
                raise Gone
            kind, *facts = json.loads(frame)
            if kind == "ended":
                self._endings[facts[0]] = facts[1:]
            if kind == wanted:
                return (facts[0] if facts else 0), (fds[0] if fds else -1)


class Forked:
    """A child of a template: as `Child`, for who waits for it or kills it."""

    def __init__(self, template: Template, pid: int, pidfd: int, limits: Limits) -> None:
        self.pid: Final = pid
        self._template = template
        self._pidfd = pidfd
        self._limits = limits
        self._verdict: Verdict | None = None

    def kill(self) -> None:
        """End it; `wait` still has to be called. It cannot have started anybody."""
        if self._verdict is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def has_ended(self, timeout: float | None) -> bool:
        """Tell whether it has ended, at the latest after `timeout` seconds."""
        return self._verdict is not None or has_ended(self._pidfd, timeout)

    def wait(self, timeout: float | None = None) -> Verdict | None:
        """Wait for the end; None when `timeout` seconds did not bring it."""
        if self._verdict is None and self.has_ended(timeout):
            told = self._template.ending(self.pid)
            code, rss_peak, cpu = told or (-signal.SIGKILL, 0, 0.0)
            found = verdict(code, rss_peak, cpu, self._limits, 0)
            self._verdict = replace(found, orphaned=told is None)
            os.close(self._pidfd)
        return self._verdict


# --- the template's side ------------------------------------------------------------------------


def serve(control: socket.socket, work: Callable[[int], int]) -> int:
    """Fork a child for each request, and say how each ends, until the parent hangs up.

    `work(fd)` is what a child does with the descriptor it is handed; what it returns the
    child exits with.
    """
    _say(control, "ready")
    children: dict[int, int] = {}  # pidfd → pid
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd != control.fileno():
                poll.unregister(fd)
                _bury(control, children.pop(fd), fd)
                continue
            try:
                frame, fds, _, _ = socket.recv_fds(control, _FRAME, 1)
            except ConnectionError:
                return 0  # the parent was killed with our words unread
            if not frame:
                return 0
            pid = os.fork()
            if not pid:
                _be_a_child(control, list(children), fds[0], work)
            os.close(fds[0])
            pidfd = os.pidfd_open(pid)
            children[pidfd] = pid
            poll.register(pidfd, select.POLLIN)
            _say(control, "forked", pid, fds=[pidfd])


def _bury(control: socket.socket, pid: int, pidfd: int) -> None:
    _, status, used = os.wait4(pid, 0)
    os.close(pidfd)
    code = os.waitstatus_to_exitcode(status)
    _say(control, "ended", pid, code, used.ru_maxrss * 1024, used.ru_utime + used.ru_stime)


def _be_a_child(
    control: socket.socket, siblings: list[int], fd: int, work: Callable[[int], int]
) -> None:
    """In the child: let go of what is the template's, do the work, end."""
    code = 70  # EX_SOFTWARE
    try:
        template = os.getppid()
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != template:
            os._exit(1)
        control.close()
        for sibling in siblings:
            os.close(sibling)
        os.setsid()
        code = work(fd)
    finally:  # whatever is raised: nothing of a child may go on as a second template
        kind, raised, trace = sys.exc_info()
        if kind is not None and raised is not None:
            sys.excepthook(kind, raised, trace)
        sys.stderr.flush()
        os._exit(code)


def _say(control: socket.socket, *facts: object, fds: Sequence[int] = ()) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with contextlib.suppress(OSError):  # the parent has gone, and we are about to
        control.sendmsg([json.dumps(facts).encode()], rights)
