"""A Debian with nothing of ours in it, made once and kept: `.box/bare-…` of the checkout.

Its packages come from where this machine gets its own. Those that a box will ask for lie
downloaded in apt's cache, so that they can be installed there without a network.

Not here: starting it (tests.box.container).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.box import units

KEPT: Final = Path(units.TOP, ".box")
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
_APT: Final = (
    'APT::Install-Recommends "false"',
    'APT::Keep-Downloaded-Packages "true"',
    'Acquire::Check-Valid-Until "false"',
    'Acquire::Check-Date "false"',
)
_LEFT_OUT: Final = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")


def root() -> Path:
    """The root of a bare Debian of this machine's own version; a minute or three where it is new.

    Raises CalledProcessError where Debian's packages cannot be had.
    """
    suite = _suite()
    told = repr((suite, _HAS, _WILL_ASK_FOR, _APT, _LEFT_OUT))
    made = KEPT / f"bare-{suite}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    if made.is_dir():
        return made
    KEPT.mkdir(exist_ok=True)
    half = KEPT / f".{made.name}.{os.getpid()}"
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--skip=cleanup/apt"]
    argv += [f"--include={','.join(_HAS)}", *(f"--aptopt={line}" for line in _APT)]
    argv += [f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT]
    fetch = "apt-get install --yes --quiet --no-install-recommends --download-only"
    argv += [f'--customize-hook=chroot "$1" {fetch} {" ".join(_WILL_ASK_FOR)} >/dev/null']
    try:
        subprocess.run([*argv, suite, str(half), "-"], input=_sources(), check=True)
        half.rename(made)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return made


def _suite() -> str:
    with open("/etc/os-release", encoding="utf-8") as stream:
        told = dict(line.rstrip("\n").split("=", 1) for line in stream if "=" in line)
    return told["VERSION_CODENAME"].strip('"')


def _sources() -> bytes:
    """Where this machine gets its packages from, as apt has it."""
    folder = Path("/etc/apt/sources.list.d")
    files = [*sorted(folder.glob("*.sources")), Path("/etc/apt/sources.list")]
    return b"\n".join(file.read_bytes() for file in files if file.is_file())
