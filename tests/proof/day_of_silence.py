"""A day of silence as FLAC: seventeen megabytes that bare decoders turn into gigabytes.

Refused where the folder takes twelve hours, done with warning.no-speech where it takes
twenty-five; the decode child stays small either way. Its peak is read from VmHWM while it
lives: what wait4 tells is never below what its parent held when it was started.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from appliance.states import State
from tests.line.running import Running
from tests.media import files, sounds
from tests.proof import Figure

MOST_MB = 300


class Peaks:
    """Watches every decode child of this machine and keeps the highest peak, in MB."""

    def __init__(self) -> None:
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                self.most = max(self.most, _peak_of_decoder(pid))


def _peak_of_decoder(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            if b"appliance.decode" not in stream.read():
                return 0
        with open(f"/proc/{pid}/status", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) // 1024
    except OSError:
        pass  # it has ended
    return 0


def run(*, hours: int = 24) -> list[Figure]:
    """Make the day once, and drop it into a folder with each limit."""
    with tempfile.TemporaryDirectory() as folder:
        day = files.long_flac(Path(folder) / "day.flac", sounds.silence(1), hours * 3600)
        size = day.stat().st_size / 1e6
        size_figure = Figure(f"{hours} h of silence", f"{size:.1f} MB", "-", met=True)
        return [size_figure, *_with_limit(day, hours / 2), *_with_limit(day, hours + 1)]


def _with_limit(day: Path, hours: float) -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Running(folder, more_settings=f"max_hours = {hours}\n") as box,
        Peaks() as peaks,
    ):
        job = box.ended(box.drop(str(day), "day.flac"), seconds=1800)
    if hours < 24 and job.duration is None:
        good = (job.state, job.code) == (State.FAILED, "source.too-long")
        yield Figure(f"max {hours:g} h", f"{job.state} {job.code}", "source.too-long", good)
    else:
        codes = [notice.code for notice in job.warnings]
        good = job.state is State.DONE and "warning.no-speech" in codes
        yield Figure(f"max {hours:g} h", f"{job.state} {codes}", "done, no-speech", good)
    yield Figure(f"decode child, max {hours:g} h", f"{peaks.most} MB", "<= 300", _fits(peaks.most))


def _fits(most: int) -> bool:
    return 0 < most <= MOST_MB
