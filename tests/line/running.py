"""A whole appliance on a temporary folder: real processes, a real share, a real ledger.

Not here: any test.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import time
import uuid
from collections.abc import Callable
from typing import Self

from appliance import supervise
from appliance.settings import Settings, load
from appliance.states import ENDED
from appliance.store import jobs, schema
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.watch import adopt

SAMPLES = os.path.join(os.path.dirname(supervise.__file__), "selftest", "samples")
FORMATS = ("docx", "json", "md", "srt", "txt", "vtt")


class Running:
    """Engine, worker, watch and web over one share named `inbox`. Use it as a context manager."""

    def __init__(self, folder: str, *, more_settings: str = "") -> None:
        self.root = os.path.join(folder, "inbox")
        self.file = os.path.join(folder, "appliance.toml")
        os.makedirs(self.root, exist_ok=True)
        with open(self.file, "w", encoding="utf-8") as stream:
            stream.write(
                f"[node]\nstate_dir = '{folder}/state'\n[[share]]\nname = 'inbox'\n"
                f"root = '{self.root}'\nexisting = 'process'\n{more_settings}"
            )
        self.settings: Settings = load(self.file)
        schema.prepare(self.settings.state_dir)
        self.ledger = Ledger(self.settings.state_dir)
        adopt(self.ledger, self.settings.share[0], existing="process")
        self.printed: list[str] = []
        self.page = os.path.join(folder, "web.sock")
        self._processes = supervise.appliance(self.file, {"APPLIANCE_WEB_LISTEN": self.page})
        self._supervisor = supervise.Supervisor(
            self._processes, lambda name, line: self.printed.append(f"{name} {line}")
        )

    def __enter__(self) -> Self:
        self._supervisor.__enter__()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._supervisor.__exit__()
        self.ledger.close()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill a process of the appliance, and what it started; the supervisor starts it again."""
        process = next(one for one in self._processes if one.name == name)
        if process.popen is not None:
            os.killpg(process.popen.pid, number)

    def path(self, *parts: str) -> str:
        """A path in the share."""
        return os.path.join(self.root, *parts)

    def drop(self, source: str, *parts: str) -> bytes:
        """Copy a file into the share as a person would; the path below the root comes back."""
        target = self.path(*parts)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        return os.fsencode(os.path.relpath(target, self.root))

    def drop_unheard(self, source: str, *parts: str) -> bytes:
        """Drop a WAV file of the same sound whose bytes no recording had before.

        A recording whose bytes the box has heard is not heard again: what an earlier test dropped
        would let this one see neither engine nor decoder.
        """
        target = self.path(*parts)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(source, "rb") as stream:
            wav = stream.read()
        wav += struct.pack("<4sI16s", b"junk", 16, uuid.uuid4().bytes)
        with open(target, "wb") as stream:
            stream.write(wav[:4] + struct.pack("<I", len(wav) - 8) + wav[8:])
        return os.fsencode(os.path.relpath(target, self.root))

    def job(self, path: bytes) -> Job | None:
        """The newest job of a path."""
        return next(jobs.at(self.ledger, "inbox", path), None)

    def until(self, is_so: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
        """Wait until something is so; fail with what the processes printed when it never is."""
        until = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > until:
                stand = [f"{one.id} {one.state} {one.code} {one.detail}" for one in self._jobs()]
                raise AssertionError("\n".join([f"never: {what}", *stand, *self.printed[-40:]]))
            time.sleep(0.05)

    def _jobs(self) -> list[Job]:
        return jobs.listing(self.ledger, limit=20)

    def ended(self, path: bytes, *, seconds: float = 60.0) -> Job:
        """Wait until the newest job of a path has ended."""
        self.until(
            lambda: (job := self.job(path)) is not None and job.state in ENDED,
            f"{path!r} ended",
            seconds=seconds,
        )
        job = self.job(path)
        assert job is not None
        return job

    def names(self, *parts: str) -> list[str]:
        """What lies in a folder of the share."""
        return sorted(os.listdir(self.path(*parts)))
