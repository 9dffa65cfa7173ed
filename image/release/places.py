"""What of a release lies elsewhere on the box: units, accounts, folders, what the kernel is asked.

It is copied, not linked: a unit that is a link into a release would be gone for systemd in the
moment in which the release is. `/usr/local/lib` belongs to the release, `/etc` to the site.

Not here: when that happens (switch), nginx and the firewall (ansible/roles).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from typing import Final

PLACES: Final = (  # below share/appliance of the release; below the root of the box
    ("systemd", "usr/local/lib/systemd/system"),
    ("config/sysusers.d", "usr/local/lib/sysusers.d"),
    ("config/tmpfiles.d", "usr/local/lib/tmpfiles.d"),
    ("config/sysctl.d", "usr/local/lib/sysctl.d"),
    ("config/journald.conf.d", "usr/local/lib/systemd/journald.conf.d"),
)
_FOLDERS: Final = (
    *("systemd-tmpfiles", "--create", "--prefix=/var/lib/appliance"),
    *("--prefix=/run/appliance", "--prefix=/etc/appliance"),
)
# As Debian's own unit has it: a line of somebody else's that is wrong (EX_DATAERR, EX_CANTCREAT)
# is not ours to fail by, and it is read whatever the prefixes are.
_FOLDERS_FINE: Final = (0, 65, 73)
_SHARED: Final = "share/appliance"
_NOTE: Final = "opt/appliance/placed"  # what was put there, a path a line


def wanted(release: str) -> dict[str, str]:
    """Where each file of a release belongs, below the root of the box → the file."""
    found = {}
    for inside, target in PLACES:
        top = os.path.join(release, _SHARED, inside)
        for folder, _, names in os.walk(top):
            for name in names:
                file = os.path.join(folder, name)
                found[os.path.join(target, os.path.relpath(file, top))] = file
    return found


def units(release: str) -> list[str]:
    """The units of a release that run something, or wait to."""
    folder = os.path.join(release, _SHARED, "systemd")
    there = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(
        name
        for name in there
        if name.endswith((".service", ".socket", ".timer")) and "@" not in name
    )


def place(release: str, *, root: str = "/") -> bool:
    """Put each file of a release where it belongs, and take away what an earlier one had put.

    Says whether anything changed.
    """
    new = wanted(release)
    note = os.path.join(root, _NOTE)
    old = _lines(note)
    if not new.keys() <= old:  # what a power cut leaves half put is known to the next
        _write(note, _text(old | new.keys()))
    changed = [_put(file, os.path.join(root, target)) for target, file in sorted(new.items())]
    gone = [_remove(os.path.join(root, target)) for target in sorted(old - new.keys())]
    if old != new.keys():
        _write(note, _text(new.keys()))
    return any((*changed, *gone))


def take_effect() -> None:
    """Tell those whom it concerns. Raises CalledProcessError."""
    subprocess.run(("systemd-sysusers",), check=True, capture_output=True, text=True)
    folders = subprocess.run(_FOLDERS, check=False, capture_output=True, text=True)
    if folders.returncode not in _FOLDERS_FINE:
        folders.check_returncode()
    subprocess.run(("systemctl", "daemon-reload"), check=True, capture_output=True, text=True)
    # In a container the kernel is not ours to ask; what it refuses is in the journal at boot.
    subprocess.run(("/usr/lib/systemd/systemd-sysctl",), check=False, capture_output=True)


def _text(targets: Iterable[str]) -> bytes:
    return "".join(f"{target}\n" for target in sorted(targets)).encode()


def _lines(note: str) -> set[str]:
    try:
        with open(note, encoding="utf-8") as stream:
            return set(stream.read().splitlines())
    except FileNotFoundError:
        return set()


def _put(file: str, target: str) -> bool:
    with open(file, "rb") as stream:
        content = stream.read()
    try:
        with open(target, "rb") as stream:
            if stream.read() == content:
                return False
    except FileNotFoundError:
        pass
    _write(target, content)
    return True


def _write(target: str, content: bytes) -> None:
    """Whole or not at all."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    half = f"{target}.new"
    with open(half, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(half, 0o644)
    os.replace(half, target)


def _remove(target: str) -> bool:
    try:
        os.unlink(target)
    except FileNotFoundError:
        return False
    return True
