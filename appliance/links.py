"""Where a path leads once its links are followed, without asking any file server.

`os.path.realpath` looks at every folder on the way, so it hangs with a dead mount; this
stops at the mount point of a file system that is not this kernel's own.

Not here: opening what a stranger may have planted (beneath), what a mount is worth (watch).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from typing import Final

_REMOTE: Final = re.compile(r"nfs|cifs|smb|fuse|9p|ceph|afs|autofs|virtiofs|gluster|lustre")
_LINKS: Final = 40  # as many as the kernel follows


def resolved(path: str) -> str:
    """Follow the links of an absolute path as far as that can be done on this machine."""
    sealed = _remote_mounts()
    here, ahead, left = "/", path.split("/")[::-1], _LINKS
    while ahead:
        here = os.path.normpath(os.path.join(here, ahead.pop()))
        if here in sealed:
            return os.path.normpath(os.path.join(here, *reversed(ahead)))
        target = _target(here)
        if target is None:
            continue
        if not left:  # a loop: nobody gets through there
            return path
        left -= 1
        here = os.path.dirname(here)
        ahead.extend([*target.split("/")[::-1], *(["/"] if target.startswith("/") else [])])
    return here


def mount_id(path: str, table: str = "/proc/self/mountinfo") -> int:
    """The kernel's number of the mount that an absolute path lies on; a new mount has another.

    0 where the kernel does not say.
    """
    real, best, number = resolved(path), "", 0
    with (
        contextlib.suppress(OSError),
        open(table, encoding="utf-8", errors="surrogateescape") as stream,
    ):
        for line in stream:
            fields = line.split()
            point = _unescaped(fields[4])
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):  # the last one lies on top
                best, number = point, int(fields[0])
    return number


def came_upon(path: str, was: int, table: str = "/proc/self/mountinfo") -> int:
    """The mount that somebody is at who was told of `was`, of `mount_id`, before he went there.

    An automount point has the mount that it waits for upon it as soon as somebody goes there.
    """
    now, kinds = mount_id(path, table), {}
    with (
        contextlib.suppress(OSError),
        open(table, encoding="utf-8", errors="surrogateescape") as stream,
    ):
        for line in stream:
            before, _, after = line.partition(" - ")
            number, beneath = map(int, before.split()[:2])
            kinds[number] = (beneath, after.split()[0])
    beneath, _ = kinds.get(now, (0, ""))
    return now if beneath == was and kinds.get(was, (0, ""))[1] == "autofs" else was


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _remote_mounts(table: str = "/proc/self/mountinfo") -> Collection[str]:
    """Where file systems of others begin; none that could be told where the kernel does not say."""
    points = set()
    with (
        contextlib.suppress(OSError),
        open(table, encoding="utf-8", errors="surrogateescape") as stream,
    ):
        for line in stream:
            before, _, after = line.partition(" - ")
            if _REMOTE.match(after):
                points.add(_unescaped(before.split()[4]))
    return points


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), field)
