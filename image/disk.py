"""Two trees of files → a disk: a table of partitions, a loader that UEFI finds, file systems.

    1 appliance-esp     FAT: the loader, kernel and initrd, and what an administrator puts there
    2 appliance-root-a  the system
      room              as much again, for a second root slot
    4 appliance-data    ledger, models, shares; last, so that it can grow to the end of any disk

In: what shall lie in the root and in the data partition, as folders. Out: one file, sparse. No
loop device, nothing is mounted. Ids are the same in every image: a box is not known by any of them.

Not here: the trees (build), the first boot (boot).
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from image.boot import kernel

MIB: Final = 1 << 20
_OURS: Final = uuid.UUID("3f6f9d1e-6f0c-5d2b-9a53-8a6b1c0e7d42")
_LOADER: Final = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"  # of Debian's systemd-boot-efi
_LABEL: Final = "APPLIANCE"  # what other machines call the boot partition


@dataclass(frozen=True, slots=True)
class Partition:
    """A row of the table."""

    number: int
    name: str
    kind: str  # as sfdisk calls it
    mib: int

    @property
    def id(self) -> str:
        """The same in every image."""
        return str(uuid.uuid5(_OURS, self.name))


ESP: Final = Partition(1, "appliance-esp", "U", 512)
ROOT: Final = Partition(2, "appliance-root-a", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", 6144)
ROOM: Final = Partition(3, "appliance-root-b", ROOT.kind, ROOT.mib)  # nothing is there yet
DATA: Final = Partition(4, "appliance-data", "linux", 1024)
LAYOUT: Final = (ESP, ROOT, ROOM, DATA)
_KERNEL: Final = (
    # What the kernel misses of hardware would be written over what people are to read.
    f"root=PARTLABEL={ROOT.name} rw quiet loglevel=3 "
    # Nobody stands beside it: it mends its disk without asking, and starts again after a panic.
    "fsck.repair=yes panic=30 "
    # What is mounted stands in fstab, not in types of partitions.
    "systemd.gpt_auto=0 "
    # A serial line where there is one; the screen has the last word, since people look at that.
    "console=ttyS0,115200 console=tty0"
)
_LOADER_CONF: Final = "timeout 1\neditor no\n"
_ENTRY: Final = (
    "title Transcription appliance\nversion {version}\nsort-key appliance\n"
    "linux -\ninitrd -\noptions {kernel}\n"  # the two are named by image.boot.kernel
)
_READ_ME: Final = """\
The boot partition of a transcription appliance. Leave EFI, loader and a as they are.

Two files of yours may lie here; the box takes each of them once, when it starts:

  appliance.toml    settings: models, profiles, shares of file servers, channels
  authorized_keys   public keys of ssh, a line each: who may come in as root

What was taken is called appliance.toml.taken afterwards. What was wrong stays, with
appliance.toml.ERROR.txt beside it, which says why; the box then goes on with what it had.
Nothing secret belongs here: whoever holds the disk reads it.
"""


def offset(of: Partition) -> int:
    """Where a partition begins, in MiB."""
    return 1 + sum(one.mib for one in LAYOUT[: LAYOUT.index(of)])


def make(image: Path, *, root: Path, data: Path, version: str, epoch: int) -> None:
    """Make the disk `image` of two trees. Raises CalledProcessError."""
    with open(image, "xb") as stream:
        stream.truncate((offset(DATA) + DATA.mib + 1) * MIB)  # the table's copy lies at the end
    _run("sfdisk", "--quiet", str(image), told=table(), epoch=epoch)
    _boot_partition(image, root, version, epoch)
    # Reserved for root alone: 5 % of a large disk would be an archive's worth.
    _ext4(image, ROOT, root, epoch, "-m", "2")
    # A small file system that becomes a large one: a large one's blocks, inodes and journal.
    _ext4(image, DATA, data, epoch, "-m", "1", "-b", "4096", "-i", "16384", "-J", "size=64")


def table() -> str:
    """The table of partitions, as sfdisk reads it."""
    rows = [
        f"{one.number} : start={offset(one)}MiB, size={one.mib}MiB, type={one.kind}, "
        f"uuid={one.id}, name={one.name}"
        for one in LAYOUT
        if one is not ROOM
    ]
    return "\n".join(("label: gpt", f"label-id: {uuid.uuid5(_OURS, 'disk')}", *rows, ""))


def _boot_partition(image: Path, root: Path, version: str, epoch: int) -> None:
    fat = image.with_suffix(".esp")
    label = ("-F", "32", "-n", _LABEL, "-i", uuid.uuid5(_OURS, _LABEL).hex[:8], "--invariant")
    _run("mkfs.vfat", *label, "-C", str(fat), str(ESP.mib * 1024), epoch=epoch)
    newest = kernel.newest(str(root / "boot"))
    if newest is None:
        raise FileNotFoundError("there is no kernel in the tree")
    loader = (root / _LOADER).read_bytes()
    entry = kernel.told(_ENTRY.format(version=version, kernel=_KERNEL), newest)
    content = {
        "EFI/BOOT/BOOTX64.EFI": loader,  # where firmware looks that knows nothing of this disk
        "EFI/systemd/systemd-bootx64.efi": loader,
        "loader/loader.conf": _LOADER_CONF.encode(),
        kernel.ENTRY: entry.encode(),
        **{
            name: (root / f"boot/{kind}-{newest}").read_bytes()
            for kind, name in kernel.names(newest).items()
        },
        "README.txt": _READ_ME.replace("\n", "\r\n").encode(),
    }
    _run("mmd", "-i", str(fat), *(f"::/{folder}" for folder in _folders(content)), epoch=epoch)
    for path, data in content.items():
        _run("mcopy", "-i", str(fat), "-", f"::/{path}", told=data, epoch=epoch)
    _lay(fat, image, offset(ESP) * MIB)
    fat.unlink()


def _lay(file: Path, image: Path, at: int) -> None:
    """Put a file into the image at its place; what is empty stays a hole."""
    with open(file, "rb") as source, open(image, "r+b") as target:
        while block := source.read(MIB):
            if block.strip(b"\0"):
                target.seek(at)
                target.write(block)
            at += len(block)


def _folders(paths: dict[str, bytes]) -> Iterator[str]:
    """Every folder above these, the upper ones first."""
    found = {os.path.dirname(path) for path in paths} - {""}
    yield from sorted(found | {os.path.dirname(path) for path in found} - {""})


def _ext4(image: Path, of: Partition, tree: Path, epoch: int, *more: str) -> None:
    start = f"nodiscard,offset={offset(of) * MIB},hash_seed={of.id}"
    what = ("-q", "-F", "-t", "ext4", "-L", of.name, "-U", of.id, *more)
    _run("mke2fs", *what, "-E", start, "-d", str(tree), str(image), f"{of.mib}M", epoch=epoch)


def _run(*argv: str, epoch: int, told: str | bytes = b"") -> None:
    environment = {
        **os.environ,
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "SOURCE_DATE_EPOCH": str(epoch),
        "E2FSPROGS_FAKE_TIME": str(epoch),
        "TZ": "UTC",
    }
    given = told.encode() if isinstance(told, str) else told
    subprocess.run(argv, input=given, env=environment, check=True, stdout=subprocess.DEVNULL)
