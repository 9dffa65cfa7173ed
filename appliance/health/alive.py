"""Which processes of the appliance live: read from the locks they hold, never by taking one.

Not here: what follows from one that does not (checks).
"""

from __future__ import annotations

import os


def is_shown() -> bool:
    """Tell whether the kernel shows who holds a lock; where it does not, nobody is known dead."""
    return os.access("/proc/locks", os.R_OK)


def held(folder: str, name: str) -> bool:
    """Tell whether a process holds `<folder>/<name>.lock`, without ever touching the lock.

    The kernel's own list is read: taking the lock to ask could turn away a process that
    starts this very moment.
    """
    try:
        inode = os.stat(os.path.join(folder, f"{name}.lock")).st_ino
        with open("/proc/locks", encoding="ascii") as stream:
            rows = [line.split() for line in stream]
    except OSError:
        return False
    # "1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF"; some file systems show
    # another device than stat does, so the inode decides.
    return any(row[1] == "FLOCK" and row[5].rpartition(":")[2] == str(inode) for row in rows)


def running(state_dir: str, run_dir: str) -> frozenset[str]:
    """Which of up, worker and watch live on this state directory."""
    locks = {"up": state_dir, "worker": state_dir, "watch": run_dir}
    return frozenset(name for name, folder in locks.items() if held(folder, name))


def not_running(state_dir: str, run_dir: str) -> frozenset[str]:
    """Which of worker and watch surely do not live; none where the kernel does not show locks."""
    if not is_shown():
        return frozenset()
    return frozenset({"worker", "watch"}) - running(state_dir, run_dir)
