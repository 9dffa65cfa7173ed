"""Frames between worker, decode child and engine, and the ring the sound lies in.

Here: the messages, how one crosses a unix SOCK_SEQPACKET socket (JSON, file descriptors
by SCM_RIGHTS), and the ring: a memfd cut into slots of one window's log-mel each, written
by the child, read by the engine, never touched by the worker.

The talk of one attempt, in order:

    worker → engine  Hello (+ ring)        engine → worker  Welcome
    worker → child   Begin (+ source, ring)
    child  → worker  Found, then Ready per window, Decoded and Said now and then, Ended or Failed
    worker → engine  Listen per window     engine → worker  Heard or Fault per window and task
    worker → child   Free per window       worker → engine  hangs up: done, or cancelled

Not here: what the worker does with it (transcribe), the model (engine), the file (decode).
"""

from __future__ import annotations

import array
import contextlib
import json
import mmap
import os
import select
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from appliance.nouns import MEL_FRAMES, Detail, Recording, Segment, Window
from appliance.values import from_plain, to_plain

VERSION: Final = 2
MAX_FRAME: Final = 1 << 20  # bytes: a window's words are some 20 kB
MAX_FDS: Final = 4
MAX_MELS: Final = 128
SLOT_BYTES: Final = MAX_MELS * MEL_FRAMES * 4  # float32
SEND_PATIENCE_SECONDS: Final = 30  # for an engine that does not read, before it is given up
_SUN_PATH: Final = 100  # a unix socket's name may have 107 bytes


class Hung(Exception):
    """The other end is gone."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker to engine, with the ring: what this attempt wants."""

    kind: ClassVar = "hello"
    version: int
    model: str
    slots: int
    beam: int = 5
    vocabulary: tuple[str, ...] = ()
    initial_prompt: str | None = None
    about: Detail = field(default_factory=dict)  # job, correlation …: for the engine's log


@dataclass(frozen=True, slots=True)
class Welcome:
    """Engine to worker: who listens."""

    kind: ClassVar = "welcome"
    version: int
    engine: str  # "faster-whisper 1.2.1, ctranslate2 4.8.5"
    model: str
    model_sha256: str
    mels: int  # bins of log-mel the model wants
    multilingual: bool
    device: str
    compute_type: str
    fallback: bool  # a GPU was asked for and none was usable


@dataclass(frozen=True, slots=True)
class Begin:
    """Worker to child, with source and ring: what to look for."""

    kind: ClassVar = "begin"
    name: str  # of the recording, for sentences
    mels: int
    slots: int
    max_seconds: float  # of decoded sound
    language: str | None  # prefer an audio track in this language
    vad: bool
    about: Detail = field(default_factory=dict)  # job, correlation …: for the child's log


@dataclass(frozen=True, slots=True)
class Free:
    """Worker to child: this slot may be written again."""

    kind: ClassVar = "free"
    slot: int


@dataclass(frozen=True, slots=True)
class Found:
    """Child to worker: the file is a recording."""

    kind: ClassVar = "found"
    recording: Recording


@dataclass(frozen=True, slots=True)
class Ready:
    """Child to worker: a window lies in a slot."""

    kind: ClassVar = "ready"
    window: Window
    slot: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """Child to worker: how far we are; also the proof that something moves."""

    kind: ClassVar = "decoded"
    seconds: float
    speech: float  # of them


@dataclass(frozen=True, slots=True)
class Ended:
    """Child to worker: every window has been handed over."""

    kind: ClassVar = "ended"
    seconds: float
    speech: float
    windows: int
    damaged: int  # packets that could not be decoded
    missing: float  # seconds the container promised and did not hold
    broken_off: bool = False  # it does not end as its format ends; nobody knows what is missing
    blank: float = 0.0  # seconds at its end for which the file holds nothing but zeros


@dataclass(frozen=True, slots=True)
class Said:
    """Child to worker: what its libraries said, for the log of the attempt."""

    kind: ClassVar = "said"
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Child to worker: a named error instead of an end."""

    kind: ClassVar = "failed"
    code: str
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listen:
    """Worker to engine: transcribe what lies in this slot."""

    kind: ClassVar = "listen"
    window: Window
    slot: int
    tasks: tuple[str, ...]
    language: str | None  # None: say which it is


@dataclass(frozen=True, slots=True)
class Heard:
    """Engine to worker: one window's phrases, in seconds of the window."""

    kind: ClassVar = "heard"
    index: int
    task: str
    language: str
    probability: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Engine to worker: a named error; `index` -1 means the attempt, not one window."""

    kind: ClassVar = "fault"
    index: int
    code: str
    detail: Detail = field(default_factory=dict)


Message = (
    Hello
    | Welcome
    | Begin
    | Free
    | Found
    | Ready
    | Decoded
    | Ended
    | Said
    | Failed
    | Listen
    | Heard
    | Fault
)
_KINDS: Final[dict[str, type[Message]]] = {
    kind.kind: kind
    for kind in (
        *(Hello, Welcome, Begin, Free, Found, Ready, Decoded, Ended, Said, Failed),
        *(Listen, Heard, Fault),
    )
}


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
        """Send one frame. Raises Hung when nobody listens any more, or reads for too long."""
        frame = json.dumps([message.kind, to_plain(message)], separators=(",", ":")).encode()
        if len(frame) > MAX_FRAME:
            raise ValueError(f"a frame of {len(frame)} bytes")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([frame], rights)
        except (ConnectionError, BlockingIOError) as gone:
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


def _message(frame: bytes) -> Message:
    try:
        plain = json.loads(frame)
    except RecursionError as deep:
        raise ValueError("a frame of endless brackets") from deep
    if not (isinstance(plain, list) and len(plain) == 2 and isinstance(plain[0], str)):
        raise ValueError("not a frame")
    if plain[0] not in _KINDS:
        raise ValueError("not a frame of ours")
    return from_plain(_KINDS[plain[0]], plain[1])


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
        patience_of_sends = SEND_PATIENCE_SECONDS.to_bytes(8, "little") + bytes(8)  # a timeval
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience_of_sends)
    except OSError:
        sock.close()
        raise
    return Channel(sock)


class Ring:
    """A memfd of `slots` windows of log-mel; pages never written cost nothing."""

    def __init__(self, fd: int, slots: int) -> None:
        """Take over `fd`. Raises ValueError when it is smaller than it says."""
        if not 0 < slots <= 4096 or os.fstat(fd).st_size < slots * SLOT_BYTES:
            os.close(fd)
            raise ValueError(f"a ring without room for {slots} slots")
        self.fd = fd
        self.slots = slots
        self._map = mmap.mmap(fd, slots * SLOT_BYTES)

    @classmethod
    def create(cls, slots: int) -> Ring:
        """Make an empty ring whose size nobody can change any more."""
        fd = os.memfd_create("ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, slots * SLOT_BYTES)
        _seal(fd)
        return cls(fd, slots)

    def slot(self, number: int) -> memoryview:
        """The bytes of one slot. Raises ValueError for a slot that is not there."""
        if not 0 <= number < self.slots:
            raise ValueError(f"slot {number} of {self.slots}")
        return memoryview(self._map)[number * SLOT_BYTES : (number + 1) * SLOT_BYTES]

    def close(self) -> None:
        """Let go of the memory; views still held keep the map, not the descriptor."""
        with contextlib.suppress(BufferError):
            self._map.close()
        os.close(self.fd)


def _seal(fd: int) -> None:
    """Forbid shrinking: a reader of a map that was cut short would die of SIGBUS."""
    import fcntl

    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
