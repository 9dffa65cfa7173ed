"""The appliance on a laptop: every process in one terminal, restarted when it dies.

What systemd does on the box, in the foreground: a prefix per process, restart with
back-off, TERM, then 55 seconds, then KILL.

Not here: what the processes do; which ones there are is `PROCESSES` and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Final, Self

from appliance.alarm import EVERY_SECONDS

STOP_SECONDS: Final = 55.0
_BACKOFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_SECONDS: Final = 60.0  # a process that lived this long starts again without delay
_LONGEST_LINE: Final = 65_536  # bytes
_FIRST_TICK_SECONDS: Final = 30.0  # after the start: first of all the box is to be up
_SETTINGS_WRONG: Final = 78  # restarting does not help

Say = Callable[[str, str], None]


def dying_with_us(argv: list[str]) -> list[str]:
    """The command that runs `argv` and has the kernel kill it when the thread that starts it dies.

    Whoever is killed with -9 leaves nobody behind who goes on with its work and its model.
    Every step of the line can be cut short (design: kill -9 at any moment), so KILL will do.
    `setpriv` is a part of util-linux; where there is none, what we start outlives us.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *argv] if setpriv else argv


class Process:
    """One process of the appliance, started again and again."""

    def __init__(
        self,
        name: str,
        argv: list[str],
        environment: Mapping[str, str],
        *,
        every: float | None = None,
    ) -> None:
        """`every` so many seconds it is run and ends by itself, as a timer's would."""
        self.name = name
        self.every = every
        self._argv = argv
        self._environment = dict(environment)
        self._deaths = 0
        self._begun = 0.0
        self._again_at = 0.0 if every is None else time.monotonic() + _FIRST_TICK_SECONDS
        self._rest = b""  # a line that has not ended yet
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> IO[bytes]:
        """Start it and hand out what it prints."""
        self._begun = time.monotonic()
        self.popen = subprocess.Popen(
            dying_with_us(self._argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self._environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C is for the supervisor alone
        )
        if self.popen.stdout is None:
            raise RuntimeError("no pipe")
        return self.popen.stdout

    def lines(self, piece: bytes) -> list[str]:
        """The lines that `piece` ends of what it prints; nothing more is to come after b""."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if self._rest and (not piece or len(self._rest) > _LONGEST_LINE):
            whole.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace") for line in whole]

    def died(self) -> float:
        """Note a death and say in how many seconds it may start again."""
        if self.every is not None:
            self._again_at = self._begun + self.every
            return self.every
        steady = time.monotonic() - self._begun > _STEADY_SECONDS
        self._deaths = 0 if steady else self._deaths + 1
        pause = _BACKOFF_SECONDS[min(self._deaths, len(_BACKOFF_SECONDS) - 1)]
        self._again_at = time.monotonic() + pause
        return pause

    @property
    def is_stuck(self) -> bool:
        """Still at what should long be over: a folder of another machine that hangs."""
        running = self.popen is not None and self.every is not None
        return running and time.monotonic() - self._begun > (self.every or 0.0) / 2

    @property
    def is_due(self) -> bool:
        """Dead, and rested."""
        return self.popen is None and time.monotonic() >= self._again_at


class Supervisor:
    """Runs a set of processes until told to stop."""

    def __init__(self, processes: list[Process], say: Say) -> None:
        """`say(name, line)` gets every line any of them prints."""
        self._processes = processes
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self.exit_code = 0

    def stop(self) -> None:
        """Ask `run` to end; safe from a signal's way or another thread."""
        self._stop.set()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.run, name="supervisor")
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
        self._thread.join()

    def run(self) -> int:
        """Keep everything running until stopped; 0, or 78 where the settings are wrong."""
        while not self._stop.is_set():
            for process in self._processes:
                if process.is_due:
                    self._selector.register(process.start(), selectors.EVENT_READ, process)
            self._listen(0.2)
            for process in self._processes:
                self._reap(process)
        self._end_all()
        return self.exit_code

    def _listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            piece = os.read(key.fd, _LONGEST_LINE)
            for line in key.data.lines(piece):
                self._say(key.data.name, line)
            if not piece:
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]

    def _reap(self, process: Process) -> None:
        if process.popen is None or process.popen.poll() is None:
            if process.popen is not None and process.is_stuck:
                os.killpg(process.popen.pid, signal.SIGKILL)
            return
        code = process.popen.returncode
        process.popen = None
        if code == _SETTINGS_WRONG:
            self.exit_code = code
            self._stop.set()
        elif not self._stop.is_set():
            pause = process.died()
            if code or process.every is None:
                self._say(process.name, f"ended ({code}); again in {pause:g} s")

    def _end_all(self) -> None:
        """TERM, patience, KILL; what they still print is shown."""
        until = time.monotonic() + STOP_SECONDS
        self._signal(signal.SIGTERM)
        while any(p.popen for p in self._processes) and time.monotonic() < until:
            self._listen(0.1)
            for process in self._processes:
                self._reap(process)
        self._signal(signal.SIGKILL)
        for process in self._processes:
            if process.popen is not None:
                process.popen.wait()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            if process.popen is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.popen.pid, number)


PROCESSES: Final = ("engine", "worker", "watch", "web")
# Verb and seconds; systemd has units for them.
TIMERS: Final[Mapping[str, float]] = {"backup": 3_600.0, "retention": 86_400.0}


def appliance(settings_file: str | None, environment: Mapping[str, str]) -> list[Process]:
    """Every process of the appliance, as `appliance up` runs them."""
    flags = ["--settings", settings_file] if settings_file else []
    command = [sys.executable, "-P", "-m", "appliance", *flags]
    processes = [Process(name, [*command, name], environment) for name in PROCESSES]
    looking = [*command, "check", "--every", f"{EVERY_SECONDS:g}"]
    processes.append(Process("check", looking, environment))
    processes.append(Process("notify", [*command, "notify"], environment))
    for verb, every in TIMERS.items():
        processes.append(Process(verb, [*command, verb], environment, every=every))
    return processes
