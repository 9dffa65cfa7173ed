"""A Debian with nothing of ours in it, made once and kept: `.box/bare-…` of the checkout.

Those packages that a box will ask for lie downloaded in apt's cache, so that they can be
installed there without a network.

Not here: making it (image.debian), starting it (tests.box.container).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from image import debian

KEPT: Final = debian.KEPT
_HAS: Final = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "python3"),
    *("iproute2", "ca-certificates"),
)
_WILL_ASK_FOR: Final = (
    *("python3-apt", "python3-venv", "python3-systemd", "openssl", "nftables", "nginx"),
    *("samba",),
    *("samba-common-bin", "cifs-utils", "nfs-common", "libjemalloc2", "systemd-timesyncd"),
    *("prometheus", "sudo", "e2fsprogs"),
)


def root() -> Path:
    """Its root. Raises CalledProcessError where Debian's packages cannot be had."""
    return debian.root("bare", _HAS, will_ask_for=_WILL_ASK_FOR)
