"""A disk whose power can be cut: ext4 in an image whose clone holds what had reached it.

The image lies on a small btrfs of its own, where cloning a file (FICLONE) is one instant
and flushes nothing of the ext4 above: what was only in the page cache is not in the clone,
as after a power cut. Mounting a clone replays its journal.

Not here: what must be found on it (power).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final, Self

from tests.faults import Missing

_NEEDS: Final = {"mkfs.btrfs": "btrfs-progs", "mkfs.ext4": "e2fsprogs"}
_POOL: Final = "6g"  # sparse: what is not written takes no memory
_DISK: Final = "256m"


class Disk:
    """One disk, mounted at `folder`. Use it as a context manager."""

    def __init__(self, where: str) -> None:
        if os.geteuid() != 0:
            raise Missing("root, to mount a disk")
        for program, package in _NEEDS.items():
            if shutil.which(program) is None:
                raise Missing(f"{program}: apt-get install {package}")
        self.folder = os.path.join(where, "disk")
        self._where = where
        self._pool = os.path.join(where, "pool")
        self._image = os.path.join(self._pool, "image")
        self._cuts = 0
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as unless_whole:
            unless_whole.push(self._undo)
            below = os.path.join(self._where, "pool.image")
            _run("truncate", "--size", _POOL, below)
            _run("mkfs.btrfs", "--quiet", below)
            self._mounted(below, self._pool)
            _run("truncate", "--size", _DISK, self._image)
            _run("mkfs.ext4", "-q", self._image)
            self._mounted(self._image, self.folder)
            unless_whole.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._undo.close()

    def _mounted(self, image: str, folder: str) -> None:
        os.makedirs(folder)
        _run("mount", "-o", "loop", image, folder)
        self._undo.callback(_run, "umount", "--lazy", folder)

    def cut(self) -> str:
        """Cut the power, in another world: the image as it is at this instant."""
        self._cuts += 1
        clone = os.path.join(self._pool, f"cut-{self._cuts}")
        _run("cp", "--reflink=always", self._image, clone)
        return clone

    @contextlib.contextmanager
    def powered_up(self, clone: str) -> Iterator[str]:
        """Mount a clone, which replays its journal, and lend its folder."""
        folder = f"{clone}-mounted"
        os.makedirs(folder)
        _run("mount", "-o", "loop", clone, folder)
        try:
            yield folder
        finally:
            _run("umount", folder)
            os.rmdir(folder)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        raise Missing(f"{' '.join(command)}: {done.stderr.decode().strip()}")
