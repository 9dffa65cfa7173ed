"""A kernel that apt has brought → the boot partition, where the firmware finds it.

In: /boot, as Debian's packages leave it. Out: the newest kernel and its initrd beside the loader,
under the names of their version, and the loader's entry that names both: one small file, replaced
when they are there. A power cut leaves the pair before or the new one, never half of each: a
kernel finds no disk with the modules of another.
Run by Debian's own hooks, after a kernel or an initrd was made.

Not here: the first ones, which the image brings (image.disk).
"""

from __future__ import annotations

import glob
import os
import re
from typing import Final

from . import asked

SLOT: Final = "a"
ENTRY: Final = f"loader/entries/appliance-{SLOT}.conf"
_KINDS: Final = {"vmlinuz": "vmlinuz", "initrd.img": "initrd"}
_NAMED: Final = re.compile(r"^(linux|initrd) .*$", re.MULTILINE)


def place(boot: str = "/boot", esp: str = "/efi") -> list[str]:
    """Put the newest there, where it is another; what was put. Raises OSError."""
    version = newest(boot)
    if version is None or not os.path.ismount(esp):
        return []
    return put(version, boot, esp)


def put(version: str, boot: str, esp: str) -> list[str]:
    """Put these two on the boot partition, then have them started, then take away others."""
    done = []
    for kind, name in names(version).items():
        content = _content(os.path.join(boot, f"{kind}-{version}"))
        target = os.path.join(esp, name)
        if _content(target) != content:
            # FAT forgets what was half written; the one before is replaced in one step.
            asked.write(target, content)
            done.append(f"{kind}-{version}")
    entry = os.path.join(esp, ENTRY)
    before = _content(entry).decode()
    if (text := told(before, version)) != before:
        asked.write(entry, text)
    for path in glob.glob(os.path.join(esp, SLOT, "*")):
        if os.path.relpath(path, esp) not in names(version).values():
            os.unlink(path)
    return done


def names(version: str) -> dict[str, str]:
    """What Debian calls the files of a kernel in /boot → where they lie on the boot partition."""
    return {kind: f"{SLOT}/{name}-{version}" for kind, name in _KINDS.items()}


def told(entry: str, version: str) -> str:
    """An entry of the loader, naming the files of this kernel."""
    linux, initrd = names(version).values()
    new = {"linux": f"linux /{linux}", "initrd": f"initrd /{initrd}"}
    return _NAMED.sub(lambda line: new[line[1]], entry)


def newest(boot: str = "/boot") -> str | None:
    """The newest kernel that has an initrd."""
    found = [path.partition("/vmlinuz-")[2] for path in glob.glob(os.path.join(boot, "vmlinuz-*"))]
    whole = [one for one in found if os.path.exists(os.path.join(boot, f"initrd.img-{one}"))]
    return max(whole, key=_order, default=None)


def _order(version: str) -> list[tuple[int, str]]:
    """By numbers, not by letters: 6.1.0-9 comes before 6.1.0-10."""
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)
    ]


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return b""
