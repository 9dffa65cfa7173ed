"""Lane: kill -9, of anything and everything, while recordings keep arriving.

A real box (Huey's consumer, watch with its child, engine process, web) whose processes
are killed at random moments and started again as systemd would: one process alone, so
that what it has started is a ghost; a child of it; everything at once. Meanwhile files
are moved in, copied in and written slowly, some of them poisonous, some that stumble
once, some without sound. When the faults stop, everything settles and the judge looks.

The state lies in memory: a killed process leaves the same there as on a disk, and losing
what a disk had not yet been told is another lane's (power).

Not here: dying at one chosen system call (points).
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from appliance.errors import Fenced, LedgerBusy
from appliance.states import ENDED, State
from appliance.store import jobs
from appliance.store.jobs import Job
from tests.faults import Amount, Figures, verdict
from tests.faults.box import SHARE, Box, Witness, kill
from tests.faults.recordings import Kind, wav

# Kills and jobs of a run; the long figure is the sum of its three seeds.
HOW_MANY: Final = {
    Amount.SHORT: (25, 60),
    Amount.FULL: (1_000, 2_000),
    Amount.LONG: (1_000, 3_334),
}
HURRY: Final = 20.0
BACKLOG: Final = 24  # files that have not ended; more are not dropped meanwhile
PATIENCE_SECONDS: Final = 240.0
_WAYS: Final = ("move", "copy", "slow")
_TWIN: Final = 0.03  # of the files hold the same as another
_ASK_EVERY: Final = 20  # files that have ended, one that is done is asked for anew
_IN_A_FOLDER: Final = 50
_KINDS: Final = {  # and how many of a hundred
    Kind.GOOD: 88,
    Kind.STUMBLES: 4,
    Kind.FALLS_ONCE: 4,
    Kind.MUTE: 3,
    Kind.POISON: 1,
}
_VICTIMS: Final = {
    "worker": 26,
    "a child of worker": 24,
    "engine": 14,
    "watch": 10,
    "a child of watch": 8,
    "web": 4,
    "a child of web": 4,
    "everything": 10,
}


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """Kill, settle, judge; then measure how soon jobs run again, and try the control."""
    kills, count = HOW_MANY[how_much]
    storm = Storm(random.Random(seed), kills, count)
    with Box(os.path.join(where, "storm"), hurry=HURRY) as box, Witness(box.root) as witness:
        storm.rage(box)
        settled = settle(box)
        again = ask_again(box)
        witness.look()
        box.stop()
    roots = {SHARE: box.root}
    violations = verdict.judge(box.settings.state_dir, roots, box.dropped, seen=witness.seen)
    resumed = [resume(os.path.join(where, f"resume-{n}")) for n in range(_RESUMES[how_much])]
    return Figures(
        done=f"{storm.killed:,} kills over {len(box.dropped):,} jobs",
        count=storm.killed,
        violations=(*tracebacks(box), *violations, *late(resumed, how_much)),
        controls={"a worker nobody looks after": forsaken(os.path.join(where, "forsaken"))},
        facts={
            "killed": ", ".join(f"{n} {name}" for name, n in storm.victims.most_common()),
            "asked for anew, differently": float(storm.asked_anew),
            "settled after": f"{settled:.1f} s",
            "asked again by a person": float(again),
            "exports published": float(witness.published),
            "all killed, same jobs running again after": f"{max(resumed):.1f} s at most",
            **verdict.facts(box.settings.state_dir),
        },
    )


class Storm:
    """Files that arrive, are asked for anew, and processes that die, until there are enough."""

    def __init__(self, chance: random.Random, kills: int, count: int) -> None:
        self._chance = chance
        self._kills = kills
        self._count = count
        self._arriving: list[threading.Thread] = []
        self._sent = 0
        self._good: list[bytes] = []
        self._ask_at = _ASK_EVERY
        self.asked_anew = 0
        self.killed = 0
        self.victims: Counter[str] = Counter()

    def rage(self, box: Box) -> None:
        """Drop and kill, in step: as many kills as the files that have ended are due."""
        due = time.monotonic()
        while self._sent < self._count or self.killed < self._kills:
            box.turn()
            ended = self._drop(box)
            self._ask_anew(box, ended)
            now = time.monotonic()
            behind = self.killed < self._kills * (ended + BACKLOG) / self._count
            if now >= due and self.killed < self._kills and (behind or now >= due + 3.0):
                due = now + self._chance.uniform(0.02, 1.0)
                self._strike(box)
            time.sleep(0.02)
        for thread in self._arriving:
            thread.join()

    def _drop(self, box: Box) -> int:
        """Let some files arrive, when not too many wait; returns how many have ended."""
        counts = jobs.counts(box.ledger)
        ended = sum(count for state, count in counts.items() if state in ENDED)
        while self._sent < self._count and self._sent - ended < BACKLOG:
            self._send(box)
        return ended

    def _send(self, box: Box) -> None:
        """Let one file arrive: now and then it holds what another one holds."""
        if self._good and self._chance.random() < _TWIN:
            kind, content = Kind.GOOD, self._chance.choice(self._good)
        else:
            kind = self._chance.choices(list(_KINDS), list(_KINDS.values()))[0]
            content = wav(kind, self._chance)
        if kind is Kind.GOOD:
            self._good.append(content)
        way = self._chance.choice(_WAYS)
        pauses = [self._chance.uniform(0.02, 0.3) for _ in range(4 if way == "slow" else 0)]
        name = f"{self._sent // _IN_A_FOLDER}/{self._sent:05d}.wav"
        self._arriving.append(box.drop(content, kind, name, way, pauses))
        self._sent += 1

    def _ask_anew(self, box: Box, ended: int) -> None:
        """Ask for a done recording once more and differently, as the page does."""
        if ended < self._ask_at:
            return
        self._ask_at = ended + _ASK_EVERY
        job = self._chance.choice(jobs.listing(box.ledger, [State.DONE], limit=_IN_A_FOLDER))
        options = replace(job.options, vocabulary=(f"{job.epoch}",))
        with contextlib.suppress(Fenced, LedgerBusy):
            jobs.requeue(box.ledger, job, who="page", options=options)
            self.asked_anew += 1

    def _strike(self, box: Box) -> None:
        victim = self._chance.choices(list(_VICTIMS), list(_VICTIMS.values()))[0]
        if victim == "everything":
            struck = box.kill_all()
        elif victim.startswith("a child of "):
            children = box.children(victim.removeprefix("a child of "))
            struck = bool(children) and kill(self._chance.choice(children))
        else:
            struck = box.kill(victim)
        self.killed += struck
        self.victims[victim] += struck


# --- afterwards ---------------------------------------------------------------------------------


def until(box: Box, is_so: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> float:
    """Keep the box running until something is so; how long that took, whether it came or not."""
    begun = time.monotonic()
    while not is_so() and time.monotonic() - begun < seconds:
        box.turn()
        time.sleep(0.02)
    return time.monotonic() - begun


def settle(box: Box) -> float:
    """Wait until every file's job has ended and nothing is left over; seconds it took."""

    def is_still() -> bool:
        counts = jobs.counts(box.ledger)
        done = set(counts) <= ENDED and sum(counts.values()) >= len(box.dropped)
        return done and not os.listdir(box.settings.state("spool"))

    return until(box, is_still)


def ask_again(box: Box) -> int:
    """A recording whose turn was killed too often has ended so: delete its note, as people do.

    Three deaths of its child, or five of its worker within the hour, are the product's own
    bar; a storm of kills may meet it. Returns how many there were.
    """
    asked = 0
    for _ in range(3):
        unlucky = [job for job in jobs.listing(box.ledger, limit=1 << 30) if _is_unlucky(box, job)]
        if not unlucky:
            break
        for job in unlucky:
            _delete_note(box, job)
        asked += len(unlucky)
        until(box, lambda before=unlucky: _all_begun_again(box, before))  # type: ignore[misc]
        settle(box)
    time.sleep(1.0)  # a few rounds of recover: what is left over now stays
    return asked


def _is_unlucky(box: Box, job: Job) -> bool:
    wanted = next((file.ends for file in box.dropped if file.path == job.source.path), None)
    if job.state is State.DEAD:
        return wanted is not None  # ended by us, whatever its file has
    return job.state is State.FAILED and wanted is State.DONE


def _delete_note(box: Box, job: Job) -> None:
    note = os.path.join(os.fsencode(box.root), job.source.path + verdict.NOTE)
    if os.path.exists(note):
        os.unlink(note)
    else:
        jobs.requeue(box.ledger, job, who="page")


def _all_begun_again(box: Box, before: list[Job]) -> bool:
    return all(jobs.must(box.ledger, job.id).attempt > job.attempt for job in before)


def tracebacks(box: Box) -> list[str]:
    """What no process may ever print, whatever is killed around it."""
    with open(box.log, encoding="utf-8", errors="replace") as stream:
        lines = stream.readlines()
    found = [n for n, line in enumerate(lines) if "Traceback" in line or '"traceback"' in line]
    return [f"untyped: {''.join(lines[n : n + _TRACE_LINES])[:4000]}" for n in found[:5]]


_TRACE_LINES: Final = 30  # one that is printed raw goes on below its first


# --- how soon it goes on ------------------------------------------------------------------------

_RESUMES: Final = {Amount.SHORT: 1, Amount.FULL: 5, Amount.LONG: 10}
BAR_SECONDS: Final = 5.0


def resume(where: str) -> float:
    """Kill everything in the middle of two jobs; seconds until the same two run again."""
    chance = random.Random(where)
    with Box(where) as box:
        for number in range(2):
            box.drop(wav(Kind.SLOW, chance), Kind.SLOW, f"{number}.wav", "move").join()
        until(box, lambda: len(_running(box)) == 2)
        before = _running(box)
        box.kill_all()
        return until(box, lambda: _newer(_running(box), before))


def _newer(now: Mapping[int, int], before: Mapping[int, int]) -> bool:
    """Whether the same jobs run, each in a later attempt."""
    return now.keys() == before.keys() and all(now[job] > before[job] for job in now)


def _running(box: Box) -> dict[int, int]:
    """Attempt of every running job."""
    return {job.id: job.attempt for job in jobs.listing(box.ledger, [State.RUNNING])}


def late(resumed: list[float], how_much: Amount) -> list[str]:
    """Name what came too late; not in `make test`, where the machine may be busy with anything."""
    return (
        []
        if how_much is Amount.SHORT
        else [
            f"late: the same jobs ran again after {seconds:.1f} s"
            for seconds in resumed
            if seconds > BAR_SECONDS
        ]
    )


def forsaken(where: str) -> bool:
    """The control: where nobody looks after jobs of dead workers, does the judge notice?"""
    chance = random.Random(where)
    with Box(where, hurry=HURRY, broken=True) as box:
        for number in range(2):
            box.drop(wav(Kind.SLOW, chance), Kind.SLOW, f"{number}.wav", "move").join()
        until(box, lambda: bool(_running(box)))
        box.kill("worker")
        until(box, lambda: False, seconds=6.0)
    found = verdict.judge(box.settings.state_dir, {SHARE: box.root}, box.dropped)
    return any(one.startswith("lost:") for one in found)
