"""Somebody who copies recordings onto a share of an SMB server, in every way people do.

    python -m tests.faults.smb_client PORT VERB SOURCE NAME [SECONDS]

    put     in pieces, with a stall of SECONDS in the middle
    sized   the same, but the size is set first, as Windows' Explorer does
    rename  under another name, renamed when it is whole
    half    the first half, then this process kills itself, connection and all
    hollow  the same, with the size set first

A process of its own, for a client must be able to die. smbprotocol speaks the protocol.

Not here: the server (samba), what must come of it (shares).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import smbclient
from smbclient._io import SMBFileTransaction, set_info
from smbprotocol.file_info import FileEndOfFileInformation

USER: Final = "root"
PASSWORD: Final = "a loopback server's"  # noqa: S105 - of a server that lives for a test
_PIECES: Final = 8


class Copy:
    """One recording on its way to a server on this machine."""

    def __init__(self, port: int, source: str) -> None:
        self._facts: dict[str, Any] = {
            "port": port,
            "username": USER,
            "password": PASSWORD,
        }
        with open(source, "rb") as stream:
            self._content = stream.read()

    def write(
        self, name: str, *, sized: bool = False, stall: float = 0.0, half: bool = False
    ) -> None:
        """Copy in pieces; `half`: die in the middle, without a word to the server."""
        length = -(-len(self._content) // _PIECES)
        with smbclient.open_file(_at(name), mode="wb", buffering=0, **self._facts) as file:
            if sized:
                self._set_size(file)
            for number in range(_PIECES):
                if number == _PIECES // 2:
                    if half:
                        os.kill(os.getpid(), signal.SIGKILL)
                    time.sleep(stall)
                file.write(self._content[number * length : (number + 1) * length])

    def _set_size(self, file: Any) -> None:
        size = FileEndOfFileInformation()
        size["end_of_file"] = len(self._content)
        with SMBFileTransaction(file) as transaction:
            set_info(transaction, size)

    def rename(self, name: str, *, stall: float) -> None:
        """Copy under a name that is no recording's, then give it its own."""
        aside = f"{name}.filepart"
        self.write(aside, stall=stall)
        smbclient.rename(_at(aside), _at(name), **self._facts)


def _at(name: str) -> str:
    return rf"\\127.0.0.1\drop\{name}"


VERBS: Final[Mapping[str, Callable[[Copy, str, float], None]]] = {
    "put": lambda copy, name, stall: copy.write(name, stall=stall),
    "sized": lambda copy, name, stall: copy.write(name, sized=True, stall=stall),
    "rename": lambda copy, name, stall: copy.rename(name, stall=stall),
    "half": lambda copy, name, _: copy.write(name, half=True),
    "hollow": lambda copy, name, _: copy.write(name, sized=True, half=True),
}

if __name__ == "__main__":
    port, verb, source, name, seconds = [*sys.argv[1:], "0"][:5]
    VERBS[verb](Copy(int(port), source), name, float(seconds))
