"""A root in which everything has run → one that belongs to no box yet, and proof that it does.

In: the root, after the playbooks. Out: nothing in it that two boxes must not share or that tells of
the machine that made it: keys, ids, certificates, passwords, the ledger, logs, caches. What a box
needs of that it makes at its first boot (boot.identity). `left_over` looks for itself: a list of
what to remove forgets what comes with the next package.

Not here: what the data partition begins with (build).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from image.boot import identity

# Below the root; what a name with stars finds. Folders are emptied and stay.
_EMPTIED: Final = (
    *("tmp", "var/tmp", "run", "var/lib/appliance", "srv", "etc/appliance/tls"),
    *("etc/appliance/credentials/notify", "etc/appliance/credentials/shares"),
    *("var/lib/samba/private", "var/cache/samba", "var/lib/apt/lists", "var/cache/apt"),
    *("var/lib/systemd/timesync", "var/lib/nginx"),
)
_REMOVED: Final = (
    *("etc/ssh/ssh_host_*", "etc/*-", "etc/.pwd.lock"),
    *("root/.ssh", "root/.ansible", "root/.cache", "root/.bash_history"),
    *("etc/appliance/credentials/drop-share", "etc/apt/apt.conf.d/99mmdebstrap"),
    *("var/lib/samba/*.tdb", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret"),
    *("var/lib/dbus/machine-id", "var/log/journal/*", "opt/appliance/lock"),
    *("opt/appliance/incoming.tar", "var/cache/ldconfig/aux-cache"),
)
_KEY: Final = re.compile(rb"^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----", re.MULTILINE)
_SMALL: Final = 16_384  # bytes: a key is smaller, and a program that knows of keys is larger
# Where nothing may lie in an image.
_EMPTY: Final = ("var/lib/appliance", "srv", "etc/appliance/tls", "var/lib/samba/private")
_HOSTS: Final = f"127.0.0.1 localhost\n127.0.1.1 {identity.NAMELESS}\n::1 localhost\n"


def clean(root: Path) -> None:
    """Remove what no two boxes may share."""
    for name in _EMPTIED:
        _empty(root / name)
    for pattern in _REMOVED:
        for path in root.glob(pattern):
            _remove(path)
    for path in sorted(root.glob("var/log/**/*")):
        if path.is_file() and not path.is_symlink():
            path.unlink()  # services make them anew, and folders are theirs to write to
    # Empty, not missing: a machine that has none asks for time zone and password at its console.
    (root / "etc/machine-id").write_text("")
    (root / "var/lib/dbus/machine-id").symlink_to("/etc/machine-id")
    (root / "etc/hostname").write_text(f"{identity.NAMELESS}\n")
    (root / "etc/hosts").write_text(_HOSTS)
    _remove(root / "etc/resolv.conf")
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")


def left_over(root: Path) -> Iterator[str]:
    """What is in a root that may be in no image, a sentence each; none: it is clean."""
    if (root / "etc/machine-id").read_text():
        yield "etc/machine-id says which machine this is"
    for name in _EMPTY:
        yield from (f"{name} holds {one.name}" for one in sorted((root / name).iterdir()))
    for path in root.glob("var/lib/samba/**/*.tdb"):
        yield f"{path.relative_to(root)} holds accounts or the id of a server"
    for line in (root / "etc/shadow").read_text().splitlines():
        name, word = line.split(":")[:2]
        if not word.startswith(("!", "*")):
            yield f"etc/shadow lets {name} in with a password"
    for path in _files(root):
        if path.name in ("authorized_keys", "credential.secret", "random-seed"):
            yield f"{path.relative_to(root)} is there"
        elif 0 < path.stat().st_size <= _SMALL and _KEY.search(path.read_bytes()):
            yield f"{path.relative_to(root)} is a private key"


def settle_times(root: Path, epoch: int) -> None:
    """No file is younger than what it was made of: the hour of the making tells nobody anything."""
    for path in _all(root):
        hour = min(int(os.lstat(path).st_mtime), epoch)
        os.utime(path, (hour, hour), follow_symlinks=False)


def outdated(root: Path) -> Iterator[str]:
    """The compiled modules that Python would not take, since their source is of another hour.

    Each start would compile them anew, and only root could keep that: in an emulated machine half
    of a boot went into it. PEP 552: a zero after the magic number says that size and hour count.
    """
    for path in root.glob("**/__pycache__/*.pyc"):
        source = path.parent.parent / f"{path.name.split('.')[0]}.py"
        with path.open("rb") as stream:
            head = stream.read(12)
        # A link leads out of this root, to the same name on the machine that makes the image.
        if head[4:8] == bytes(4) and source.exists() and not source.is_symlink():
            hour = int(source.stat().st_mtime) & 0xFFFF_FFFF
            if head[8:12] != hour.to_bytes(4, "little"):
                yield str(path.relative_to(root))


def _empty(folder: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def _all(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root, topdown=False):
        yield from (os.path.join(folder, name) for name in (*names, *folders))


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path
