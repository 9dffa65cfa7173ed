"""Shares that lie on a file server → units with which systemd brings them into the tree.

In: the settings. Out: for each share with a `source` a .mount and an .automount, as text; where its
folder is while nothing is mounted there: empty, root's, and not to be written by anybody
(FS_IMMUTABLE_FL, as chattr(1) has it), so that what is meant for the server never fills the box.

No mount outlives a start of the appliance, whatever changed since: the settings, a password or
our own options. So nobody has to find out which of them did. Units of shares that left the
settings stay until nothing is mounted there any more, or a start that is cut off would leave
mounts that no later one knows of.

Passwords are not seen here: mount.cifs reads them itself, from a file that is root's alone.

Not here: whether a share is well (watch), which file system lies there (watch.mounts).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator
from typing import Final

from appliance.settings import Settings, Share

SECRETS: Final = "/etc/appliance/credentials/shares"
FOLDER: Final = "/run/systemd/system"  # gone with the next start: made anew by then
TARGET: Final = "appliance-shares.target"  # starts them all
AWAY: Final = "appliance-shares-away.target"  # stops what is not to stay as it is
_MARK: Final = "# Made by `appliance share mount` from the settings.\n"
_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x8008_6601, 0x4008_6602, 0x10  # linux/fs.h
_CLOSED: Final = 0o555
_READABLE: Final = 0o644  # they hold no secret, and systemd complains of any that hides
_PLAIN: Final = re.compile(rb"[A-Za-z0-9:_.]")
# A server that is away answers with an error within seconds instead of never (mount.cifs(8),
# nfs(5)); what comes from it is no program and no device.
_FOR_ALL: Final = ("soft", "nosuid", "nodev", "noexec", "_netdev")
_SMB: Final = ("vers=3.1.1", "echo_interval=5", "uid=appliance", "gid=appliance",
               "file_mode=0660", "dir_mode=0770")  # fmt: skip
_NFS: Final = ("vers=4", "timeo=50", "retrans=2")


def units(settings: Settings) -> dict[str, str]:
    """The name of each unit → its text."""
    made = {}
    for share in settings.share:
        if share.source is not None:
            name = escaped(share.root)
            made[f"{name}.mount"] = _mount(share, share.source)
            made[f"{name}.automount"] = _automount(share)
    return made


def write(settings: Settings, folder: str = FOLDER) -> tuple[list[str], list[str]]:
    """Write the units into `folder`, and which of those that are there have to stop first.

    Which .automount units there are now, and which units are of shares that are gone: `tidy`
    removes them. Raises OSError.
    """
    wanted = units(settings)
    there = [name for name in sorted(wanted) if name.endswith(".automount")]
    os.makedirs(folder, exist_ok=True)
    before = [name for name in sorted(os.listdir(folder)) if _ours(folder, name)]
    gone = [name for name in before if name not in wanted]
    away = " ".join(name for name in before if name.endswith(".mount") or name in gone)
    for name, text in wanted.items():
        _put(os.path.join(folder, name), text)
    # After: what conflicts is stopped before the target is there, and who starts it waits.
    _tell(folder, AWAY, "conflicts.conf", f"Conflicts={away}\nAfter={away}\n")
    _tell(folder, TARGET, "wants.conf", f"Wants={' '.join(there)}\n")
    return there, gone


def tidy(
    settings: Settings, folder: str = FOLDER, *, is_mounted: Callable[[str], bool]
) -> Iterator[str]:
    """Remove what is left of shares that are gone; says what could not be. Raises OSError.

    Where something is mounted still, everything stays for the next start.
    """
    wanted, roots = units(settings), {share.root for share in settings.share}
    for name in sorted(os.listdir(folder)):
        if name in wanted or not name.endswith(".mount") or not _ours(folder, name):
            continue
        root = _where(os.path.join(folder, name))
        if is_mounted(root):
            yield f"{root} is mounted still: the next start of the appliance tries again"
            continue
        try:
            give_back(root, keep=root in roots)
        except OSError as error:
            yield f"{root} stays: {os.strerror(error.errno or 0)}"
        # The mount last: it says where.
        for one in (f"{name.removesuffix('.mount')}.automount", name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, one))


def prepare(root: str, *, is_mounted: bool) -> bool:
    """Make the folder that a share is mounted on, and close it while nothing is.

    Says whether the file system holds to that. Raises OSError.
    """
    if is_mounted:
        return True
    os.makedirs(root, mode=0o755, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        flags = struct.unpack("l", _flags(descriptor))[0]
        if flags & _IMMUTABLE:
            return True
        os.fchmod(descriptor, _CLOSED)
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags | _IMMUTABLE))
    except OSError:
        return False  # no such flag there, or not ours to set: the mode alone has to do
    finally:
        os.close(descriptor)
    return True


def give_back(root: str, *, keep: bool) -> None:
    """Open the folder that a share was mounted on; remove it unless `keep`. Raises OSError."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        with contextlib.suppress(OSError):  # no such flag there
            flags = struct.unpack("l", _flags(descriptor))[0]
            if flags & _IMMUTABLE:
                fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags & ~_IMMUTABLE))
        if stat.S_IMODE(os.fstat(descriptor).st_mode) == _CLOSED:
            os.fchmod(descriptor, 0o755)
    finally:
        os.close(descriptor)
    if not keep:
        os.rmdir(root)


def escaped(path: str) -> str:
    """What systemd calls a path (systemd.unit(5), «string escaping»)."""
    parts = [part for part in os.fsencode(path).split(b"/") if part]
    text = b"/".join(parts)
    found = [
        "-" if one == b"/" else one.decode() if _is_plain(one, first=n == 0) else rf"\x{one[0]:02x}"
        for n, one in enumerate(text[i : i + 1] for i in range(len(text)))
    ]
    return "".join(found) or "-"


def _is_plain(one: bytes, *, first: bool) -> bool:
    return bool(_PLAIN.fullmatch(one)) and not (first and one == b".")


def _mount(share: Share, source: str) -> str:
    is_smb = source.startswith("//")
    kind = "cifs" if is_smb else "nfs4"
    options = [*(_SMB if is_smb else _NFS), *_FOR_ALL]
    if is_smb:
        options.append(f"credentials={SECRETS}/{share.name}")
        if share.seal:
            options.append("seal")
    return (
        f"{_MARK}[Unit]\nDescription=Transcription appliance: the share {share.name}\n"
        "Wants=network-online.target\nAfter=network-online.target\n"
        # Else five failures in ten seconds end the automount, and nobody mounts it ever again.
        "StartLimitIntervalSec=0\n"
        f"[Mount]\nWhat={_plain(source)}\nWhere={_plain(share.root)}\nType={kind}\n"
        f"Options={','.join(options)}\nTimeoutSec=30s\n"
        # One open file, in any unit's own view of the tree, would else keep it where it is.
        "LazyUnmount=yes\n"
    )


def _automount(share: Share) -> str:
    """It is mounted when somebody looks, and again when the server is back; never put away."""
    return (
        f"{_MARK}[Unit]\nDescription=Transcription appliance: where the share {share.name} comes\n"
        f"[Automount]\nWhere={_plain(share.root)}\nTimeoutIdleSec=0\n"
    )


def _plain(text: str) -> str:
    """A value in which systemd sees nothing but itself."""
    return text.replace("%", "%%")


def _where(file: str) -> str:
    """Where a unit of ours mounts."""
    with open(file, encoding="utf-8", errors="surrogateescape") as stream:
        (line,) = (line for line in stream if line.startswith("Where="))
    return line.removeprefix("Where=").rstrip("\n").replace("%%", "%")


def _tell(folder: str, target: str, name: str, lines: str) -> None:
    os.makedirs(os.path.join(folder, f"{target}.d"), exist_ok=True)
    _put(os.path.join(folder, f"{target}.d", name), f"[Unit]\n{lines}")


def _put(path: str, text: str) -> None:
    """Whole or not at all: systemd may read at any moment."""
    with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
    os.chmod(f"{path}.new", _READABLE)
    os.replace(f"{path}.new", path)


def _ours(folder: str, name: str) -> bool:
    if not name.endswith((".mount", ".automount")):
        return False
    file = os.path.join(folder, name)
    with (
        contextlib.suppress(OSError),
        open(file, encoding="utf-8", errors="surrogateescape") as stream,
    ):
        return stream.readline() == _MARK
    return False


def _flags(descriptor: int) -> bytes:
    return bytes(fcntl.ioctl(descriptor, _GET_FLAGS, b"\0" * struct.calcsize("l")))
