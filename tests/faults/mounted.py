"""Real disks and real file servers that a test may fill, lock, stop and take away.

Small ext4 images on loop devices, and folders served over FUSE by bindfs. All of it goes
again at the end, also when a test fails.

Not here: any test.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_REQUEST = 1 << 20  # bytes that one may have at most
may_mount = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True, capture_output=True)


def unmount(where: Path) -> None:
    """Take away whatever is mounted there, even while somebody uses it."""
    subprocess.run(["umount", "-l", str(where)], check=False, capture_output=True)


@contextlib.contextmanager
def disk(where: Path, *, mb: int) -> Iterator[Path]:
    """Lend a small disk, mounted at `where`."""
    where.mkdir(parents=True, exist_ok=True)
    image = where.with_name(f"{where.name}.ext4")
    with image.open("wb") as stream:
        stream.truncate(mb << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    run("mount", "-o", "loop", str(image), str(where))
    try:
        yield where
    finally:
        unmount(where)


@contextlib.contextmanager
def full(where: Path) -> Iterator[None]:
    """Leave no byte free on the disk that holds `where`."""
    filling = where / ".filling"
    fd = os.open(filling, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while os.write(fd, bytes(size)):
                    pass
        yield
    finally:
        os.close(fd)
        filling.unlink()


def stop(pid: int) -> None:
    """Stop a process. What its threads are in the middle of they do first: come back after that."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + 10
    while any(_state(task) != "T" for task in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < until, f"process {pid} does not stop"
        time.sleep(0.005)


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


class FileServer:
    """A folder served over FUSE. `rate` slows reading down, in bytes a second."""

    def __init__(self, folder: Path, where: Path, *, rate: str | None = None) -> None:
        for one in (folder, where):
            one.mkdir(parents=True, exist_ok=True)
        self.where = where
        slow = [f"--read-rate={rate}"] if rate else []
        self._process = subprocess.Popen(["bindfs", "-f", *slow, str(folder), str(where)])
        until = time.monotonic() + 10
        while not os.path.ismount(where):
            assert self._process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)

    def hang(self) -> None:
        """Answer nobody any more."""
        stop(self._process.pid)

    def go_on(self) -> None:
        """Answer again, and what was asked meanwhile as well."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, whatever state it is in."""
        self._process.kill()
        self._process.wait()


class Deaf:
    """A file server that takes every request and answers none, spoken by hand.

    No program does this on demand. Whoever asks it hangs beyond SIGKILL: the kernel waits
    for the answer of a server that has taken the request (linux/fs/fuse/dev.c).
    """

    def __init__(self, where: Path) -> None:
        where.mkdir(parents=True, exist_ok=True)
        self._closing = threading.Event()
        self._fd = os.open("/dev/fuse", os.O_RDWR)
        facts = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0".encode()
        done = ctypes.CDLL(None, use_errno=True).mount(b"deaf", bytes(where), b"fuse", 0, facts)
        assert done == 0, os.strerror(ctypes.get_errno())
        self._answer_hello(os.read(self._fd, _REQUEST))
        os.set_blocking(self._fd, False)
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _answer_hello(self, request: bytes) -> None:
        unique = struct.unpack_from("<IIQ", request)[2]
        hello = struct.pack("<IIII", 7, 31, 0, 0) + bytes(48)  # struct fuse_init_out
        os.write(self._fd, struct.pack("<IiQ", 16 + len(hello), 0, unique) + hello)

    def _take(self) -> None:
        while not self._closing.wait(0.02):
            with contextlib.suppress(OSError):
                os.read(self._fd, _REQUEST)

    def close(self) -> None:
        """Go: whoever waits is told that nobody is there."""
        self._closing.set()
        self._thread.join()
        os.close(self._fd)


@contextlib.contextmanager
def deaf(where: Path) -> Iterator[Deaf]:
    """Lend a file server that answers nothing but hello."""
    server = Deaf(where)
    try:
        yield server
    finally:
        server.close()
        unmount(where)


@contextlib.contextmanager
def file_server(folder: Path, where: Path, *, rate: str | None = None) -> Iterator[FileServer]:
    """Lend a mounted file server."""
    if shutil.which("bindfs") is None:
        pytest.fail("these tests need bindfs: apt-get install bindfs")
    server = FileServer(folder, where, rate=rate)
    try:
        yield server
    finally:
        server.close()
        unmount(where)
