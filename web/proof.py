"""The proof that the pages answer: a request over our own door, for systemd's watchdog.

A thread of the process that answers asks as any reader would, through the socket, the
queue and a thread of the server. While no answer comes, systemd hears nothing.

Not here: what is answered (health), how it is served (serve).
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from typing import Final

_PATIENCE_SECONDS: Final = 10.0
_PER_WATCHDOG: Final = 3  # asked so often in the time that systemd waits


def answers(door: socket.socket) -> bool:
    """Tell whether an answer comes from behind a socket that we listen on."""
    connection = http.client.HTTPConnection("localhost", timeout=_PATIENCE_SECONDS)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.sock = socket.socket(door.family, socket.SOCK_STREAM)
        connection.sock.settimeout(_PATIENCE_SECONDS)
        connection.sock.connect(door.getsockname())
        connection.request("GET", "/healthz")
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    return False


def prove(door: socket.socket, seconds: float, progressed: Callable[[str], None]) -> None:
    """Begin to ask, a few times in `seconds`, and say so for every answer. Returns at once."""
    pause = seconds / _PER_WATCHDOG
    never = threading.Event()

    def ask() -> None:
        while not never.wait(pause):
            if answers(door):
                progressed("answers")

    threading.Thread(target=ask, name="proof", daemon=True).start()
