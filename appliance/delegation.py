"""The cgroup that systemd has delegated to this process, and our own place in it.

Where a group is delegated (`Delegate=`), groups for single jobs may be made below it. A
group that has processes of its own cannot hand limits on to groups below it (cgroup v2: no
inner processes), so we move into `supervisor/` beside where those will be.

Source: systemd's CGROUP_DELEGATION.md, the kernel's cgroup-v2.rst.

Not here: a job's group and its limits (limits).
"""

from __future__ import annotations

import logging
import os
from typing import Final

log = logging.getLogger(__name__)
ROOT: Final = "/sys/fs/cgroup"
SUPERVISOR: Final = "supervisor"
_MARK: Final = "user.delegate"  # systemd's, on a group that it hands over; since version 251


def settle_in(root: str = ROOT) -> str | None:
    """Move this process into `supervisor/` of its delegated cgroup; the folder of that group.

    Call it before anybody else is started: what runs already stays behind. None where no
    group is delegated: a laptop, another kind of cgroups, a container that shows none.
    `root` is where cgroup v2 is mounted. Never raises: limits are held by other means then.
    """
    try:
        folder = _own(root)
        if folder is None:
            return None
        if os.path.basename(folder) == SUPERVISOR and _is_delegated(os.path.dirname(folder)):
            return os.path.dirname(folder)  # we were started there
        if not _is_delegated(folder):
            return None
        ours = os.path.join(folder, SUPERVISOR)
        os.makedirs(ours, exist_ok=True)
        with open(os.path.join(ours, "cgroup.procs"), "w", encoding="ascii") as members:
            members.write(str(os.getpid()))
    except OSError as error:
        log.warning("the delegated cgroup is not ours to use: %s", error)
        return None
    return folder


def _own(root: str) -> str | None:
    """The folder of the cgroup we are in; None without cgroup v2."""
    if not os.path.exists(os.path.join(root, "cgroup.controllers")):
        return None
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            if line.startswith("0::/"):
                return os.path.normpath(os.path.join(root, line[4:].rstrip("\n")))
    return None


def _is_delegated(folder: str) -> bool:
    try:
        return os.getxattr(folder, _MARK) == b"1"
    except OSError:  # there is no such mark, or none can be kept there
        return False
