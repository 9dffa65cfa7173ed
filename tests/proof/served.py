"""The pages of a box with a full ledger, served by the real server on loopback.

Everybody who asks has a session of their own; there are several of a kind, because the box
counts how often one person asks. Whatever was started here is ended here.

Not here: what is in the ledger (crowded), what is asked (pages, crowd, sending).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from appliance.nouns import UPLOADS
from appliance.rights import Right, Role
from appliance.store.ledger import Ledger
from tests import signed_in
from tests.bench import machine
from tests.proof import Figure, crowded
from tests.web.box import Box, Door, settings_of
from tests.web.serving import ended, free_port, start, toml_of, until_open

TIMEOUT: Final = 120.0  # seconds; nobody waits longer for an answer


@dataclass(frozen=True, slots=True)
class Served:
    """A box, its server, and a place for who asks."""

    box: Box
    process: subprocess.Popen[bytes]
    address: str

    @property
    def ledger(self) -> Ledger:
        return self.box.ledger

    @property
    def worker(self) -> int:
        """The process that answers."""
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        (pid,) = told.split()
        return int(pid)

    def peak_mb(self) -> float:
        """The most memory that process ever had."""
        lines = Path(f"/proc/{self.worker}/status").read_text().splitlines()
        (line,) = [one for one in lines if one.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """What it has used of the processors until now."""
        times = psutil.Process(self.worker).cpu_times()
        return float(times.user + times.system)

    def person(self, name: str, role: Role = Role.ADMIN, share: str | None = None) -> httpx.Client:
        """Somebody who is signed in; but for an admin, with a grant on one share."""
        grants = None if share is None else {share: role}
        return self._client(signed_in.cookie(self.ledger, name, role, grants))

    def program(self) -> httpx.Client:
        """A program that may send, and sees what it sent."""
        return self._client(signed_in.key(self.ledger, Right.SUBMIT, Right.READ, shares=[UPLOADS]))

    def _client(self, headers: dict[str, str]) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers=headers, timeout=TIMEOUT)


@contextlib.contextmanager
def served(jobs: int) -> Iterator[Served]:
    """Make such a box, serve it, and clear it away."""
    with tempfile.TemporaryDirectory(prefix="pages-") as folder, contextlib.ExitStack() as kept:
        named = [{"name": one, "root": os.path.join(folder, one)} for one in crowded.SHARES]
        box = Box.made(settings_of(folder, share=named))
        kept.callback(box.ledger.close)
        if jobs:
            crowded.fill(box.ledger, jobs)
        kept.callback(Door(box.settings).close)
        port = free_port()
        process = start(toml_of(box.settings, Path(folder), f"127.0.0.1:{port}"))
        kept.callback(ended, process)
        until_open(socket.AF_INET, ("127.0.0.1", port), patience=TIMEOUT)
        yield Served(box, process, f"http://127.0.0.1:{port}")


def on() -> Figure:
    """On what, and who asked: seconds mean nothing without it."""
    names = ("processor", "cores", "memory", "kernel", "python", "appliance", "load before")
    told = machine.describe()
    where = ", ".join(f"{name} {told[name]}" for name in names)
    return Figure("on", f"{where}; asked by httpx over loopback, same machine", "none", met=True)
