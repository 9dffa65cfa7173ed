"""Memos while a long recording is heard: what they wait, and what it loses.

A GPU of 100 x real time, input shortened, what a turn costs follows the length of its input.
A memo's latency runs from the moment its file had settled to its last export; idle means the
same memos, one at a time, in a box with nothing else to do. The long job's loss is what it
took with memos, less what it took alone, less the turns of the memos themselves: somebody
else's work is no loss, waiting for it in vain would be.

Not here: who goes first (engine.waiting, roster).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance.engine.hearing import frames_for
from appliance.states import ENDED
from tests.bench import Amount, Figure, box, p95, recordings
from tests.bench.box import Box, Engine, Ran

_SPEED: Final = 100.0
_HOURS: Final = {Amount.SMOKE: 0.5, Amount.SHORT: 0.5, Amount.FULL: 6.0}
_MEMOS: Final = {Amount.SMOKE: 2, Amount.SHORT: 20, Amount.FULL: 60}
_BEGIN: Final = 0.05  # of the long job is over when the first memo is dropped
_END: Final = 0.85  # and when the last is


def run(amount: Amount, folder: Path) -> list[Figure]:
    """The long one alone, the memos alone, and both."""
    long = recordings.speech(folder, _HOURS[amount] * 60)
    memos = recordings.memos(folder / "fair", _MEMOS[amount])
    engine = Engine(gpu=_SPEED, shorten=True)
    with box.box(engine) as one:
        alone = one.take([long]).jobs[0]
    with box.box(engine) as one:
        idle = _one_at_a_time(one, memos)
    with box.box(engine) as one:
        among, meanwhile = _both(one, long, memos, alone.wall)
    return _figures(alone, idle, among, meanwhile)


def _one_at_a_time(one: Box, memos: Sequence[str]) -> list[Ran]:
    return [one.wait(one.drop([memo]))[0] for memo in memos]


def _both(one: Box, long: str, memos: Sequence[str], length: float) -> tuple[Ran, list[Ran]]:
    """Drop a memo every so often while the long one is heard."""
    path = one.drop([long])[0]
    one.running.until(lambda: _has_begun(one, path), "the long one began", seconds=60)
    begun = time.monotonic()
    paths = []
    for number, memo in enumerate(memos):
        share = _BEGIN + (_END - _BEGIN) * number / max(1, len(memos) - 1)
        time.sleep(max(0.0, begun + share * length - time.monotonic()))
        job = one.running.job(path)
        if job is not None and job.state in ENDED:
            raise SystemExit("the long recording was over before the memos were")
        paths += one.drop([memo])
    among, *meanwhile = one.wait([path, *paths])
    return among, meanwhile


def _has_begun(one: Box, path: bytes) -> bool:
    job = one.running.job(path)
    return job is not None and job.attempt > 0


def _figures(alone: Ran, idle: Sequence[Ran], among: Ran, meanwhile: Sequence[Ran]) -> list[Figure]:
    waited, quiet = p95([_latency(r) for r in meanwhile]), p95([_latency(r) for r in idle])
    theirs = sum(frames_for(float(r.facts["sound_seconds"])) / 100 / _SPEED for r in meanwhile)
    lost = (among.wall - alone.wall - theirs) / alone.wall
    return [
        Figure(
            f"latency of {len(meanwhile)} memos, p95, of idle",
            waited / quiet,
            "x",
            most=3,
            how=f"{waited:.2f} s : {quiet:.2f} s",
        ),
        Figure(
            "what the long job lost",
            100 * lost,
            "%",
            most=5,
            how=f"{among.wall:.1f} s with, {alone.wall:.1f} s without, {theirs:.1f} s of memos",
        ),
    ]


def _latency(ran: Ran) -> float:
    return ran.ended - ran.queued
