"""A line between two processes: frames of JSON and descriptors over a unix SOCK_SEQPACKET socket.

Not here: what the frames say (messages).
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import socket
from collections.abc import Iterator, Sequence
from typing import Final, Self

from appliance.values import from_plain, to_plain
from appliance.wire.messages import KINDS, Message

MAX_FRAME: Final = 1 << 20  # bytes: a window's words are some 20 kB
MAX_FDS: Final = 4
SEND_PATIENCE_SECONDS: Final = 30  # for an engine that does not read, before it is given up
CHILD_PATIENCE_SECONDS: Final = 5  # for a decode child that does not: it has nothing else to do
_SUN_PATH: Final = 100  # a unix socket's name may have 107 bytes


class Hung(Exception):
    """The other end is gone."""


class Deaf(Hung):
    """The other end has not read for too long."""


class Channel:
    """One end of a talk. Not for two threads at once in the same direction."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_FRAME)

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Make our end and the socket to hand to an exec'd child."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _be_patient(ours, CHILD_PATIENCE_SECONDS)
        return cls(ours), theirs

    def fileno(self) -> int:
        """For select."""
        return self._sock.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send one frame. Raises Hung when nobody listens any more; Deaf: reads for too long."""
        frame = json.dumps([message.kind, to_plain(message)], separators=(",", ":")).encode()
        if len(frame) > MAX_FRAME:
            raise ValueError(f"a frame of {len(frame)} bytes")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([frame], rights)
        except BlockingIOError as full:
            raise Deaf from full
        except ConnectionError as gone:
            raise Hung from gone

    def receive(self, timeout: float | None = None) -> tuple[Message, list[int]] | None:
        """Take one frame and its descriptors; None when `timeout` seconds brought nothing.

        Raises Hung at the end of the talk and ValueError for a frame that is not ours.
        """
        if timeout is not None and not self._readable(timeout):
            return None
        room = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
        try:
            frame, rights, flags, _ = self._recvmsg(room)
        except ConnectionError as gone:
            raise Hung from gone
        fds = _descriptors(rights)
        if not frame:
            for fd in fds:
                os.close(fd)
            raise Hung
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ValueError("a frame too large")
            return _message(frame), fds
        except ValueError:
            for fd in fds:
                os.close(fd)
            raise

    def _recvmsg(self, room: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        try:
            return self._sock.recvmsg(MAX_FRAME, room, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            # They left without reading our last word. Said once; their own last words follow.
            return self._sock.recvmsg(MAX_FRAME, room, socket.MSG_CMSG_CLOEXEC)

    def _readable(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout * 1000))


def _be_patient(sock: socket.socket, seconds: int) -> None:
    """Let a send take so long at most: whoever does not read holds no thread of ours."""
    timeval = seconds.to_bytes(8, "little") + bytes(8)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


def _message(frame: bytes) -> Message:
    try:
        plain = json.loads(frame)
    except RecursionError as deep:
        raise ValueError("a frame of endless brackets") from deep
    if not (isinstance(plain, list) and len(plain) == 2 and isinstance(plain[0], str)):
        raise ValueError("not a frame")
    if plain[0] not in KINDS:
        raise ValueError("not a frame of ours")
    return from_plain(KINDS[plain[0]], plain[1])


def _descriptors(rights: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in rights:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


@contextlib.contextmanager
def _short(path: str) -> Iterator[str]:
    """Lend a name of bearable length for a socket in a deep folder."""
    if len(os.fsencode(path)) <= _SUN_PATH:
        yield path
        return
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)


def listen(path: str) -> socket.socket:
    """Open the engine's door at `path`; an old door left behind is removed first."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with _short(path) as name:
        sock.bind(name)
    os.chmod(path, 0o660)
    sock.listen(64)
    return sock


def connect(path: str, *, patience: float | None = None) -> Channel:
    """Knock at the engine's door. Raises OSError when nobody opens (within `patience` seconds)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(patience)
    try:
        with _short(path) as name:
            sock.connect(name)
        sock.settimeout(None)
        _be_patient(sock, SEND_PATIENCE_SECONDS)
    except OSError:
        sock.close()
        raise
    return Channel(sock)
