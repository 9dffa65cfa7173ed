"""Lane: the ledger, or the queue, is destroyed; the appliance goes on as if nothing were.

Real worker, watch, ledger, queue, decode children and exports; the engine alone is one of
the shelf, because it counts what it is asked to hear, and answers the same every time.

Not here: each way a file can be damaged (tests/test_repair.py).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

import numpy as np

from appliance import supervise
from appliance.settings import Settings, load
from appliance.states import State
from appliance.store import backups, exports, jobs, repair, restores, schema
from appliance.store.ledger import Ledger
from appliance.watch import adopt
from tests.faults import Amount, Figures
from tests.line import sounds

DISTINCT: Final = 40  # contents; the rest are copies, which cost the engine nothing


class Bench:
    """A worker and a watch over one share, and a counting engine that outlives them."""

    def __init__(self, folder: str) -> None:
        self.root = os.path.join(folder, "inbox")
        os.makedirs(self.root)
        self.file = os.path.join(folder, "appliance.toml")
        with open(self.file, "w", encoding="utf-8") as stream:
            stream.write(
                f"[node]\nstate_dir = '{folder}/state'\n[disk]\nstop_below_gb = 0\n"
                f"[[share]]\nname = 'inbox'\nroot = '{self.root}'\nquiet_seconds = 0.3\n"
            )
        self.settings: Settings = load(self.file)
        schema.prepare(self.settings.state_dir)
        with self.ledger() as ledger:
            adopt(ledger, self.settings.share[0], existing="process")
        self.printed: list[str] = []
        self._supervisor: supervise.Supervisor | None = None
        self._engine: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        os.makedirs(self.settings.run_dir, exist_ok=True)
        argv = [sys.executable, "-m", "tests.engines", "counts", self.settings.engine_socket]
        self._engine = subprocess.Popen(supervise.dying_with_us(argv))
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
        if self._engine is not None:
            self._engine.kill()
            self._engine.wait()

    def start(self) -> None:
        """Start worker and watch; what dies is started again."""
        processes = [
            one for one in supervise.appliance(self.file, {}) if one.name in ("worker", "watch")
        ]
        self._supervisor = supervise.Supervisor(
            processes, lambda name, line: self.printed.append(f"{name} {line}")
        )
        self._supervisor.__enter__()

    def stop(self) -> None:
        """Stop both in good order."""
        if self._supervisor is not None:
            self._supervisor.__exit__()
            self._supervisor = None

    def ledger(self) -> Ledger:
        """The ledger as it lies there now."""
        return Ledger(self.settings.state_dir)

    def record(self, number: int) -> None:
        """Drop a recording; its content is one of DISTINCT."""
        samples = sounds.sample().copy()
        samples[:8] = np.frombuffer(b"%16d" % (number % DISTINCT), np.int16)
        hidden = os.path.join(self.root, f".{number}.part")
        sounds.write(hidden, samples)
        os.rename(hidden, os.path.join(self.root, f"talk-{number:04d}.wav"))

    @property
    def heard(self) -> int:
        """How many windows the engine was ever asked to hear."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.getsize(f"{self.settings.engine_socket}.heard")
        return 0

    def done(self) -> int:
        """How many jobs are done; 0 while there is no ledger to ask."""
        try:
            with self.ledger() as ledger:
                return jobs.counts(ledger).get(State.DONE, 0)
        except Exception:  # noqa: BLE001 - it is being destroyed and mended under our eyes
            return 0

    def until(self, is_so: Callable[[], bool], what: str, *, seconds: float) -> None:
        """Wait until something is so; fail with what was printed when it never is."""
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                raise AssertionError("\n".join([f"never: {what}", *self.printed[-60:]]))
            time.sleep(0.2)

    def share(self) -> Mapping[str, tuple[bytes, int]]:
        """Every file of the share: what it holds, and when it was written."""
        found = {}
        for name in os.listdir(self.root):
            path = os.path.join(self.root, name)
            with open(path, "rb") as stream:
                found[name] = (stream.read(), os.stat(path).st_mtime_ns)
        return found

    def known(self) -> Mapping[str, tuple[object, ...]]:
        """What the ledger knows of each recording's text and files."""
        with self.ledger() as ledger:
            rows = ledger.rows(
                "SELECT path, transcript.sha256 AS text, asked_sha256, source_sha256 FROM job"
                " JOIN transcript ON transcript.job = job.id AND transcript.epoch = job.epoch"
            )
            texts = {
                os.fsdecode(row["path"]): (row["text"], row["asked_sha256"], row["source_sha256"])
                for row in rows
            }
            files: dict[str, list[object]] = {}
            for job in jobs.listing(ledger, limit=100_000):
                for one in exports.of_job(ledger, job.id):
                    file = (one.path, one.suffix, one.sha256, one.bytes, one.state)
                    files.setdefault(os.fsdecode(job.source.path), []).append(file)
        return {path: (text, tuple(files.get(path, ()))) for path, text in texts.items()}


# --- destroying ---------------------------------------------------------------------------------


def deleted(file: str) -> None:
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file + end)


def emptied(file: str) -> None:
    os.truncate(file, 0)


def garbage(file: str) -> None:
    with open(file, "r+b") as stream:
        stream.write(os.urandom(max(os.path.getsize(file), 4096)))


def no_header(file: str) -> None:
    with open(file, "r+b") as stream:
        stream.write(b"\xff" * 100)


def halved(file: str) -> None:
    os.truncate(file, os.path.getsize(file) // 2 + 100)


WAYS: Final[Mapping[str, Callable[[str], None]]] = {
    one.__name__: one for one in (deleted, emptied, garbage, no_header, halved)
}


# --- the drill ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the drill found."""

    done: int  # recordings that were done before the ledger was lost
    since_backup: int  # of them, how many the backup did not know as done
    asked: int  # windows the engine heard before
    asked_again: int  # and after, for recordings that had been done
    seconds: float  # from the start after the loss until every recording was known again
    violations: tuple[str, ...]


def drill(
    folder: str,
    *,
    recordings: int,
    way: str = "deleted",
    live: bool = False,
    remembers: bool = True,
) -> Outcome:
    """Do `recordings`, back up on the way, destroy the ledger, and look what comes of it.

    `live`: it is destroyed under the running appliance, else while it is stopped. Without
    `remembers` the restored ledger does not know that it was restored.
    """
    with Bench(folder) as bench:
        bench.start()
        patience = 60 + 6.0 * recordings
        early, late = recordings // 2, recordings - max(2, recordings // 8)
        _drop(bench, range(early))
        bench.until(lambda: bench.done() >= early, "the first half", seconds=patience)
        _drop(bench, range(early, late))
        bench.until(lambda: bench.done() > early, "one of the second half", seconds=patience)
        with bench.ledger() as ledger:
            backups.make(ledger, datetime.now(UTC))
            since = recordings - jobs.counts(ledger).get(State.DONE, 0)
        _drop(bench, range(late, recordings))
        bench.until(lambda: bench.done() == recordings, "all of them", seconds=patience)
        before, known, asked = bench.share(), bench.known(), bench.heard
        if not live:
            bench.stop()
        WAYS[way](os.path.join(bench.settings.state_dir, "ledger.db"))
        begun = time.monotonic()
        if not remembers:
            schema.prepare(bench.settings.state_dir)
            _forget(bench)
        if not live:
            bench.start()
        bench.until(
            lambda: bench.done() == recordings and _restored(bench) is remembers,
            "known again",
            seconds=patience,
        )
        seconds = time.monotonic() - begun
        again = bench.heard - asked
        bench.record(recordings + DISTINCT)  # and the next one is an ordinary one
        bench.until(lambda: bench.done() == recordings + 1, "a new one", seconds=patience)
        bench.stop()
        wrong = [*_violations(bench, before, known, again)]
        if way != "deleted" and not repair.put_aside(bench.settings.state_dir):
            wrong.append("nothing was put aside")
        return Outcome(recordings, since, asked, again, seconds, tuple(wrong))


def _drop(bench: Bench, numbers: range) -> None:
    for number in numbers:
        bench.record(number)


def _restored(bench: Bench) -> bool:
    with bench.ledger() as ledger:
        return restores.newest(ledger) is not None


def _forget(bench: Bench) -> None:
    with bench.ledger() as ledger, ledger.writing() as db:
        db.execute("DELETE FROM restore")
        db.execute("DELETE FROM partial")  # or who was in the middle would not be heard again


def _violations(
    bench: Bench,
    before: Mapping[str, tuple[bytes, int]],
    known: Mapping[str, tuple[object, ...]],
    again: int,
) -> Iterator[str]:
    if again:
        yield f"the engine heard {again} windows again"
    after = bench.share()
    for name, was in before.items():
        if after.get(name) != was:
            yield f"{name}: changed on the share"
    new = set(after) - set(before)
    if len(new) != 7:  # a recording and its six files
        yield f"other files on the share: {sorted(new)}"
    now = bench.known()
    for path, facts in known.items():
        if now.get(path) != facts:
            yield f"{path}: the ledger knows {now.get(path)} instead of {facts}"


# --- the lane -----------------------------------------------------------------------------------

_HOW_MUCH: Final[Mapping[Amount, tuple[int, Sequence[str]]]] = {
    Amount.SHORT: (12, ("garbage",)),
    Amount.FULL: (60, ("garbage", "halved", "emptied")),
    Amount.LONG: (500, tuple(WAYS)),
}


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """Destroy the ledger of finished work in several ways; forget it on purpose once."""
    del seed  # nothing is left to chance but what the garbage is
    recordings, ways = _HOW_MUCH[how_much]
    outcomes = {
        way: drill(os.path.join(where, way), recordings=recordings, way=way) for way in ways
    }
    forgetful = drill(
        os.path.join(where, "forgetful"), recordings=8, way="garbage", remembers=False
    )
    every = outcomes.values()
    return Figures(
        done=f"ledger lost {len(ways)} times after {recordings} were done",
        count=len(ways),
        violations=tuple(f"{way}: {one}" for way in ways for one in outcomes[way].violations),
        controls={"a ledger that forgets it was restored": forgetful.asked_again > 0},
        facts={
            "transcribed again": sum(one.asked_again for one in every),
            "unknown to the backup": sum(one.since_backup for one in every),
            "slowest until all was known again (s)": max(one.seconds for one in every),
        },
    )
