"""What is mounted against what the settings say: somebody changed them, and nothing began anew.

Read from the kernel's list of mounts, which asks no server.

Not here: trying a share (trying), mounting it (mounting).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from appliance.health.finding import Finding, Level
from appliance.settings import Settings, Share
from appliance.watch.mounts import Mount, mount_of

CODE: Final = "share-mounted"
_HELPERS: Final = (("/sbin/mount.nfs4", "nfs-common"), ("/sbin/mount.cifs", "cifs-utils"))
_ANEW: Final = "`systemctl restart appliance.target` mounts it as the settings say."


def examine(
    settings: Settings, *, table: str = "/proc/self/mountinfo", top: str = ""
) -> Iterator[Finding]:
    """Compare each share that the box has mounted itself with the settings.

    `top` is where the programs of the system are looked for, instead of its root.
    """
    for share in settings.share:
        if share.source is None:
            continue
        program, package = _HELPERS[share.source.startswith("//")]
        if not os.path.exists(f"{top}{program}"):
            text = f"{share.name}: there is no {program}, so it cannot be mounted"
            yield Finding(CODE, Level.FAIL, text, f"`apt install {package}`.", share.name)
            continue
        mount = mount_of(share.root, table=table)
        if mount.point != share.root or mount.fstype == "autofs":
            continue  # not ours, or not mounted now
        if why := _other(share, share.source, mount):
            yield Finding(CODE, Level.WARN, f"{share.name}: {why}", _ANEW, share.name)
        else:
            yield Finding(
                CODE, Level.OK, f"{share.name} is as the settings say", subject=share.name
            )


def _other(share: Share, source: str, mount: Mount) -> str | None:
    if _plain(mount.source) != _plain(source):
        return f"{mount.source} is mounted, and the settings say {source}"
    if share.seal and "seal" not in mount.options.split(","):
        return "it goes over the wire in the clear, and the settings say seal = true"
    return None


def _plain(source: str) -> str:
    """Of two spellings of one source the same text; servers of SMB know no large letters."""
    text = re.sub("/+", "/", source).rstrip("/")
    return text.casefold() if source.startswith("//") else text
