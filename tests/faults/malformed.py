"""Every malformed input: does it end as it should, in time, with a name, and reach nothing?

`alone` gives each to a decode child of its own at the end of the real wire; `audited` does
so under strace; `through_the_line` drops them into a running appliance, whose engine is the
well-behaved one of tests.engines. Each returns a Report with a table.

Not here: the inputs (tests.media.malformed).
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import hashlib
import os
import random
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.limits import Limits
from appliance.nouns import EXTENSIONS
from appliance.states import State
from appliance.store import attempts
from appliance.store.jobs import Job
from tests.faults import Amount, Figures, Missing
from tests.line.running import SAMPLES, Running
from tests.media import malformed, sounds, worker
from tests.media.files import plain_wav
from tests.media.forged import CANARY
from tests.media.malformed import Case, Outcome

CHILDREN: Final = 2  # at once, as the worker has threads
LIMIT_SECONDS: Final = 4 * 3_600.0  # of sound
SHORT: Final = 60  # inputs of the short version
PEAK_MB: Final = 300
CPU_SECONDS: Final = 60

# Whatever opens, connects, starts or sends elsewhere. A sealed child asks for none of these.
_WATCHED: Final = (
    "open,openat,openat2,creat,socket,socketpair,connect,bind,execve,execveat,fork,vfork,clone,"
    "clone3,kill,tkill,sendto,memfd_create,ptrace,io_uring_setup,recvmsg"
)
_SMALL: Final = 10  # members of a family that are always tried
_NEVER_READY: Final = ("sparse", "empty")  # the share waits for these to be complete


@dataclass(frozen=True, slots=True)
class Ended:
    """One input and how it ended."""

    case: Case
    outcome: Outcome
    took: float  # seconds
    peak_mb: int
    wrong: str  # in words; empty when it ended as it should


@dataclass(slots=True)
class Report:
    """Everything that was tried, and whether anything was reached that should not be."""

    ended: list[Ended] = field(default_factory=list)
    calls: int = 0  # at the listener nobody may call
    breaches: list[str] = field(default_factory=list)  # anything else, a sentence each

    @property
    def wrong(self) -> list[str]:
        """Each violation, in words."""
        of_files = [f"{one.case.label}: {one.wrong}" for one in self.ended if one.wrong]
        called = [f"{self.calls} calls reached a listener"] if self.calls else []
        return [*of_files, *called, *self.breaches]

    def figures(self) -> dict[str, str | float]:
        """The figures that have a bar."""
        done = [one for one in self.ended if one.outcome.code == "done"]
        return {
            "inputs": len(self.ended),
            "done": len(done),
            "done_with_warning": sum(one.outcome.warned for one in done),
            "named_errors": sum(one.outcome.code.startswith("source.") for one in self.ended),
            "wrong": len(self.wrong),
            "slowest_seconds": round(max((one.took for one in self.ended), default=0.0), 1),
            "peak_mb": max((one.peak_mb for one in self.ended), default=0),
        }

    def table(self) -> str:
        """What became of each family."""
        families = collections.defaultdict[str, list[Ended]](list)
        for one in self.ended:
            families[one.case.family].append(one)
        head = f"{'family':14} {'inputs':>6} {'done':>5} {'warned':>6} {'wrong':>5}  errors"
        return "\n".join([head, *(_row(*each) for each in families.items()), *self.wrong])


def _row(family: str, members: list[Ended]) -> str:
    done = [one for one in members if one.outcome.code == "done"]
    codes = collections.Counter(one.outcome.code for one in members if one not in done)
    told = ", ".join(f"{count} {code.partition('.')[2]}" for code, count in sorted(codes.items()))
    warned = sum(one.outcome.warned for one in done)
    wrong = sum(bool(one.wrong) for one in members)
    return f"{family:14} {len(members):6} {len(done):5} {warned:6} {wrong:5}  {told}"


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """The lane: the short choice alone, or every input alone, audited and through the line."""
    reports = [alone(Path(where) / "alone", full=how_much is not Amount.SHORT, seed=seed)]
    reports.append(audited(Path(where) / "audited", seed=seed))
    if how_much is not Amount.SHORT:
        reports.append(through_the_line(Path(where) / "line", seed=seed))
    for report in reports:
        if report.wrong:
            print(report.table())  # noqa: T201 - which families they are of
    return Figures(
        done=f"{sum(len(report.ended) for report in reports)} inputs",
        count=len(reports[0].ended),
        violations=tuple(wrong for report in reports for wrong in report.wrong),
        facts={f"{n}.{k}": v for n, r in enumerate(reports) for k, v in r.figures().items()},
    )


def choose(cases: Sequence[Case], *, seed: int, count: int, least: int) -> list[Case]:
    """About `count`, some of every family, at least `least` where it has as many."""
    dice, families = random.Random(seed), collections.defaultdict[str, list[Case]](list)
    for case in cases:
        families[case.family].append(case)
    chosen: list[Case] = []
    for members in families.values():
        share = max(least, count * len(members) // len(cases))
        chosen += dice.sample(members, min(share, len(members)))
    return chosen


# --- the decode child alone ----------------------------------------------------------------------


def alone(folder: Path, *, full: bool, seed: int) -> Report:
    """Give inputs to a decode child each; `seed` chooses them, unless it is all of them."""
    with _corpus(folder, seed) as (cases, listener):
        chosen = cases if full else choose(cases, seed=seed, count=SHORT, least=_SMALL)
        with concurrent.futures.ThreadPoolExecutor(CHILDREN) as children:
            ended = list(children.map(lambda case: _decoded(case, folder), chosen))
        return Report(ended, listener.calls)


def audited(folder: Path, *, seed: int) -> Report:
    """Do the same under strace with a few of every family. Raises Missing without strace."""
    strace = shutil.which("strace")
    if strace is None:
        raise Missing("strace")
    with _corpus(folder, seed) as (cases, listener):
        report = Report()
        for number, case in enumerate(choose(cases, seed=seed, count=0, least=1)):
            log = folder / f"{number}.strace"
            # -D: the child stays ours, or it would take strace's death for its worker's.
            under = [
                strace,
                "-D",
                "-f",
                "-q",
                "--seccomp-bpf",
                "-o",
                str(log),
                "-e",
                f"trace={_WATCHED}",
            ]
            report.ended.append(_decoded(case, folder, under=under))
            report.breaches += [f"{case.label}: {call}" for call in _after_begin(log)]
        report.calls = listener.calls
        return report


def _after_begin(log: Path) -> list[str]:
    """What a child got from the kernel once its file had come; it is to get nothing."""
    deadline = time.monotonic() + 20
    while "+++" not in (text := log.read_text(errors="replace") if log.exists() else ""):
        if time.monotonic() > deadline:
            return ["strace never saw its end"]
        time.sleep(0.05)
    # The template is handed a line for the child, then the child its file.
    after = text.split("SCM_RIGHTS", 2)[-1]
    came = text.count("SCM_RIGHTS") >= 2
    ours = re.compile(r"recvmsg|\+\+\+|---|= -1 EPERM")  # a warning's own source, refused to Python
    calls = [line for line in after.splitlines()[1:] if not ours.search(line)]
    return calls if came else ["its file never came"]


def _decoded(case: Case, folder: Path, *, under: Sequence[str] = ()) -> Ended:
    own = Path(tempfile.mkdtemp(dir=folder))
    shutil.copyfile(folder / CANARY, own / CANARY)
    path = own / case.name
    case.make(path)
    before, begun = _look(path), time.monotonic()
    try:
        limits = Limits(cpu_seconds=CPU_SECONDS)
        heard = worker.decode(path, max_seconds=LIMIT_SECONDS, limits=limits, under=under)
        outcome, peak = _heard(heard), heard.peak_mb
    except TimeoutError:
        outcome, peak = Outcome("silence"), 0
    took = time.monotonic() - begun
    wrong = case.verdict(outcome) or ("" if _look(path) == before else "the source changed")
    if peak > PEAK_MB:
        wrong = wrong or f"{peak} MB"
    shutil.rmtree(own)
    return Ended(case, outcome, took, peak, wrong)


def _heard(heard: worker.Heard) -> Outcome:
    if heard.ended is None:
        log = heard.log[-300:]
        return Outcome(heard.failed.code if heard.failed else f"died: {heard.verdict} {log}")
    return Outcome(
        "done",
        seconds=heard.ended.seconds,
        missing=heard.ended.missing,
        blank=heard.ended.blank,
        damaged=heard.ended.damaged,
        broken_off=heard.ended.broken_off,
        behind=heard.ended.behind,
    )


# --- the whole line ------------------------------------------------------------------------------


def through_the_line(folder: Path, *, seed: int, count: int | None = None) -> Report:
    """Drop every input (or `count` of them) into a share, a good recording beside each."""
    with _corpus(folder, seed) as (cases, listener), _test_engine():
        cases = [case for case in cases if _is_taken(case)]
        chosen = choose(cases, seed=seed, count=count, least=2) if count else cases
        with Running(str(folder)) as box:
            dropped = [_drop(box, number, case) for number, case in enumerate(chosen)]
            before = {path: _look(Path(box.path(path))) for path in dropped}
            report = Report(
                [_through(box, *one, before) for one in zip(chosen, dropped, strict=True)]
            )
            report.breaches += _siblings(box, dropped) + _deaths(box)
            report.calls = listener.calls
            return report


def _is_taken(case: Case) -> bool:
    """Whether the share takes it for a recording, and for complete."""
    ending = case.name.rpartition(".")[2]
    return ending in EXTENSIONS and not case.name.startswith(_NEVER_READY)


def _drop(box: Running, number: int, case: Case) -> str:
    parts = f"{number:03d}", case.name
    os.makedirs(box.path(parts[0]))
    case.make(Path(box.path(*parts)))
    if number % 10 == 0:
        box.drop(os.path.join(SAMPLES, "welcome-english.wav"), parts[0], "sibling.wav")
    return os.path.join(*parts)


def _through(box: Running, case: Case, path: str, before: Mapping[str, object]) -> Ended:
    job = box.ended(os.fsencode(path), seconds=1_800)
    tries = list(attempts.of_job(box.ledger, job.id))
    took = max(((one.ended_ms or 0) - one.began_ms) / 1000 for one in tries)
    peak = max((one.rss_peak or 0) for one in tries) >> 20
    outcome = _of_job(job)
    wrong = case.verdict(outcome)
    if _look(Path(box.path(path))) != before[path]:
        wrong = wrong or "the source changed"
    if len(tries) > 1:
        wrong = wrong or f"{len(tries)} attempts"
    return Ended(case, outcome, took, peak, wrong)


def _of_job(job: Job) -> Outcome:
    if job.state is not State.DONE:
        return Outcome(job.code or str(job.state))
    told = {notice.code.partition(".")[2]: notice.detail for notice in job.warnings}
    return Outcome(
        "done",
        seconds=job.duration or 0.0,
        missing=float(told.get("missing-seconds", {}).get("seconds", 0.0)),
        blank=float(told.get("blank-end", {}).get("seconds", 0.0)),
        damaged=int(told.get("decode-errors", {}).get("count", 0)),
        broken_off="broken-off" in told,
        behind=float(told.get("more-behind", {}).get("megabytes", 0.0)),
    )


def _siblings(box: Running, dropped: Sequence[str]) -> list[str]:
    paths = [os.path.join(os.path.dirname(path), "sibling.wav") for path in dropped[::10]]
    ended = {path: box.ended(os.fsencode(path), seconds=300) for path in paths}
    return [f"{path} became {job.state}" for path, job in ended.items() if job.state != State.DONE]


def _deaths(box: Running) -> list[str]:
    return [line for line in box.printed if re.match(r"\w+ ended \(", line)]


@contextlib.contextmanager
def _test_engine() -> Iterator[None]:
    """Have the appliance start the engine that hears a word a second, and needs no model."""
    before = os.environ.get("APPLIANCE_ENGINE_CMD")
    os.environ["APPLIANCE_ENGINE_CMD"] = f"{sys.executable} -m tests.engines good"
    try:
        yield
    finally:
        os.environ.pop("APPLIANCE_ENGINE_CMD")
        if before is not None:
            os.environ["APPLIANCE_ENGINE_CMD"] = before


# --- what all of them need -----------------------------------------------------------------------


class Listener:
    """A door on loopback that nobody may knock at."""

    def __init__(self) -> None:
        self.calls = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._door.accept()[0].close()
                self.calls += 1

    def close(self) -> None:
        """Shut the door."""
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(5)


@contextlib.contextmanager
def _corpus(folder: Path, seed: int) -> Iterator[tuple[list[Case], Listener]]:
    (folder / "shelf").mkdir(parents=True)
    plain_wav(folder / CANARY, sounds.meeting(2))
    listener = Listener()
    try:
        shelf = malformed.Shelf(folder / "shelf")
        yield malformed.catalogue(shelf, seed=seed, port=listener.port), listener
    finally:
        listener.close()


def _look(path: Path) -> tuple[int, int, str]:
    """What must be as it was afterwards; of giants that hold nothing, the head is enough."""
    status = os.stat(path)
    with path.open("rb") as stream:
        content = stream.read(64 << 20)
    return status.st_size, status.st_mtime_ns, hashlib.sha256(content).hexdigest()


BY_HAND: Final[dict[str, Callable[[Path], Report]]] = {
    "alone": lambda folder: alone(folder, full=True, seed=1),
    "short": lambda folder: alone(folder, full=False, seed=1),
    "audited": lambda folder: audited(folder, seed=1),
    "line": lambda folder: through_the_line(folder, seed=1),
}

if __name__ == "__main__":  # python -m tests.faults.malformed alone
    with tempfile.TemporaryDirectory() as where:
        report = BY_HAND[sys.argv[1]](Path(where) / "work")
        print(report.table(), report.figures(), sep="\n")  # noqa: T201
