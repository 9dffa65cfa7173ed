"""The data partition reaches to the end of the disk: an image is smaller than what it is put on.

In: the partition, by its label. Out: the table of partitions says so, and the kernel knows. It
is looked at at each boot, so that a virtual disk that was made larger is used as well.

Not here: the file system in it, which systemd grows when it mounts it (fstab, x-systemd.growfs).
"""

from __future__ import annotations

import os
from typing import Final

from . import asked

DATA: Final = "/dev/disk/by-partlabel/appliance-data"
_BLOCKS: Final = "/sys/class/block"
_WORTH: Final = 2048 + 34  # sectors of 512 bytes: 1 MiB, and the table's copy at the very end


class NotGrown(Exception):
    """The table could not be written; it is as it was."""


def grow(partition: str = DATA, blocks: str = _BLOCKS) -> bool:
    """Let a partition that is the last of its disk reach to the end; says whether it was short.

    Raises NotGrown.
    """
    node = os.path.realpath(partition)
    place = os.path.realpath(os.path.join(blocks, os.path.basename(node)))
    disk = os.path.join(os.path.dirname(node), os.path.basename(os.path.dirname(place)))
    number = asked.read(os.path.join(place, "partition"))
    start, size = (int(asked.read(os.path.join(place, name))) for name in ("start", "size"))
    whole = int(asked.read(os.path.join(os.path.dirname(place), "size")))
    if whole - start - size < _WORTH:
        return False
    # The disk is in use: whoever writes the table must not ask for all of it to be read anew.
    _do("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "-N", number, disk, told=", +\n")
    _do("partx", "--update", "--nr", number, disk)
    asked.run("udevadm", "settle", "--timeout=10")
    return True


def _do(*argv: str, told: str = "") -> None:
    done = asked.run(*argv, told=told)
    if done.returncode:
        raise NotGrown(f"{argv[0]}: {(done.stderr or done.stdout).strip()}")
