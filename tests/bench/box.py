"""The appliance as a whole at work for the bench: files are dropped, and what they cost is told.

In: recordings, and an engine: a fake GPU of some speed, or the real one with a model on the
processor. Out: times from the logs of the attempts, CPU and memory from the kernel. Every run
has a box of its own, or a recording heard before would only be found again.

Not here: the peers, and what is compared.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psutil

from appliance import logbook, pulse
from appliance.states import ENDED, State
from appliance.store import partials
from appliance.store.jobs import Job
from tests.line.running import Running

_LOOK_SECONDS: Final = 0.01  # between two looks at a job: the first text is timed so
_LOOK_AT_MANY_SECONDS: Final = 0.25  # at many jobs, or looking would cost as much as they do
_PATIENCE: Final = 3_600.0
_WARM_SECONDS: Final = 60.0
_IDLE: Final = 0.1  # seconds of CPU in a second: below, everything has started
_PULSE_SECONDS: Final = 1.3  # until the engine has surely said how it stands


@dataclass(frozen=True, slots=True)
class Engine:
    """Which engine the box has."""

    gpu: float | None = None  # a fake one, of this speed
    model: str = "selftest"
    model_dir: str = ""
    language: str | None = "en"
    shorten: bool = False

    @property
    def settings(self) -> str:
        """The part of the settings that says so; it follows on the share's."""
        told = f"language = '{self.language}'\n" if self.language else ""
        return (
            "quiet_seconds = 1.0\n"
            f"[engine]\nshorten = {str(self.shorten).lower()}\nmodel_dir = '{self.model_dir}'\n"
            f"device = '{'auto' if self.gpu else 'cpu'}'\n"
            f"[profile.default]\nmodel = '{self.model}'\nformats = ['txt', 'srt', 'json']\n{told}"
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """One job's times, in seconds of the clock, and what its log says."""

    name: str
    queued: float  # when the file had settled and the job was made
    claimed: float
    ended: float
    first: float | None  # when the first words could be read
    stages: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def wall(self) -> float:
        """From the claim to the last export."""
        return self.ended - self.claimed


@dataclass(frozen=True, slots=True)
class Took:
    """What dropping some files at once has taken."""

    jobs: Sequence[Ran]
    dropped: float  # when the last of them lay there
    cpu: float  # seconds, of every process of the box, from the drop to the end
    engine_cpu: float
    engine_rss: tuple[int, int]  # bytes: before, and at most
    status: dict[str, Any]  # the engine's own, at the end

    @property
    def wall(self) -> float:
        """From the first claim to the last export."""
        return max(job.ended for job in self.jobs) - min(job.claimed for job in self.jobs)

    @property
    def windows(self) -> int:
        """Windows that were made of the recordings."""
        return sum(int(job.facts["sound_windows"]) for job in self.jobs)

    @property
    def decoder_rss(self) -> int:
        """Bytes of the largest decode child."""
        return max(int(job.facts["decoder_rss_peak"]) for job in self.jobs)


class Box:
    """A running appliance whose engine is warm."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.firsts: dict[int, float] = {}
        self._engine = _named("engine")

    def drop(self, files: Sequence[str], *, name: str = "") -> list[bytes]:
        """Put files into the share, under their own names or `name` and a number."""
        return [
            self.running.drop(
                file, f"{name}{number}-{os.path.basename(file)}" if name else os.path.basename(file)
            )
            for number, file in enumerate(files)
        ]

    def wait(self, paths: Sequence[bytes], each: Callable[[], object] = lambda: None) -> list[Ran]:
        """Wait until every job has ended, calling `each` meanwhile; what they took."""
        until = time.monotonic() + _PATIENCE
        pause = _LOOK_SECONDS if len(paths) == 1 else _LOOK_AT_MANY_SECONDS
        left = set(paths)
        while left:
            if time.monotonic() > until:
                raise SystemExit("\n".join(["a job never ends", *self.running.printed[-40:]]))
            for path in list(left):
                job = self.running.job(path)
                self._look_at(job)
                if job is not None and job.state in ENDED:
                    left.discard(path)
            each()
            time.sleep(pause)
        return [self.ran(path) for path in paths]

    def _look_at(self, job: Job | None) -> None:
        """Note when a job has its first words."""
        running = job is not None and job.state is State.RUNNING and job.id not in self.firsts
        if job is not None and running and partials.since(self.running.ledger, job.id, 0, limit=1):
            self.firsts[job.id] = time.time()

    def ran(self, path: bytes) -> Ran:
        """What an ended job took; it must have gone well, at once."""
        job = self.running.job(path)
        if job is None or job.state is not State.DONE or job.attempt != 1:
            last = "\n".join(self.running.printed[-40:])
            raise SystemExit(f"{path!r}: {job and (job.state, job.code, job.detail)}\n{last}")
        lines = self._log(job)
        at = {line["event"]: _time(line["at"]) for line in lines}
        told = logbook.summary(lines)
        return Ran(
            name=os.fsdecode(path),
            queued=job.created_ms / 1000,
            claimed=at["claimed"],
            ended=at["ended"],
            first=self.firsts.get(job.id),
            stages={name: seconds or 0.0 for name, seconds in told.stages},
            facts=dict(told.facts),
        )

    def _log(self, job: Job) -> list[logbook.Line]:
        """The log of its attempt, as soon as it ends: a moment after the job."""
        logs = self.running.settings.state("logs")
        self.running.until(
            lambda: (logbook.read(logs, job.id, job.attempt) or [{}])[-1].get("event") == "ended",
            "its log ended",
        )
        return logbook.read(logs, job.id, job.attempt) or []

    def take(self, files: Sequence[str]) -> Took:
        """Drop files, wait for all of them, and say what it took."""
        cpu, engine_cpu, rss = _cpu_of_all(), _cpu(self._engine), self._engine.memory_info().rss
        paths = self.drop(files)
        dropped = time.time()
        jobs = self.wait(paths)
        cpu, engine_cpu = _cpu_of_all() - cpu, _cpu(self._engine) - engine_cpu
        time.sleep(_PULSE_SECONDS)
        return Took(jobs, dropped, cpu, engine_cpu, (rss, peak(self._engine.pid)), self.status())

    def status(self) -> dict[str, Any]:
        """What the engine says of itself."""
        return pulse.read(self.running.settings.run_dir)


@contextlib.contextmanager
def box(engine: Engine) -> Iterator[Box]:
    """Lend a box with this engine, once that is warm and every process is up.

    A peer's start and the loading of its model are not counted either.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _instead(engine.gpu):
        running = Running(folder, more_settings=engine.settings)
        with running:
            until = time.monotonic() + _WARM_SECONDS
            while not pulse.read(running.settings.run_dir).get("models"):
                if time.monotonic() > until:
                    raise SystemExit("\n".join(["no engine", *running.printed[-40:]]))
                time.sleep(0.1)
            _until_idle(until)
            yield Box(running)


def _until_idle(until: float) -> None:
    used = _cpu_of_all()
    while time.monotonic() < until:
        time.sleep(1.0)
        before, used = used, _cpu_of_all()
        if used - before < _IDLE:
            return


def take(engine: Engine, files: Sequence[str]) -> Took:
    """One run with a box of its own."""
    with box(engine) as one:
        return one.take(files)


@contextlib.contextmanager
def _instead(gpu: float | None) -> Iterator[None]:
    """Have the box start the fake GPU in the place of its engine."""
    name = "APPLIANCE_ENGINE_CMD"
    if gpu is None:
        yield
        return
    os.environ[name] = f"{sys.executable} -m tests.engines.fake_gpu {gpu}"
    try:
        yield
    finally:
        del os.environ[name]


# --- the kernel's figures -----------------------------------------------------------------------


def _time(at: str) -> float:
    return dt.datetime.fromisoformat(at).timestamp()


def _named(what: str) -> psutil.Process:
    """The process of the box that is its engine."""
    for process in psutil.Process().children(recursive=True):
        words = " ".join(process.cmdline())
        if "appliance.engine" in words or "tests.engines.fake_gpu" in words:
            return process
    raise SystemExit(f"no process is the {what}")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _cpu_of_all() -> float:
    """Seconds of CPU of everything we have started, the dead included."""
    used = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            used += _cpu(process)
    return used


def peak(pid: int) -> int:
    """Bytes of memory a process held at most."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
