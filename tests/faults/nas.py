"""A file server in small, and everything that goes wrong with one.

A folder on a disk of its own (tmpfs), served through FUSE (bindfs) to where the box has
its share mounted: network semantics for the box, no events, no leases. libfiu sits in the
server and makes its calls fail. Files are dropped behind the mount, as others do.

Not here: what must come of it (shares).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from typing import Final, Self

from tests.faults import Missing

_NEEDS: Final = {"bindfs": "bindfs", "fiu-run": "fiu-utils", "fusermount3": "fuse3"}
_SIZE: Final = "320m"  # twice what two hundred faults leave behind: `swap` copies it
_FILL: Final = ".fill"
_BUSY_SECONDS: Final = 30.0
# What a server asks of its disk; not what it asks of FUSE's own device.
_CALLS: Final = ("oc/open", "rw/pread", "rw/pwrite", "sync/fsync", "stat/*", "dir/*")
_FUSE: Final = "attr_timeout=0,entry_timeout=0,negative_timeout=0"


class Nas:
    """One server and its one client's mount at `root`. Use it as a context manager."""

    def __init__(self, where: str, root: str) -> None:
        if os.geteuid() != 0:
            raise Missing("root, to mount a share")
        for program, package in _NEEDS.items():
            if shutil.which(program) is None:
                raise Missing(f"{program}: apt-get install {package}")
        self.root = root
        self.disk = os.path.join(where, "disk")
        self.folder = os.path.join(self.disk, "folder-0")
        self._control = os.path.join(where, "fiu")
        self._server: subprocess.Popen[bytes] | None = None
        self._mounts = 0

    def __enter__(self) -> Self:
        os.makedirs(self.disk)
        os.makedirs(self._control)
        os.makedirs(self.root, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", self.disk)
        os.makedirs(self.folder)
        self.mount()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.pull()
        _run("umount", "--lazy", self.disk)

    # --- coming and going -----------------------------------------------------------------------

    def mount(self, folder: str | None = None) -> None:
        """Serve a folder (its own, or another) and mount it."""
        self._mounts += 1
        control = os.path.join(self._control, str(self._mounts))
        serve = ["bindfs", "-f", "-o", _FUSE, folder or self.folder, self.root]
        self._server = subprocess.Popen(
            ["fiu-run", "-x", "-f", control, *serve],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 60
        while not self.is_mounted:
            if time.monotonic() > until:
                raise Missing("bindfs does not mount")
            time.sleep(0.02)

    @property
    def is_mounted(self) -> bool:
        """Whether the kernel has a mount there; no server is asked."""
        with open("/proc/self/mountinfo", encoding="utf-8") as stream:
            return any(line.split()[4] == self.root for line in stream)

    def pull(self) -> None:
        """Take the mount away under everybody's hands, and end its server."""
        while self.is_mounted:
            _run("umount", "--lazy", self.root)
        self.die()

    def die(self) -> None:
        """Kill the server; the mount stays and answers that nobody is connected."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def bare(self) -> list[str]:
        """What lies where the share was mounted; only while it is not."""
        return os.listdir(self.root)

    # --- what goes wrong ------------------------------------------------------------------------

    def hang(self) -> None:
        """Stop answering."""
        self._signal(signal.SIGSTOP)

    def answer(self) -> None:
        """Answer again, everything that was asked meanwhile included."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        os.killpg(self._server.pid, number)

    def swap(self) -> None:
        """Come back with the same files under other inode numbers, as from a restored backup."""
        self.pull()
        fresh = os.path.join(self.disk, f"folder-{self._mounts}")
        _run("cp", "-a", self.folder, fresh)
        shutil.rmtree(self.folder)
        self.folder = fresh
        self.mount()

    def write_protect(self, on: bool) -> None:
        """Let nobody write through the mount."""
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                _run("mount", "-o", f"remount,bind,{'ro' if on else 'rw'}", self.root)
            except AssertionError:  # busy: somebody has a file open to write
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return

    def fill(self, on: bool) -> None:
        """Leave not a byte free on the server's disk."""
        path = os.path.join(self.disk, _FILL)
        if not on:
            os.unlink(path)
            return
        with contextlib.suppress(OSError), open(path, "wb", buffering=0) as stream:
            while True:
                stream.write(bytes(65_536))

    def fail(self, probability: float) -> None:
        """Have so many of the server's calls end with EIO; 0: none."""
        assert self._server is not None
        pipe = next(
            n
            for n in os.listdir(self._control)
            if n.startswith(f"{self._mounts}-") and n.endswith(".in")
        )
        pid = pipe.removesuffix(".in").partition("-")[2]
        control = os.path.join(self._control, str(self._mounts))
        for calls in _CALLS:
            order = (
                f"enable_random name=posix/io/{calls},probability={probability},failinfo=5"
                if probability
                else f"disable name=posix/io/{calls}"
            )
            _run("fiu-ctrl", "-f", control, "-c", order, pid)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.decode()}")
