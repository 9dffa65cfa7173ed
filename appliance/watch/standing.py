"""Whether a share is the one we know and answers, right now.

Not here: what follows from it (rounds), adopting a share (adoption).
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Final

from appliance import beneath, marker
from appliance.errors import ApplianceError, ShareDenied, ShareOffline, ShareWrongMarker
from appliance.settings import Share
from appliance.watch.mounts import Mount, misplaced, mount_of

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
_UNMOUNTED: Final = "it cannot be mounted: its file server is away, or refuses the account"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a share is at one moment."""

    mount: Mount
    identity: tuple[int, int, int] = (0, 0, 0)  # mount id, device, inode of its root
    error: ApplianceError | None = None
    why: str | None = None

    @property
    def online(self) -> bool:
        """Whether what we see there may be believed."""
        return self.error is None

    @property
    def state(self) -> str:
        """As the ledger calls it."""
        return "online" if self.online else "offline"


def look(share: Share, marker_id: str | None) -> Standing:
    """Look at a share: mounted, marked, listing. Raises nothing; may hang with its server."""
    root = os.path.realpath(share.root)
    mount = mount_of(root)
    if why := misplaced(share.kind, mount):
        return Standing(mount, error=ShareOffline(share=share.name), why=why)
    try:
        with marker.rooted(share.name, share.root, marker_id) as root_fd:
            listed = _listed(root_fd)
            mount = mount_of(root)  # an automount point has it only now
            return Standing(mount, (mount.id, *listed))
    except ShareOffline as error:
        return Standing(mount, error=error, why="its folder is not there, or is empty")
    except ShareWrongMarker as error:
        return Standing(mount, error=error, why="its .transcribe-id is not the one we know")
    except OSError as error:
        denied = error.errno in _DENIED
        kind = ShareDenied if denied else ShareOffline
        named = kind(share=share.name, name=share.root)
        why = _UNMOUNTED if mount.fstype == "autofs" else os.strerror(error.errno or 0)
        return Standing(mount, error=named, why=why)


def _listed(root_fd: int) -> tuple[int, int]:
    """List one entry, which asks the server, and tell which folder answered."""
    fd = beneath.open_at(root_fd, b"", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(fd) as entries:
            next(entries, None)
        found = os.fstat(fd)
    finally:
        os.close(fd)
    return found.st_dev, found.st_ino
