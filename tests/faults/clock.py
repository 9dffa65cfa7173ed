"""The wall clock jumps ten years ahead, ten back, and over every change of summer time.

A whole box works under libfaketime: each of its processes sees the time of day that a
file says, while the clocks that only ever grow (monotonic, boottime) are the kernel's. The
time of day is for people to read; order, leases, waits and retries must not notice.

Not here: a clock that is told, in a test of one module (tests/test_*.py).
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from appliance.states import ENDED, State
from appliance.store import events, jobs, shares
from tests.faults import Amount, Figures, Missing, verdict
from tests.faults.box import SHARE, Box
from tests.faults.kill import settle, tracebacks, until
from tests.faults.recordings import Kind, wav

_JUMPS: Final = {Amount.SHORT: 8, Amount.FULL: 100, Amount.LONG: 300}
_ZONE: Final = "Europe/Berlin"
_YEAR: Final = 365 * 86_400
_BEHIND: Final = 6  # recordings that may wait at a time
_AHEAD: Final = 3  # places in the queue that two workers and a scan may swap
_LONGEST_WAIT: Final = 60.0  # seconds of any retry here: 5 at most, and a busy machine
_MEMORY: Final = "/dev/shm"  # noqa: S108 - where libfaketime puts them
_LIBRARY: Final = "faketime/libfaketimeMT.so.1"
_FOLDERS: Final = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
# libfaketime 0.9.10 takes the deadline of a sleep on the monotonic clock for one on the wall.
_SLEEP: Final = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds)
"""
_KINDS: Final = (Kind.GOOD, Kind.GOOD, Kind.SLOW, Kind.STUMBLES, Kind.FALLS_ONCE)
_COSTS: Final = {Kind.STUMBLES: (1, 0, 0), Kind.FALLS_ONCE: (0, 1, 0)}


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """Jump while a box works; then ask whether anything noticed."""
    chance = random.Random(seed)
    jumps = _JUMPS[how_much]
    os.makedirs(where, exist_ok=True)
    kinds: dict[bytes, Kind] = {}
    waits: dict[int, float] = {}
    longest = 0.0
    with _faked(where) as when, Box(os.path.join(where, "box"), hurry=8) as box:
        until(box, lambda: shares.get(box.ledger, SHARE).scanned_ms is not None, seconds=120)
        threads = []
        for number in range(jumps):
            kind = chance.choice(_KINDS)
            name = f"{number:04}.wav"
            kinds[name.encode()] = kind
            way = chance.choice(("move", "copy", "slow"))
            pauses = [chance.uniform(0.02, 0.3) for _ in range(4 if way == "slow" else 0)]
            threads.append(box.drop(wav(kind, chance), kind, name, way, pauses))
            _jump(when, chance)
            _keep_up(box, number - _BEHIND)
            until(box, lambda: False, seconds=chance.uniform(0.3, 1.2))
            longest = max(longest, _waited(box, waits))
        for thread in threads:
            thread.join()
        settled = settle(box)
        box.stop()
        violations = [
            *tracebacks(box),
            *verdict.judge(box.settings.state_dir, {SHARE: box.root}, box.dropped),
            *_charged(box, kinds),
            *_out_of_order(box),
        ]
        years = _years(box)
    if longest > _LONGEST_WAIT:
        violations.append(f"a retry waited {longest:.0f} s")
    if years < 2:
        violations.append("the clock never jumped for the box")
    return Figures(
        done=f"{jumps} jumps of the wall clock over {len(kinds)} jobs",
        count=jumps,
        violations=tuple(violations),
        facts={"settled after": f"{settled:.1f} s", "years its events say": float(years)},
    )


@contextlib.contextmanager
def _faked(where: str) -> Iterator[str]:
    """Have every process started meanwhile see the time that a file says; lend the file."""
    library = next((f"{f}/{_LIBRARY}" for f in _FOLDERS if os.path.exists(f"{f}/{_LIBRARY}")), None)
    if library is None:
        raise Missing("libfaketime: apt-get install faketime")
    patch = os.path.join(where, "patch")
    os.makedirs(patch)
    with open(os.path.join(patch, "sitecustomize.py"), "w", encoding="ascii") as stream:
        stream.write(_SLEEP)
    when = os.path.join(where, "when")
    _tell(when, 0)
    more = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": when,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",  # what lies on a disk does not change its times
        "PYTHONPATH": patch,
        "TZ": _ZONE,
    }
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield when
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        _sweep()


def _sweep() -> None:
    """Remove what libfaketime leaves in memory: a page and a lock for each that was killed."""
    for name in os.listdir(_MEMORY):
        pid = name.rpartition("_")[2]
        if "faketime_" in name and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(_MEMORY, name))


def _keep_up(box: Box, least: int) -> None:
    """Wait until so many jobs have ended."""

    def has() -> bool:
        counts = jobs.counts(box.ledger)
        return sum(count for state, count in counts.items() if state in ENDED) >= least

    until(box, has)


def _jump(when: str, chance: random.Random) -> None:
    now = time.time()
    zone = ZoneInfo(_ZONE)
    borders = [
        datetime(2026, 10, 25, 2, 59, 58, tzinfo=zone),
        datetime(2027, 3, 28, 1, 59, 58, tzinfo=zone),
    ]
    far = [10 * _YEAR, -10 * _YEAR, 3_600, -3_600, 0]
    near = [round(border.timestamp() - now) for border in borders]
    _tell(when, chance.choice([*far, *near]))


def _tell(when: str, seconds: int) -> None:
    with open(f"{when}.new", "w", encoding="ascii") as stream:
        stream.write(f"{seconds:+d}\n")
    os.replace(f"{when}.new", when)


# --- what must not notice -----------------------------------------------------------------------


def _waited(box: Box, since: dict[int, float]) -> float:
    """The longest that a job has been waiting for its next attempt, by the clock that grows."""
    now = time.monotonic()
    waiting = {job.id for job in jobs.listing(box.ledger, [State.RETRY_WAIT])}
    for job in since.keys() - waiting:
        del since[job]
    return max((now - since.setdefault(job, now) for job in waiting), default=0.0)


def _charged(box: Box, kinds: dict[bytes, Kind]) -> Iterator[str]:
    for job in jobs.listing(box.ledger, limit=1 << 20):
        cost = _COSTS.get(kinds[job.source.path], (0, 0, 0))
        if job.state in ENDED and (job.errors, job.crashes, job.losses) != cost:
            yield f"charged: {job.source.path!r}: {job.errors}, {job.crashes}, {job.losses}"


def _out_of_order(box: Box) -> Iterator[str]:
    """Who came first is taken first, whatever the time of day was."""
    first: dict[int, int] = {}
    for row in box.ledger.rows("SELECT job FROM event WHERE became = 'running' ORDER BY id"):
        first.setdefault(row["job"], len(first))
    for place, job in enumerate(sorted(first)):
        if first[job] - place > _AHEAD:
            yield f"order: job {job} was taken {first[job] - place} places late"


def _years(box: Box) -> int:
    """In how many years the box says that something happened."""
    every = [
        e.at_ms
        for job in jobs.listing(box.ledger, limit=1 << 20)
        for e in events.of_job(box.ledger, job.id)
    ]
    return len({datetime.fromtimestamp(ms / 1000, ZoneInfo("UTC")).year for ms in every})
