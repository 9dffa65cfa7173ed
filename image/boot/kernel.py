"""A kernel that apt has brought → the boot partition, where the firmware finds it.

In: /boot, as Debian's packages leave it. Out: the newest kernel and its initrd beside the loader.
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
_KINDS: Final = {"vmlinuz": "vmlinuz", "initrd.img": "initrd"}


def place(boot: str = "/boot", esp: str = "/efi") -> list[str]:
    """Put the newest there, where it is another; what was put. Raises OSError."""
    version = newest(boot)
    if version is None or not os.path.ismount(esp):
        return []
    put = []
    for kind, name in _KINDS.items():
        with open(os.path.join(boot, f"{kind}-{version}"), "rb") as stream:
            content = stream.read()
        target = os.path.join(esp, SLOT, name)
        if _content(target) != content:
            # FAT forgets what was half written; the one before is replaced in one step.
            asked.write(target, content)
            put.append(f"{kind}-{version}")
    return put


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
