"""What a channel signs or logs in with: read from a file or a systemd credential when it is used.

Never from the settings, the environment's other variables, or an argument of a command.

Not here: what is done with it (webhook, spoken).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Final

_LONGEST: Final = 4096  # bytes
_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"  # systemd.exec(5)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, or why it cannot be had. Its text is in no repr."""

    text: str = field(default="", repr=False)
    trouble: str | None = None


def read(where: str) -> Secret:
    """Read a secret: `where` is a file's path, or the name of a credential; "" is none."""
    if not where:
        return Secret()
    file = where if "/" in where else os.path.join(os.environ.get(_CREDENTIALS, ""), where)
    if not os.path.isabs(file):
        return Secret(trouble=f"there is no credential {where}: the unit must load it")
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as stream:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                return Secret(trouble=f"{file} is not a file")
            if mode & stat.S_IROTH:
                return Secret(trouble=f"{file} can be read by everybody: chmod 640")
            text = stream.read(_LONGEST).decode("utf-8").strip()
    except OSError as error:
        return Secret(trouble=f"{file} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return Secret(trouble=f"{file} is not text")
    if not text or "\n" in text:
        return Secret(trouble=f"{file} must hold one line")
    return Secret(text)
