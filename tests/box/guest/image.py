"""The disk of the guest: Debian from this machine's own package sources, and our wheel in a venv.

Installed as the operations manual says, from the files that the wheel carries. Nothing of it
comes from a network but what apt and pip of this machine fetch by themselves.

Not here: starting it (machine).
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from image import debian
from tests.box import units

KEPT: Final = Path(units.TOP, ".box")
SUITE: Final = "bookworm"
PACKAGES: Final = (
    *("systemd", "systemd-sysv", "dbus", "udev", "libpam-systemd", "openssh-server", "procps"),
    *("python3", "python3-venv", "python3-systemd", "iproute2", "kmod", "e2fsprogs"),
    *("linux-image-cloud-amd64", "initramfs-tools", "nftables"),
    # The box as a client of file servers, and the servers.
    *("cifs-utils", "nfs-common", "samba", "nfs-kernel-server"),
)
PROGRAMS: Final = (
    *("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mke2fs", "ssh", "ssh-keygen", "chroot"),
)
_SIZE: Final = "3G"
_LEFT_OUT: Final = ("man", "doc", "locale")
_SETTLE: Final = """
set -e
echo box > /etc/hostname; printf '127.0.0.1 localhost box\\n' > /etc/hosts; : > /etc/machine-id
printf '[Match]\\nName=eth0\\n[Network]\\nAddress=10.0.2.15/24\\nLinkLocalAddressing=no\\n' \\
  > /etc/systemd/network/10-wired.network
echo '/dev/vda / ext4 rw,relatime 0 1' > /etc/fstab
systemctl -q enable systemd-networkd ssh
systemctl -q mask systemd-networkd-wait-online e2scrub_reap apt-daily.timer apt-daily-upgrade.timer
# A lane starts its file server by itself, in a network of the server's own.
systemctl -q mask smbd nmbd samba-ad-dc nfs-server nfs-blkmap rpcbind.service rpcbind.socket
python3 -m venv --system-site-packages /opt/appliance/current
/opt/appliance/current/bin/python -m pip install --quiet --no-index --find-links /wheels \\
  --no-warn-script-location transcription-appliance
there=/opt/appliance/current/share/appliance
cp -r $there/systemd/* /etc/systemd/system/
cp $there/config/sysusers.d/* /usr/lib/sysusers.d/
cp $there/config/tmpfiles.d/* /usr/lib/tmpfiles.d/
systemd-sysusers
mkdir -p /etc/appliance/conf.d
cp $there/config/appliance.toml /etc/appliance/
"""


def missing() -> str | None:
    """What is not there to make one; None where nothing is missing."""
    if os.geteuid():
        return "only root can make the disk of a guest"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    gone = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    return f"there is no {gone[0]}: make programs" if gone else None


def made() -> Path:
    """The disk, as it is before its first boot; kernel and initrd lie beside it."""
    KEPT.mkdir(exist_ok=True)
    wheel = _own_wheel()
    name = _digest(_root_name(), _wheels_name(), wheel.read_bytes(), _SETTLE)
    disk = KEPT / f"disk-{name}.qcow2"
    if not disk.exists():
        for old in KEPT.glob("disk-*.qcow2*"):
            old.unlink()
        _make(disk, wheel)
    return disk


def _make(disk: Path, wheel: Path) -> None:
    tar, wheels = _root(), _wheels()
    root = KEPT / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    _run("tar", "-C", root, "--numeric-owner", "-xpf", tar)
    (root / "wheels").mkdir()
    for file in (*wheels.glob("*.whl"), wheel):
        shutil.copy(file, root / "wheels")
    clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
    _run("chroot", root, *clean, "sh", "-c", _SETTLE)
    shutil.rmtree(root / "wheels")
    _let_in(root)
    for kind, beside in (("vmlinuz", "kernel"), ("initrd.img", "initrd")):
        (found,) = glob.glob(f"{root}/boot/{kind}-*")
        shutil.copy(found, KEPT / beside)
    raw = disk.with_suffix(".raw")
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-d", root, raw, _SIZE)
    _run("qemu-img", "convert", "-O", "qcow2", raw, disk)
    raw.unlink()
    shutil.rmtree(root)


def _let_in(root: Path) -> None:
    """Let whoever has the key in `.box` be root in there."""
    key = KEPT / "key"
    if not key.exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    folder = root / "root/.ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(f"{key}.pub", folder / "authorized_keys")


# --- what it is made of -------------------------------------------------------------------------


def _root_name() -> str:
    return _digest(SUITE, *PACKAGES)


def _root() -> Path:
    """Debian, as a tar file; made once for a list of packages."""
    tar = KEPT / f"debian-{_root_name()}.tar"
    if tar.exists():
        return tar
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in _LEFT_OUT]
    _run(
        *("mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", *left_out),
        *("--aptopt=APT::Install-Recommends false", f"--include={','.join(PACKAGES)}"),
        *(SUITE, f"{tar}.new.tar", "-"),
        told=debian.sources(SUITE),
    )
    os.replace(f"{tar}.new.tar", tar)
    return tar


def _wheels_name() -> str:
    return _digest(Path(units.TOP, "requirements.lock").read_bytes())


def _wheels() -> Path:
    """A folder with the wheel of every dependency."""
    folder = KEPT / f"wheels-{_wheels_name()}"
    if not folder.exists():
        lock = os.path.join(units.TOP, "requirements.lock")
        wanted = ("--no-deps", "--require-hashes", "-r", lock)
        _run(sys.executable, "-m", "pip", "wheel", "--quiet", *wanted, "-w", f"{folder}.new")
        os.replace(f"{folder}.new", folder)
    return folder


def _own_wheel() -> Path:
    folder = KEPT / "own"
    shutil.rmtree(folder, ignore_errors=True)
    build = ("--quiet", "--no-deps", "--no-build-isolation", "-w", folder)
    _run(
        *(sys.executable, "-m", "pip", "wheel", *build, units.TOP),
        more={"SOURCE_DATE_EPOCH": "1"},
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _digest(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
        whole.update(b"\0")
    return whole.hexdigest()[:16]


def _run(*argv: str | Path, told: bytes = b"", more: dict[str, str] | None = None) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    environment = {**os.environ, "PATH": path, **(more or {})}
    subprocess.run([*map(str, argv)], check=True, input=told, env=environment)
