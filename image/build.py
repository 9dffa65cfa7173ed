"""A release → a disk image: `python -m image.build --bundle FILE --key KEY [--out dist]`.

    Debian → the playbooks, in a container → what is unique goes → disk → packed, summed, signed

In: a bundle of `make release`, the key that signed it, Debian's packages from where this machine
gets its own. Out, in one folder: appliance-VERSION.raw.zst, a list of every package in it, sums
over both and a signature over the sums.

Not here: the disk (disk), what is unique (clean), what a box does with it (boot).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import appliance
from image import clean, container, debian, disk
from image.boot import identity, screen
from image.container import Container
from image.controller import Controller

NAMESPACE: Final = "appliance-image"  # of the signature: a release is not signed by it
PROGRAMS: Final = (
    *("mmdebstrap", "sfdisk", "mkfs.vfat", "mcopy", "mke2fs", "zstd", "ssh-keygen", "ssh"),
)
PACKAGES: Final = (
    # The machine: a kernel for any PC, its disks, the loader.
    *("systemd", "systemd-sysv", "dbus", "udev", "libpam-systemd", "kmod", "procps", "iproute2"),
    *("linux-image-amd64", "initramfs-tools", "zstd", "e2fsprogs", "dosfstools", "fdisk"),
    *("systemd-boot-efi", "systemd-resolved", "openssh-server", "ca-certificates", "less", "nano"),
    # What the playbooks ask for: a container that makes an image has no network.
    *("python3", "python3-apt", "python3-venv", "python3-systemd", "openssh-client", "openssl"),
    *("libjemalloc2", "systemd-timesyncd", "nginx", "nftables", "samba", "samba-common-bin"),
    # Shares of file servers, as soon as the settings name one.
    *("cifs-utils", "nfs-common"),
)
_FILES: Final = debian.TOP / "image" / "root"
_BOOT: Final = debian.TOP / "image" / "boot"
_PROGRAM: Final = "usr/local/lib/appliance-boot/boot"
_ENABLED: Final = (
    *("box-grow.service", "box-identity.service", "box-settings.service"),
    *("box-certificate.service", "box-screen.timer"),
    *("systemd-networkd.service", "systemd-resolved.service", "ssh.service"),
)
_MASKED: Final = (
    # A box whose cable is out comes up all the same.
    "systemd-networkd-wait-online.service",
    # NFS 4 needs neither of them, and they listen.
    *("rpcbind.service", "rpcbind.socket", "nfs-blkmap.service"),
    # Snapshots of a volume manager that is not there.
    *("e2scrub_all.timer", "e2scrub_reap.service"),
)
# Where the data partition is shown, and what of it is there before the first boot.
_DATA: Final = {
    "appliance": "var/lib/appliance",
    "appliance/models": "var/lib/appliance/models",
    "srv": "srv",
    f"srv/{screen.SHARE}": f"srv/{screen.SHARE}",
}
_PACK: Final = ("zstd", "-q", "-T0", "-f")


class NotMade(Exception):
    """No image was made, and why."""


@dataclass(frozen=True, slots=True)
class Made:
    """What lies in the folder that was asked for."""

    image: Path  # packed
    packages: Path
    sums: Path


def main(words: Sequence[str] | None = None) -> int:
    """Make an image and print its path; 1 where none was made."""
    parser = argparse.ArgumentParser(prog="image.build", description=__doc__.split("\n")[0])
    version = appliance.__version__
    parser.add_argument("--bundle", type=Path, default=f"dist/appliance-{version}.tar")
    parser.add_argument("--key", type=Path, required=True, help="the key of ssh that signed it")
    parser.add_argument("--out", type=Path, default=debian.TOP / "dist")
    asked = parser.parse_args(words)
    try:
        made = build(asked.bundle.resolve(), asked.key, asked.out.resolve())
    except (NotMade, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"no image: {error}\n")
        return 1
    sys.stdout.write(f"{made.image}\n")
    return 0


def missing() -> str | None:
    """What is not there to make one; None where nothing is missing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    gone = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    return container.missing() or (f"there is no {gone[0]}: make programs" if gone else None)


def build(release: Path, key: Path, out: Path, *, effort: int = 12) -> Made:
    """Make an image of a bundle in the folder `out`; `effort` is how hard zstd tries.

    Raises NotMade, CalledProcessError, OSError.
    """
    if (why := missing()) is not None:
        raise NotMade(why)
    version = release.name.removeprefix("appliance-").removesuffix(".tar")
    debian.KEPT.mkdir(exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="image-", dir=debian.KEPT) as name:
        folder = Path(name)
        root, data = folder / "tree", folder / "data"
        with _said("Debian"):
            subprocess.run(
                ["cp", "-a", "--reflink=auto", debian.root("image", PACKAGES), root], check=True
            )
        with _said("the playbooks"):
            provisioned(root, folder, release, key)
        with _said("the disk"):
            part(root, data)
            clean.clean(root)
            if found := list(clean.left_over(root)):
                raise NotMade("what may be in no image is there:\n  " + "\n  ".join(found))
            for tree in (root, data):
                clean.settle_times(tree, epoch())
            if old := list(clean.outdated(root)):
                raise NotMade(f"{len(old)} modules would be compiled at each start, as {old[0]}")
            raw = folder / f"appliance-{version}.raw"
            disk.make(raw, root=root, data=data, version=version, epoch=epoch())
        with _said("packed"):
            return _put(raw, listed(root), out, key, effort)


def provisioned(root: Path, folder: Path, release: Path, key: Path) -> None:
    """Run the playbooks on a root, in a container, and put what an image has beyond them.

    The box runs there until it is well, as it would anywhere. Raises NotMade.
    """
    # A list of packages that is a day old is asked for anew, and there is nobody to ask.
    os.utime(root / "var/lib/apt/lists")
    signer = key.with_suffix(f"{key.suffix}.pub").read_text().strip()
    variables = {
        "appliance_bundle": str(release),
        "appliance_release_signers": [signer],
        "appliance_apt_update": False,
        # Strangers' files are decoded behind every wall or not at all.
        "appliance_settings": {"worker": {"require_isolation": True}},
        "appliance_shares": [{"name": screen.SHARE, "samba": [identity.DROPPER]}],
    }
    with container.started(folder, str(root), keep=True) as box:
        played = Controller(folder, {"image": box}, variables).play("site.yml")
        if played.status:
            raise NotMade(f"the playbooks do not end well:\n{played.text[-6000:]}")
        _do(box, "systemctl", "stop", "appliance.target", "appliance-*", "nginx", "smbd")
        put_files(root)
        _do(box, "systemd-sysusers")
        _do(box, "systemctl", "daemon-reload")
        _do(box, "systemctl", "mask", *_MASKED)
        _do(box, "systemctl", "enable", *_ENABLED)
        _do(box, "usermod", "--lock", "root")
        # Its table of disks lay behind an empty one; it says what mends the root.
        _do(box, "umount", "/etc/fstab")
        _do(box, "update-initramfs", "-u")
    (root / "data").mkdir(exist_ok=True)
    (root / "efi").mkdir(exist_ok=True)
    issues = root / "etc/issue.d"
    issues.mkdir(exist_ok=True)
    (issues / "appliance.issue").symlink_to(screen.SCREEN)


def put_files(root: Path) -> None:
    """Put the image's own files and its program, with the rights that they need, whatever they
    have in the checkout.
    """
    wanted = {str(file.relative_to(_FILES)): file for file in _FILES.rglob("*") if file.is_file()}
    wanted |= {f"{_PROGRAM}/{file.name}": file for file in _BOOT.glob("*.py")}
    for name, file in sorted(wanted.items()):
        target = root / name
        for folder in reversed(Path(name).parents):
            if not (root / folder).exists():
                (root / folder).mkdir()
                (root / folder).chmod(0o755)
        shutil.copyfile(file, target)
        target.chmod(0o755 if os.access(file, os.X_OK) else 0o644)


def _do(box: Container, *argv: str) -> None:
    done = box.run(*argv)
    if done.returncode:
        raise NotMade(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")


def part(root: Path, data: Path) -> None:
    """The folders with which the data partition begins: as the playbooks made them, and empty."""
    data.mkdir()
    for name, there in _DATA.items():
        had = (root / there).stat()
        (data / name).mkdir()
        os.chown(data / name, had.st_uid, had.st_gid)
        (data / name).chmod(had.st_mode & 0o7777)


def listed(root: Path) -> str:
    """Every package in a root: kind, name, version, architecture, a line each."""
    form = "deb\t${Package}\t${Version}\t${Architecture}\n"
    told = subprocess.run(
        ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", f"--showformat={form}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    inside = root.glob("opt/appliance/releases/*/lib/python3.*/site-packages/*.dist-info")
    names = sorted(path.name.removesuffix(".dist-info").rsplit("-", 1) for path in inside)
    return told.stdout + "".join(f"python\t{name}\t{version}\t\n" for name, version in names)


def epoch() -> int:
    """The hour that files of an image are of: that of the commit, or SOURCE_DATE_EPOCH."""
    if said := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(said)
    git = ["git", "-C", str(debian.TOP), "log", "-1", "--format=%ct"]
    told = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return int(told) if told else int(time.time())


def _put(raw: Path, packages: str, out: Path, key: Path, effort: int) -> Made:
    """Pack the disk and lay beside it what tells what it is."""
    made = Made(
        out / f"{raw.name}.zst", out / f"{raw.stem}.packages.txt", out / f"{raw.stem}.sha256"
    )
    half = out / f".{raw.name}.zst"
    subprocess.run([*_PACK, f"-{effort}", "-o", half, raw], check=True)
    half.replace(made.image)
    made.packages.write_text(packages)
    lines = []
    for file in (made.image, made.packages):
        with file.open("rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {file.name}\n")
    made.sums.write_text("".join(lines))
    signature = made.sums.with_name(f"{made.sums.name}.sig")
    signature.unlink(missing_ok=True)
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(made.sums)]
    subprocess.run(sign, check=True, capture_output=True)
    return made


@contextlib.contextmanager
def _said(what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    sys.stderr.write(f"{what}: {time.monotonic() - begun:.0f} s\n")


if __name__ == "__main__":
    sys.exit(main())
