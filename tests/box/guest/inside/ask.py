"""Ask the pages of the box, one after the other, and write down how long each took.

    python -m tests.box.guest.inside.ask KEY OUT        until it is ended

A line of JSON for each question: when it was asked, what, the answer's status, the seconds, and
of /readyz what it says of the shares. Each comes over a connection of its own, as from nginx.

Not here: what may come of it (shares).
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from typing import Final

DOOR: Final = "/run/appliance/web.sock"
PAGES: Final = ("/", "/jobs", "/shares", "/jobs/1")
READY: Final = "/readyz"  # after each of them: it says when a share is down
_PAUSE_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 120.0


class Door(http.client.HTTPConnection):
    """A connection to the page's socket."""

    def connect(self) -> None:
        """Over the path, whatever the name says."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE_SECONDS)
        self.sock.connect(DOOR)


def ask(path: str, key: str) -> tuple[int, bytes]:
    """The status and the body of one answer."""
    door = Door("localhost")  # a name that every box answers to
    try:
        door.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        answer = door.getresponse()
        return answer.status, answer.read()
    finally:
        door.close()


def main(arguments: list[str]) -> None:
    """Ask until the end."""
    key, out = arguments
    with open(out, "a", encoding="utf-8") as told:
        while True:
            for page in PAGES:
                for path in (page, READY):
                    told.write(json.dumps(_asked(path, key)) + "\n")
                    told.flush()
                    time.sleep(_PAUSE_SECONDS)


def _asked(path: str, key: str) -> dict[str, object]:
    began = time.monotonic()
    try:
        status, body = ask(path, key)
    except OSError as error:
        status, body = 0, str(error).encode()
    row: dict[str, object] = {"at": began, "path": path, "status": status}
    row["seconds"] = time.monotonic() - began
    if path == READY:
        row["share"] = json.loads(body).get("checks", {}).get("share", {}) if status else {}
    return row


if __name__ == "__main__":
    main(sys.argv[1:])
