"""Which file system a share lies on, and what that lets us trust: events, leases, holes.

Read from /proc/self/mountinfo, which never asks the server. `statvfs` and `ismount`
answer wrongly for a dead mount, and a mount point without its mount looks like a folder.

Not here: whether the share is well (standing), how to find files (hints, scan).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from appliance.settle import Patience, on_network

# Where this kernel sees every change, so that inotify and leases tell the truth.
# fmt: off
LOCAL: Final = frozenset((
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay", "ramfs", "jfs",
    "bcachefs",
))
# fmt: on
# Of those, where every written block is counted at once and none is squeezed away.
_COUNTS_BLOCKS: Final = frozenset(("ext2", "ext3", "ext4", "xfs", "f2fs", "tmpfs"))
_OF_KIND: Final = {"smb": "an SMB", "nfs": "an NFS"}
_CACHE: Final = re.compile(r"(?:^|,)(?:actimeo|acregmax)=(\d+)")


@dataclass(frozen=True, slots=True)
class Mount:
    """The mount that a folder lies on."""

    id: int
    fstype: str
    options: str
    source: str = ""  # what is mounted: of a file server its name and the share
    point: str = ""  # and where

    @property
    def is_local(self) -> bool:
        """Whether this kernel sees every change there."""
        return self.fstype in LOCAL

    @property
    def counts_blocks(self) -> bool:
        """Whether a file with fewer blocks than bytes lacks data."""
        return self.fstype in _COUNTS_BLOCKS

    def patience(self, quiet: float | None) -> Patience:
        """How long a file here must stay as it is; `quiet` (seconds) when the site has chosen."""
        if self.is_local:
            return Patience() if quiet is None else Patience(quiet=quiet, closed=quiet)
        # Looks are taken through open(), which revalidates even where the cache lasts longer.
        named = _CACHE.search(self.options)
        return on_network(float(named.group(1)) if named else 1.0, quiet=quiet)


def mount_of(folder: str, *, table: str = "/proc/self/mountinfo") -> Mount:
    """Find the mount that holds an absolute path, without touching the path itself."""
    best, found = b"", Mount(0, "unknown", "")
    path = os.fsencode(os.path.normpath(folder))
    with open(table, "rb") as stream:
        for line in stream:
            before, _, after = line.partition(b" - ")
            fields, (fstype, source, options) = before.split(), after.split(None, 2)
            point = _unescaped(fields[4])
            if _holds(point, path) and len(point) >= len(best):  # the last one lies on top
                best = point
                found = Mount(
                    int(fields[0]),
                    fstype.decode(),
                    options.decode().strip(),
                    os.fsdecode(_unescaped(source)),
                    os.fsdecode(point),
                )
    return found


def misplaced(kind: str, mount: Mount) -> str | None:
    """What is wrong with a share of this kind on this mount; None when nothing is."""
    if kind in _OF_KIND and mount.is_local:
        return f"its folder is not {_OF_KIND[kind]} mount but a local one ({mount.fstype})"
    return None


def _holds(point: bytes, path: bytes) -> bool:
    return path == point or path.startswith(point.rstrip(b"/") + b"/")


def _unescaped(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal.group(1), 8)]), field)
