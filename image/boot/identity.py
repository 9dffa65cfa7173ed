"""What makes a box this box and no other: made at its first boot, never part of an image.

In: what a box that was never started has. Out: a name on the network, keys by which ssh knows it
again, a password for its drop share. Each is made where it is missing and then stays.

Not here: the certificate of the page (certificate), machine-id (systemd makes it).
"""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
import socket
from typing import Final

from . import asked

DROPPER: Final = "office"  # who drops recordings into the share of the box
DROP_PASSWORD: Final = "/etc/appliance/credentials/drop-share"  # noqa: S105 - where it lies
_KEYS: Final = "/etc/ssh/ssh_host_*_key"
NAMELESS: Final = "appliance"
# Without letters and digits that look alike.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def settle() -> list[str]:
    """Make what is missing; what was made, in words. Raises OSError."""
    made = []
    if asked.read("/etc/hostname") == NAMELESS:
        made.append(f"its name is {_name()}")
    if not all(map(os.path.getsize, keys := glob.glob(_KEYS))) or not keys:
        # It makes those that are missing, and those that a power cut left empty.
        if asked.run("ssh-keygen", "-A").returncode:
            raise OSError("ssh-keygen made no keys")
        os.sync()  # it does not do that itself
        made.append("it has keys of ssh")
    if f"{DROPPER}:" not in asked.run("pdbedit", "--list").stdout:
        _drop_share()
        made.append(f"{DROPPER} has a password for the drop share")
    return made


def _name() -> str:
    """A name that no other box of the network has; the id itself is nobody else's to know."""
    own = hashlib.sha256(f"appliance {asked.read('/etc/machine-id')}".encode()).hexdigest()[:4]
    name = f"{NAMELESS}-{own}"
    asked.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
    asked.write("/etc/hostname", f"{name}\n")
    socket.sethostname(name)
    return name


def _drop_share() -> None:
    """A password for people of the office: the screen shows it until there is an admin."""
    word = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
    os.makedirs(os.path.dirname(DROP_PASSWORD), mode=0o700, exist_ok=True)
    asked.write(DROP_PASSWORD, f"{word}\n", mode=0o600)
    done = asked.run("smbpasswd", "-a", "-s", DROPPER, told=f"{word}\n{word}\n")
    if done.returncode:
        raise OSError(f"smbpasswd: {done.stderr.strip()}")
