"""Whether the box is well: every part runs and keeps running, and the page says that it can work.

Not here: what happens when it is not (switch).
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

TARGET: Final = "appliance.target"
DOOR: Final = "/run/appliance/web.sock"
_ANSWER_SECONDS: Final = 5.0
_STEADY_SECONDS: Final = 6.0  # longer than the pause before a part that crashed begins again
_CRASHES: Final = 2  # of one part while we look: it will not get better
_PAUSE_SECONDS: Final = 0.5
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Part:
    """A unit of the target, as systemd sees it."""

    name: str
    state: str  # systemd's ActiveState
    crashes: int  # times it was begun again by itself

    @property
    def is_lost(self) -> bool:
        """It will not come up by itself."""
        return self.state == "failed" or self.crashes >= _CRASHES


def parts() -> list[Part]:
    """Everything that the target wants."""
    names = sorted(_shown(TARGET, "Wants").get("Wants", "").split())
    return [_part(name) for name in names if name.startswith("appliance-")]


def is_coming() -> bool:
    """Tell whether systemd has the target before it, as on the way up."""
    return bool(_shown(TARGET, "Job").get("Job"))


def answer(path: str, door: str = DOOR) -> int:
    """The status with which the page answers, 0 for none."""
    connection = http.client.HTTPConnection("localhost", timeout=_ANSWER_SECONDS)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(_ANSWER_SECONDS)
        connection.sock.connect(door)
        connection.request("GET", path)
        return connection.getresponse().status
    return 0


def is_ready() -> bool:
    """The page says that a recording could run now."""
    return answer("/readyz") == _OK


def wait(
    patience: float,
    *,
    ready: bool,
    look: Callable[[], list[Part]] = parts,
    ask: Callable[[str], int] = answer,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Wait until the box is well and stays so; what is wrong where it does not get so.

    `ready`: it must be able to take work, too. A box whose file server is away cannot, whatever
    release it runs. Ends sooner than after `patience` seconds where a part is lost for good.
    """
    until = clock() + patience
    first: dict[str, int] = {}
    well_since: float | None = None
    while True:
        found = [_since(one, first) for one in look()]
        lost = next((one for one in found if one.is_lost), None)
        if lost is not None:
            return f"{lost.name} {lost.state}, begun again {lost.crashes} times"
        wrong = _wrong(found, ask, ready=ready)
        now = clock()
        if wrong is None:
            well_since = now if well_since is None else well_since
            if now - well_since >= _STEADY_SECONDS:
                return None
        else:
            well_since = None
        if now > until and (wrong is not None or now > until + _STEADY_SECONDS):
            return wrong or "it does not stay well"
        sleep(_PAUSE_SECONDS)


def _wrong(found: list[Part], ask: Callable[[str], int], *, ready: bool) -> str | None:
    if not found:
        return "there is nothing that runs"
    down = next((one for one in found if one.state != "active"), None)
    if down is not None:
        return f"{down.name} is {down.state}"
    path = "/readyz" if ready else "/healthz"
    status = ask(path)
    return None if status == _OK else f"the page says {status or 'nothing'} to {path}"


def _since(part: Part, first: dict[str, int]) -> Part:
    """The part with what it crashed since we look.

    systemd counts since somebody started it, and an engine that was idle ends by design.
    """
    # Whoever starts it meanwhile begins the count anew.
    first[part.name] = min(part.crashes, first.get(part.name, part.crashes))
    return replace(part, crashes=part.crashes - first[part.name])


def _part(name: str) -> Part:
    shown = _shown(name, "ActiveState", "NRestarts")
    return Part(name, shown.get("ActiveState", "unknown"), int(shown.get("NRestarts") or 0))


def _shown(unit: str, *keys: str) -> dict[str, str]:
    argv = ["systemctl", "show", unit, *(f"--property={key}" for key in keys)]
    told = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
