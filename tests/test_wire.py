"""Frames and the ring: checked on the way in, whatever the other end sends."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import wire
from appliance.nouns import Piece, Window

WINDOW = Window(0, (Piece(0.0, 1.0, 0.1, 0.9),))


@pytest.fixture
def ends() -> Iterator[tuple[wire.Channel, socket.socket]]:
    ours, theirs = wire.Channel.pair()
    with ours, theirs:
        yield ours, theirs


def test_a_frame_and_its_descriptors_arrive(ends: tuple[wire.Channel, socket.socket]) -> None:
    ours, theirs = ends
    read, write = os.pipe()
    wire.Channel(theirs).send(wire.Ready(WINDOW, 1), [write])
    got = ours.receive(timeout=1.0)
    assert got is not None
    message, (fd,) = got
    assert message == wire.Ready(WINDOW, 1)
    os.write(fd, b"x")
    assert os.read(read, 1) == b"x"
    assert not os.get_inheritable(fd)
    for one in (read, write, fd):
        os.close(one)


def test_silence_is_none_and_an_end_is_hung(ends: tuple[wire.Channel, socket.socket]) -> None:
    ours, theirs = ends
    assert ours.receive(timeout=0.01) is None
    theirs.close()
    with pytest.raises(wire.Hung):
        ours.receive(timeout=1.0)
    with pytest.raises(wire.Hung):
        ours.send(wire.Free(1))


def test_last_words_arrive_although_ours_were_never_read(
    ends: tuple[wire.Channel, socket.socket],
) -> None:
    ours, theirs = ends
    last = wire.Ended(seconds=1.0, speech=1.0, windows=1, damaged=0, missing=0.0)
    ours.send(wire.Free(0))
    with wire.Channel(theirs) as other:
        other.send(last)
    assert ours.receive(1) == (last, [])
    with pytest.raises(wire.Hung):
        ours.receive(1)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00",
        b"{}",
        b"[]",
        b'["ready"]',
        b'["nobody",{}]',
        b'[["free"],{}]',
        b'["free",{"slot":"1"}]',
        b'["free",{"slot":1,"more":2}]',
        b'["free",{"slot":true}]',
        b'["ready",{"window":{"index":0,"pieces":[[0,1,0,1]]},"slot":0}]',
        b"[" * 5000,
        b'["free",{"slot":1}]' + b" " * (1 << 20),
    ],
    ids=lambda frame: ascii(frame[:40]),
)
def test_nonsense_is_a_value_error_and_costs_no_descriptor(
    ends: tuple[wire.Channel, socket.socket], frame: bytes
) -> None:
    ours, theirs = ends
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    before = len(os.listdir("/proc/self/fd"))
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        socket.send_fds(theirs, [frame], [fd])
    except OSError:
        pytest.skip("the kernel does not carry a frame of this size")
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
        ours.receive(timeout=1.0)
    os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_door_in_a_deep_folder_opens(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    path = str(folder / "engine-0.sock")
    door = wire.listen(path)
    accepted: list[socket.socket] = []
    thread = threading.Thread(target=lambda: accepted.append(door.accept()[0]))
    thread.start()
    with wire.connect(path) as channel:
        thread.join()
        wire.Channel(accepted[0]).send(wire.Free(2))
        got = channel.receive(timeout=1.0)
    assert got == (wire.Free(2), [])
    accepted[0].close()
    door.close()
    with pytest.raises(OSError, match="refused"):
        wire.connect(path)


def test_what_one_end_writes_into_the_ring_the_other_reads() -> None:
    ring = wire.Ring.create(2)
    other = wire.Ring(os.dup(ring.fd), 2)
    ring.slot(1)[:4] = b"mel!"
    assert bytes(other.slot(1)[:4]) == b"mel!"
    for slot in (-1, 2):
        with pytest.raises(ValueError, match="slot"):
            ring.slot(slot)
    ring.close()
    other.close()


def test_a_ring_that_cannot_be_made_leaves_no_descriptor_behind() -> None:
    code = (
        "import os, resource\n"
        "from appliance import wire\n"
        "before = os.listdir('/proc/self/fd')\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * os.sysconf('SC_PAGE_SIZE')\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used, used))\n"
        "try:\n"
        "    wire.Ring.create(64)\n"
        "except OSError as refused:\n"
        "    print(refused.errno, os.listdir('/proc/self/fd') == before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{errno.ENOMEM} True\n", done.stderr


def test_a_ring_can_neither_lie_about_its_size_nor_shrink() -> None:
    ring = wire.Ring.create(1)
    for slots in (0, 2, 10_000):
        with pytest.raises(ValueError, match="ring"):
            wire.Ring(os.dup(ring.fd), slots)
    with pytest.raises(PermissionError):
        os.ftruncate(ring.fd, 10)
    ring.close()
