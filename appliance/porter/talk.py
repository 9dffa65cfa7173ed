"""What a worker and its porter say to each other: an errand, signs of life, one answer.

One JSON object a frame over a unix SOCK_SEQPACKET pair, both ends our own program. What is
staged lies in the spool and exports are made anew from the ledger, so no bytes of them cross
it; what is read out to somebody who listens does, in frames of its own, and no faster than
they are taken.

Not here: what an errand does (errands), how long one waits for a sign (the package).
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from appliance.nouns import Detail, Staged
from appliance.values import from_plain, to_plain

_MOST: Final = 1 << 17  # bytes of a frame: an error's facts are the longest


class HungUp(Exception):
    """The other end is gone."""


@dataclass(frozen=True, slots=True)
class Errand:
    """Worker to porter: what to do for which attempt at which job."""

    kind: ClassVar = "errand"
    verb: str  # a key of errands.VERBS
    job: int
    attempt: int  # the fencing token
    code: str | None = None  # of the error a note is about
    detail: Detail = field(default_factory=dict)
    about: Detail = field(default_factory=dict)  # job, correlation …: for the porter's log


@dataclass(frozen=True, slots=True)
class Reading:
    """Pages to porter: read bytes [first, until) of a job's recording out, then say Carried."""

    kind: ClassVar = "reading"
    job: int
    first: int
    until: int


@dataclass(frozen=True, slots=True)
class Looking:
    """Pages to porter: is this share there, the one we know, and does it answer?"""

    kind: ClassVar = "looking"
    share: str


@dataclass(frozen=True, slots=True)
class Moved:
    """Porter to worker: at the share by now, and getting on."""

    kind: ClassVar = "moved"


@dataclass(frozen=True, slots=True)
class Carried:
    """Porter to worker: done."""

    kind: ClassVar = "carried"
    staged: Staged | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Porter to worker: a named error instead."""

    kind: ClassVar = "refused"
    code: str
    detail: Detail = field(default_factory=dict)


Word = Errand | Reading | Looking | Moved | Carried | Refused
_KINDS: Final[Mapping[str, type[Word]]] = {
    kind.kind: kind for kind in (Errand, Reading, Looking, Moved, Carried, Refused)
}
_BYTES: Final = b"\0"  # what a frame of bytes begins with, and no JSON does


class Talk:
    """One end of it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @classmethod
    def pair(cls) -> tuple[Talk, socket.socket]:
        """Make our end, and the socket to hand to a child."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def send(self, word: Word) -> None:
        """Say something. Raises HungUp."""
        frame = json.dumps([word.kind, to_plain(word)]).encode("ascii")
        try:
            self._sock.send(frame)
        except ConnectionError as gone:
            raise HungUp from gone

    def read_out(self, piece: bytes | memoryview) -> None:
        """Hand over bytes; waits while the other end does not take them. Raises HungUp."""
        try:
            self._sock.sendmsg([_BYTES, piece])
        except ConnectionError as gone:
            raise HungUp from gone

    def try_to_send(self, word: Word) -> None:
        """Say something that may be missed: nothing waits for a listener who sleeps."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            frame = json.dumps([word.kind, to_plain(word)]).encode("ascii")
            self._sock.send(frame, socket.MSG_DONTWAIT)

    def receive(self, timeout: float | None = None) -> Word | bytes | None:
        """Hear a word, or bytes; None when `timeout` seconds brought nothing. Raises HungUp."""
        self._sock.settimeout(timeout)
        try:
            frame = self._sock.recv(_MOST)
        except TimeoutError:
            return None
        except ConnectionError as gone:
            raise HungUp from gone
        finally:
            self._sock.settimeout(None)
        if not frame:
            raise HungUp
        if frame.startswith(_BYTES):
            return frame[len(_BYTES) :]
        kind, plain = json.loads(frame)
        return from_plain(_KINDS[kind], plain)
