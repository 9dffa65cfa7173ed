"""The pages as a real process, before a box that a test fills.

Not here: any test.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from appliance.settings import Settings
from tests import browsing, signed_in
from tests.web.box import Box

TOP = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


@dataclass
class Served:
    """A box whose pages are served by the real process."""

    box: Box
    address: str
    process: subprocess.Popen[bytes]


def toml_of(settings: Settings, folder: Path, listen: str) -> str:
    """Settings as a file."""
    lines = [f"[node]\nstate_dir = {json.dumps(settings.state_dir)}\n"]
    lines += [f"[web]\nlisten = {json.dumps(listen)}\n"]
    lines += [f'[[share]]\nname = "{one.name}"\nroot = "{one.root}"\n' for one in settings.share]
    file = folder / "appliance.toml"
    file.write_text("".join(lines), encoding="utf-8")
    return str(file)


def start(file: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "appliance", "--settings", file, "web"]
    return subprocess.Popen(command, cwd=TOP, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> str:
    """End it in good order; what it printed."""
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=20)
    return printed.decode()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until_open(family: socket.AddressFamily, address: object, *, patience: float = 30.0) -> None:
    """Wait until somebody listens there; `patience` in seconds."""
    until = time.monotonic() + patience
    while True:
        with socket.socket(family) as sock:
            if sock.connect_ex(address) == 0:  # type: ignore[arg-type]  # of either family
                return
        assert time.monotonic() < until, "the pages never answered"
        time.sleep(0.1)


def opened(served: Served, browser: Browser, **how: Any) -> Page:
    """A page of a browser in which an admin is signed in."""
    cookie = signed_in.cookie(served.box.ledger)
    return browsing.signed_page(browser, served.address, cookie, **how)
