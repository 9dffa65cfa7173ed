"""Hit one system call of one scenario: kill the process there, or let the call fail.

strace does it (`inject=…:when=N`), attached to a process that is ready to begin. First a
run that nobody hits is written down call by call; every call that changes something or
locks something in the box's own folder is a `Point`. Then one run for each: a fresh copy
of the box, the strike, and a clean run that does what a restarted box would do.

Not here: which points are hit and what is counted (points, errors).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

from tests.faults import Missing, steps, verdict
from tests.faults.box import SHARE
from tests.faults.recordings import Dropped

CALLS: Final = (
    *("openat", "openat2", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "link", "linkat"),
    *("rename", "renameat", "renameat2", "write", "pwrite64", "ftruncate", "fsync", "fdatasync"),
    *("fchmod", "fchown", "flock", "fcntl"),
)
TOGETHER: Final = 2  # runs at a time
PATIENCE_SECONDS: Final = 120.0
_LINE: Final = re.compile(r"^(\d+) +(\w+)\((.*)$")


@dataclass(frozen=True, slots=True)
class Point:
    """One call of a scenario, the n-th of its name in one thread."""

    scenario: str
    call: str
    n: int
    what: str  # what it was about, as strace tells it

    def __str__(self) -> str:
        return f"{self.scenario}: {self.call} #{self.n} ({self.what})"


@dataclass(frozen=True, slots=True)
class Struck:
    """What came of one strike."""

    point: Point
    hit: tuple[str, ...]  # what the calls that were hit were really about
    died: bool  # the process itself, not only a child of it
    ended: Mapping[str, str]  # how it says it ended, when it lived to say it
    intended: frozenset[bytes]  # exports that lay there whole while the ledger had no word of it
    adopted: frozenset[bytes]  # of those, the ones that were left as they lay
    codes: frozenset[str]  # of every step of every job
    violations: tuple[str, ...]


class Runner:
    """A process that runs scenarios, a fork for each."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.steps"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, scenario: str, where: str, strace: Sequence[str], *, broken: str = "") -> int:
        """Run one under strace (no arguments: without it); returns how it exited.

        `broken` names a control, a key of `steps.BROKEN`.
        """
        request = {"scenario": scenario, "where": where, "broken": broken}
        pid = int(self._asked(request))
        with _traced(pid, strace):
            with open(os.path.join(where, "go"), "w", encoding="ascii"):
                pass
            status = int(self._answer())
        os.unlink(os.path.join(where, "go"))
        return status

    def _asked(self, request: Mapping[str, str]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def _traced(pid: int, strace: Sequence[str]) -> Iterator[None]:
    if not strace:
        yield
        return
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", *strace, "-p", str(pid)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while not _is_traced(pid):
            if tracer.poll() is not None or time.monotonic() > until:
                told = tracer.stderr.read() if tracer.stderr and tracer.poll() is not None else b""
                raise Missing(f"strace cannot attach here: {told.decode('utf-8', 'replace')}")
            time.sleep(0.002)
        yield
        tracer.wait(timeout=PATIENCE_SECONDS)
    finally:
        tracer.kill()
        tracer.communicate()


def _is_traced(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as stream:
            return "TracerPid:\t0\n" not in stream.read()
    except FileNotFoundError:
        return True  # it has ended meanwhile


# --- one box, many strikes ----------------------------------------------------------------------


class Range:
    """A prepared box for every scenario, an engine for all, and runners. A context manager."""

    def __init__(self, where: str) -> None:
        if shutil.which("strace") is None:
            raise Missing("needs strace: apt-get install strace")
        self._where = where
        self._engine = os.path.join(where, "engine.sock")
        self._models: dict[str, list[Dropped]] = {}
        self._numbers = itertools.count(1)  # asked by several threads
        self._open = contextlib.ExitStack()
        self._runners: queue.Queue[Runner] = queue.Queue()

    def __enter__(self) -> Self:
        marks = os.path.join(self._where, "marks")
        os.makedirs(marks)
        engine = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.engine", marks, self._engine]
        )
        self._open.callback(engine.wait)
        self._open.callback(engine.kill)
        while not os.path.exists(self._engine):
            time.sleep(0.01)
        for _ in range(TOGETHER):
            self._runners.put(self._open.enter_context(Runner()))
        for scenario in steps.SCENARIOS:
            self._models[scenario] = steps.prepare(scenario, self._model(scenario), self._engine)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    def _model(self, scenario: str) -> str:
        return os.path.join(self._where, f"model-{scenario}")

    @contextlib.contextmanager
    def _box(self, scenario: str) -> Iterator[tuple[str, Runner]]:
        """Lend a fresh copy of a scenario's box, and somebody to run it."""
        runner = self._runners.get()
        where = os.path.join(self._where, f"{scenario}-{next(self._numbers)}")
        try:
            steps.copy(self._model(scenario), where)
            yield where, runner
        finally:
            shutil.rmtree(where)
            self._runners.put(runner)

    def codes(self, scenario: str) -> frozenset[str]:
        """The named errors of a run that nobody hits."""
        with self._box(scenario) as (where, runner):
            runner.run(scenario, where, ())
            runner.run("finish", where, ())
            return _codes(where)

    def points(self) -> list[Point]:
        """Every call of every scenario that changes or locks something of the box."""
        return [point for scenario in self._models for point in self._points(scenario)]

    def _points(self, scenario: str) -> list[Point]:
        with self._box(scenario) as (where, runner):
            log = os.path.join(self._where, "calls")
            told = ["-y", "-s", "256", "-e", f"trace={','.join(CALLS)}", "-o", log]
            runner.run(scenario, where, told)
            with open(log, encoding="utf-8", errors="replace") as stream:
                return list(_points_of(scenario, stream, where))

    def strike(self, point: Point, how: str, *, broken: str = "") -> Struck:
        """Hit one point (`how`: "signal=SIGKILL", "error=EIO"), finish, and judge.

        "error=EIO:lasting" fails every later call of that name as well.
        """
        with self._box(point.scenario) as (where, runner):
            when = f"{point.n}+" if how.endswith(":lasting") else f"{point.n}"
            inject = f"inject={point.call}:{how.removesuffix(':lasting')}:when={when}"
            log = f"{where}.calls"
            told = ["-y", "-s", "256", "-o", log, "-e", f"trace={point.call}", "-e", inject]
            status = runner.run(point.scenario, where, told, broken=broken)
            ended = _ended(where)
            intended = unsaid(where)
            runner.run("finish", where, (), broken=broken)
            after = _ended(where)
            adopted = frozenset(path for path in intended if intended[path] == _look(where, path))
            violations = [] if after["ended"] == "well" else [f"hurt: finishing: {after}"]
            violations += self._judge(point.scenario, where)
            return Struck(
                point,
                _hit(log, where),
                status < 0,
                ended,
                frozenset(intended),
                adopted,
                _codes(where),
                tuple(f"{point}, {how}: {violation}" for violation in violations),
            )

    def _judge(self, scenario: str, where: str) -> list[str]:
        settings = steps.settings_in(where)
        root = os.path.join(where, SHARE)
        return verdict.judge(settings.state_dir, {SHARE: root}, self._models[scenario])

    def each(self, strikes: Sequence[Callable[[], Struck]]) -> list[Struck]:
        """Do many strikes, a few at a time."""
        with ThreadPoolExecutor(TOGETHER) as pool:
            return list(pool.map(lambda strike: strike(), strikes))


def _points_of(scenario: str, log: Iterator[str], where: str) -> Iterator[Point]:
    """The calls in strace's log that are about the box; the same of two threads only once."""
    count: Counter[tuple[str, str]] = Counter()
    seen: set[tuple[str, int]] = set()
    for line in log:
        found = _LINE.match(line)
        if found is None:
            continue
        thread, call, arguments = found.groups()
        count[thread, call] += 1
        n = count[thread, call]
        if f"{where}/" in arguments and (call, n) not in seen and _changes(call, arguments):
            seen.add((call, n))
            yield Point(scenario, call, n, _short(arguments, where))


def _hit(log: str, where: str) -> tuple[str, ...]:
    """What the calls were about that strace made fail; threads may reach a number in any order."""
    with open(log, encoding="utf-8", errors="replace") as stream:
        lines = [line for line in stream if "(INJECTED)" in line]
    os.unlink(log)
    return tuple(_short(line, where) for line in lines)


def _changes(call: str, arguments: str) -> bool:
    return not call.startswith("openat") or "O_CREAT" in arguments


def _short(arguments: str, where: str) -> str:
    paths = re.findall(rf"{re.escape(where)}[^\">\\]*|\"[^\"/]{{1,60}}\"", arguments)
    return " ".join(dict.fromkeys(path.removeprefix(where) for path in paths))[:80]


def _ended(where: str) -> Mapping[str, str]:
    file = os.path.join(where, "ended.json")
    try:
        with open(file, encoding="utf-8") as stream:
            told: dict[str, str] = json.load(stream)
    except (FileNotFoundError, ValueError):
        return {"ended": "silently"}
    os.unlink(file)
    return told


def some(
    points: Sequence[Point], weights: Sequence[float], count: int, chance: random.Random
) -> list[Point]:
    """Draw points without putting any back (Efraimidis and Spirakis, 2006)."""
    keys = [chance.random() ** (1 / weight) for weight in weights]
    drawn = sorted(zip(keys, points, strict=True), key=lambda one: -one[0])
    return [point for _, point in drawn[:count]]


# --- between the rename and the commit ----------------------------------------------------------


def unsaid(where: str) -> dict[bytes, tuple[int, str]]:
    """Exports that lie in their place while the ledger still only means to put them there."""
    found = {}
    for path, sha256 in verdict.intended(steps.settings_in(where).state_dir):
        look = _look(where, path)
        if look is not None and look[1] == sha256:
            found[path] = look
    return found


def _look(where: str, path: bytes) -> tuple[int, str] | None:
    """Which file lies there (its inode) and what it holds."""
    full = os.path.join(os.fsencode(where), SHARE.encode(), path)
    with contextlib.suppress(FileNotFoundError), open(full, "rb") as stream:
        return os.fstat(stream.fileno()).st_ino, verdict.sha256(stream.read())
    return None


def _codes(where: str) -> frozenset[str]:
    return frozenset(verdict.codes(steps.settings_in(where).state_dir))
