"""A decode child without a decoder: it says what a recording of `recordings` should make it say.

    python -m tests.faults.decoder MARKS FD

Started by the product's own Decoders in place of `appliance.decode`, with the product's
limits, forking a child for each recording as that does, and speaking the product's
protocol. Into the window it writes the sha256 of what it was given, so that the engine's
words name the very bytes that were transcribed. MARKS is a folder that remembers who has
fallen once.

Not here: decoding anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import sys
import time

from appliance import limits, wire
from appliance.nouns import Piece, Recording, Window
from tests.faults.recordings import Kind, kind_of

SECONDS = 3.0  # of sound it says it has found
SLOW_SECONDS = 4.0


def main(marks: str, fd: int) -> None:
    """Fork a child for each recording."""
    fallen = open_marks(marks, "child")  # before the file system is taken away from us
    limits.confine(limits.given())

    def one(fd_of_child: int) -> int:
        with contextlib.suppress(wire.Hung):
            _talk(fd_of_child, fallen)
        return 0

    with socket.socket(fileno=fd) as control:
        limits.serve(control, one)


def _talk(fd: int, fallen: int) -> None:
    """Talk once."""
    with wire.Channel(socket.socket(fileno=fd)) as channel:
        got = channel.receive()
        if got is None or not isinstance(got[0], wire.Begin):
            raise ValueError("the talk must open with Begin")
        begin, (source, ring_fd) = got[0], got[1]
        ring = wire.Ring(ring_fd, begin.slots)
        with os.fdopen(source, "rb") as stream:
            content = stream.read()
        _serve(channel, ring, content, fallen)


def _serve(channel: wire.Channel, ring: wire.Ring, content: bytes, fallen: int) -> None:
    kind = kind_of(content)
    digest = hashlib.sha256(content).hexdigest()
    if kind is Kind.POISON or (kind is Kind.FALLS_ONCE and first_time(fallen, digest)):
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind is Kind.MUTE:
        channel.send(wire.Failed("source.no-audio-track"))
        return
    if kind is Kind.SLOW:
        time.sleep(SLOW_SECONDS)
    channel.send(wire.Found(Recording("wav", "pcm_s16le", 1, 0, 8_000, 1, SECONDS, 0.0)))
    told = f"{digest} {kind.value} ".encode()
    ring.slot(0)[: len(told)] = told
    window = Window(0, (Piece(0.0, SECONDS, 0.0, SECONDS),))
    channel.send(wire.Ready(window, 0))
    channel.send(wire.Ended(SECONDS, SECONDS, 1, 0, 0.0))


def open_marks(marks: str, who: str) -> int:
    """Open the list of those who have fallen once: nothing in a process survives its death."""
    return os.open(os.path.join(marks, who), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)


def first_time(fallen: int, digest: str) -> bool:
    """Tell whether this one falls for the first time, and remember it."""
    line = f"{digest}\n".encode()
    if line in os.pread(fallen, os.fstat(fallen).st_size, 0):
        return False
    os.write(fallen, line)
    return True


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
