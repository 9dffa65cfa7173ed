"""What a channel must not show: its address and its secret, in a file each beside the ledger.

An address may hold a token in its path. Neither is in the ledger, so no backup holds one: a box
that went back to a backup on another disk asks for them again. The files are for our own
accounts: the pages write them, the messenger reads them.

Not here: who may set one (choices.channels), reading it to send (notify.secret).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Collection
from typing import Final

from appliance.errors import on_the_box
from appliance.settings import Settings

FOLDER: Final = "secrets"
ADDRESS: Final = "address"
SECRET: Final = "secret"  # noqa: S105 - the end of a file's name
_MODE: Final = 0o640  # our group reads it


def new() -> str:
    """A name for the files of one channel, as it is said once."""
    return secrets.token_hex(16)


def place(files: Settings, name: str, what: str) -> str:
    """Where one of them lies."""
    return files.state(FOLDER, f"{name}.{what}")


def keep(files: Settings, name: str, what: str, text: str) -> None:
    """Write one, whole or not at all. Raises node.*."""
    folder = files.state(FOLDER)
    with on_the_box(folder):
        os.makedirs(folder, mode=0o750, exist_ok=True)
        fd = os.open(place(files, name, what), os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with open(fd, "w", encoding="utf-8") as stream:
            stream.write(f"{text}\n")
            stream.flush()
            os.fsync(fd)
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(there)
        finally:
            os.close(there)


def read(files: Settings, name: str, what: str) -> str | None:
    """What it says; None: it is not there, or not ours to read."""
    try:
        with open(place(files, name, what), encoding="utf-8") as stream:
            return stream.read().rstrip("\n")
    except (OSError, UnicodeDecodeError):
        return None


def forget(files: Settings, but: Collection[str]) -> None:
    """Remove those that no channel names any more; under the ledger's lock."""
    folder = files.state(FOLDER)
    if not os.path.isdir(folder):
        return
    for file in os.listdir(folder):
        if file.partition(".")[0] not in but:
            with contextlib.suppress(OSError):  # it goes with the next change
                os.remove(os.path.join(folder, file))
