"""Thousands of short lives of a box, in any order a machine can think of; and ten lies.

Hypothesis plays drops, changes, bells heard twice or never, owners that die and come
back, reboots, gates, cancels, retries and rounds of recover against the product's own
store and line, a step at a time (world, actors). After each step everything must hold
that must always hold, and in the end every job must reach an end.

A machine that finds nothing proves nothing until it finds what is broken on purpose:
ten mutants, one for each rule that the proof rests on.

Not here: real processes and real kills (kill), power (power).
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from appliance.errors import ChildKilled, DiskFull, EngineLost, NodeIO, SourceUnreadable
from appliance.states import ENDED, LIVE, State
from appliance.store import jobs
from tests.faults import Amount, Figures
from tests.faults.mutants import MUTANTS, checkpoint_outside_the_lock, checkpoints_without_lock
from tests.faults.world import World

SEQUENCES: Final = {Amount.SHORT: 60, Amount.FULL: 600, Amount.LONG: 3_000}
STEPS: Final = 50
HUNT: Final = 600  # lives in which a mutant must be noticed; most are in a dozen
_NAMES: Final = (b"a.wav", b"b.wav")
_STUMBLES: Final = (
    lambda: ChildKilled(name="talk", why="signal 11"),
    EngineLost,
    lambda: NodeIO(where="/", why="EIO"),
    lambda: DiskFull(where="/", free_gb=0.0),
    lambda: SourceUnreadable(name="talk"),
)
_number = st.integers(0, 63)
_name = st.sampled_from(_NAMES)
_or_not = st.booleans()


class Broken(AssertionError):
    """Something that must hold does not."""


class Life(RuleBasedStateMachine):
    """One life of a box."""

    where: ClassVar[str]  # a folder for all lives, each has one of its own in it
    lives: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).lives += 1
        self._folder = tempfile.mkdtemp(dir=self.where)
        self.world = World(self._folder)
        self.world.__enter__()
        self._broken = False

    @initialize()
    def begin(self) -> None:
        """Every life begins with a recording: the rest is about what becomes of it."""
        self._drop_and_look(_NAMES[0])

    # --- bells ----------------------------------------------------------------------------------

    @rule(n=_number, owner=_number, steps=st.sampled_from((0, 4, 8, 12, 16, 20, 24, 99)))
    def hear(self, n: int, owner: int, steps: int) -> None:
        """The bell of a queued job is heard, and whoever hears it does so many steps."""
        self._hear(jobs.listing(self.world.ledger, [State.QUEUED]), n, owner, steps)

    @rule(n=_number, owner=_number, steps=st.integers(0, 4))
    def hear_late_or_twice(self, n: int, owner: int, steps: int) -> None:
        """The bell of any job is heard."""
        self._hear(self.world.jobs(), n, owner, steps)

    # --- interleave -----------------------------------------------------------------------------

    @precondition(lambda self: self.world.standing(zombies=False))
    @rule(n=_number, steps=st.sampled_from((1, 2, 3, 5, 8)))
    def interleave(self, n: int, steps: int) -> None:
        standing = self.world.standing(zombies=False)
        standing[n % len(standing)].go(steps)

    @precondition(lambda self: self.world.standing(zombies=False))
    @rule(n=_number)
    def finish(self, n: int) -> None:
        standing = self.world.standing(zombies=False)
        standing[n % len(standing)].finish()

    @precondition(lambda self: self.world.standing(zombies=False))
    @rule(n=_number, dies=st.booleans())
    def stand_before_the_rename(self, n: int, dies: bool) -> None:
        """Between what is written and what is said about it: where chance alone hardly ever is."""
        standing = self.world.standing(zombies=False)
        actor = standing[n % len(standing)]
        actor.go_to("put")
        if dies and not actor.over:
            self.world.dies(actor.owner)

    @precondition(lambda self: self.world.standing(zombies=True))
    @rule(n=_number, steps=st.sampled_from((1, 3, 9, 99)))
    def zombie(self, n: int, steps: int) -> None:
        """Somebody taken for dead wakes and goes on with whatever it had in hand."""
        standing = self.world.standing(zombies=True)
        standing[n % len(standing)].go(steps)

    # --- faults ---------------------------------------------------------------------------------

    @precondition(lambda self: self.world.standing(zombies=False))
    @rule(n=_number, recovered=st.booleans())
    def die_at_work(self, n: int, recovered: bool) -> None:
        """Somebody dies in the middle; perhaps it is found, and the wait is over, at once."""
        standing = self.world.standing(zombies=False)
        self.world.dies(standing[n % len(standing)].owner)
        if recovered:
            self._recover(n)
            self.world.clock.boot_s += 1_000
            self._recover(n)

    @rule(seconds=st.sampled_from((0, 60)))
    def reboot(self, seconds: int) -> None:
        self.world.reboots()
        self.world.clock.boot_s += seconds

    @rule(error=st.sampled_from(_STUMBLES))
    def engine_stumbles(self, error: Callable[[], Any]) -> None:
        self.world.engine_says.append(error())

    @rule(mounted=st.booleans(), noticed=st.booleans())
    def mount_or_unmount(self, mounted: bool, noticed: bool) -> None:
        if self.world.down and mounted:
            self.world.mounted()
        elif not self.world.down and not mounted:
            self.world.unmounted()
        if noticed:
            self.world.watch_checks()

    # --- time and recover -----------------------------------------------------------------------

    @rule(n=_number, seconds=st.sampled_from((0, 0, 61, 1_000)))
    def recover(self, n: int, seconds: int) -> None:
        self.world.clock.boot_s += seconds
        self.world.clock.wall_ms += seconds * 1_000
        self._recover(n)

    @rule(n=_number, steps=st.integers(0, 4))
    def begin_to_recover(self, n: int, steps: int) -> None:
        if len(self.world.standing(zombies=False)) < 4:
            self.world.recovers(self._owner(n)).go(steps)

    @rule()
    def checkpoint_and_lose_bells(self) -> None:
        self.world.ledger.checkpoint()
        self.world.bells.clear()

    # --- people ---------------------------------------------------------------------------------

    @rule(name=_name, what=st.sampled_from(("drop", "drop", "replace", "remove")), seen=_or_not)
    def change_the_folder(self, name: bytes, what: str, seen: bool) -> None:
        """Somebody puts a file there, or another one in its place, or takes one away."""
        if what == "remove":
            self.world.removes(name)
        elif what == "replace" or name not in self.world.in_place:
            self.world.drops(name)
        if seen:
            self.world.looks(name)

    @rule(n=_number, again=st.booleans())
    def cancel_or_ask_again(self, n: int, again: bool) -> None:
        every = self.world.jobs()
        job = every[n % len(every)]
        if again and job.state in ENDED:
            jobs.requeue(self.world.ledger, job, who="a person")
        elif not again and job.state in LIVE - {State.DISCOVERED}:
            self.world.cancelled.add(job.id)
            jobs.cancel(self.world.ledger, job, who="a person")

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        self._judge(self.world.wrong())

    def teardown(self) -> None:
        try:
            if not self._broken:
                self.world.calms_down()
                self._judge(self.world.wrong() or self.world.left_over())
        finally:
            self.world.__exit__()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _judge(self, wrong: list[str]) -> None:
        if wrong:
            self._broken = True
            raise Broken("; ".join(wrong))

    def _hear(self, choice: list[jobs.Job], n: int, owner: int, steps: int) -> None:
        if choice and len(self.world.standing(zombies=False)) < 4:
            self.world.hears(self._owner(owner), choice[n % len(choice)].id).go(steps)

    def _recover(self, n: int) -> None:
        self.world.recovers(self._owner(n)).finish()

    def _drop_and_look(self, name: bytes) -> None:
        self.world.drops(name)
        self.world.looks(name)

    def _owner(self, n: int) -> str:
        alive = sorted(self.world.alive)
        return alive[n % len(alive)]


# --- running it ---------------------------------------------------------------------------------


def play(lives: int, *, chance: int, where: str, steps: int = STEPS) -> str | None:
    """Play so many lives; what went wrong in the first that failed, or None."""
    Life.where, Life.lives = where, 0
    machine = seeded(chance)(type("Life", (Life,), {}))
    asked = settings(
        max_examples=lives,
        stateful_step_count=steps,
        phases=(Phase.generate,),
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine, settings=asked)
    except BaseExceptionGroup as several:
        return f"{several.exceptions[0]!r}"
    except Exception as broken:  # noqa: BLE001 - whatever it is, it must not happen
        return f"{broken!r}"
    return None


@contextlib.contextmanager
def _in_a_folder(where: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield folder


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """Play lives, then the mutants."""
    with _in_a_folder(where) as folder:
        wrong = play(SEQUENCES[how_much], chance=seed, where=folder)
    caught = {name: _caught(name, HUNT, seed, where) for name in MUTANTS}
    with _in_a_folder(where) as folder, checkpoints_without_lock():
        caught["the checkpointer takes no lock"] = checkpoint_outside_the_lock(folder)
    with _in_a_folder(where) as folder:
        honest = not checkpoint_outside_the_lock(folder)
    return Figures(
        done=f"{SEQUENCES[how_much]:,} lives of up to {STEPS} steps, {len(caught)} mutants",
        count=SEQUENCES[how_much],
        violations=tuple(
            ([wrong] if wrong else []) + ([] if honest else ["a checkpoint outside the lock"])
        ),
        controls=caught,
    )


def _caught(name: str, lives: int, chance: int, where: str) -> bool:
    with _in_a_folder(where) as folder, MUTANTS[name]():
        return play(lives, chance=chance, where=folder) is not None
