"""A box in small: a share, the ledger, owners that die, a clock that is told; and what must hold.

The store, recover, the line, stage, deliver and report are the product's. Not real are
the time, the engine (its words differ each time it is asked, so that a transcript that
was made twice shows), and whether an owner lives. Bells are a list that loses and
repeats.

`wrong` says what does not hold at a moment, `left_over` what must not be there at the end.

Not here: what happens when (model), how actors stand still (actors).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final, Self, cast
from unittest import mock

from appliance import admit, box, export, marker, recover, retention, tasks
from appliance.box import Box
from appliance.daemon import Owner
from appliance.decoders import Decoders
from appliance.errors import CATALOGUE, ApplianceError, Budget, Bug, ShareOffline, WorkerDied
from appliance.nouns import Options, Provenance, Segment, Source, Staged, Transcript, Word
from appliance.porter import Porters, Stop, errands
from appliance.porter.talk import Errand, Talk
from appliance.settings import Settings, Share
from appliance.states import ALLOWANCE, ENDED, LIVE, NEXT, State
from appliance.store import exports, gates, jobs, schema, shares, transcripts
from appliance.store.events import Event
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger, Moment
from appliance.values import from_json
from appliance.watch import adopt
from tests.faults.actors import Actor, pausing

line: Any = importlib.import_module("appliance.workloads.transcription")  # not its function

SHARE: Final = "inbox"
OPTIONS: Final = Options(formats=("txt", "json"))
_FORGIVEN_MS: Final = 3_600_000
_AFRESH: Final = ENDED | {State.DISCOVERED}  # asked for anew from here: every budget begins again


@dataclass
class Clock:
    """Time as it is told."""

    wall_ms: int = 1_700_000_000_000
    boot_s: float = 100.0
    boots: int = 1

    def __call__(self) -> Moment:
        return Moment(self.wall_ms, self.boot_s, f"boot {self.boots}")


@dataclass(frozen=True, slots=True)
class FakeOwner:
    """A worker's process that lives as long as the world says so."""

    id: str

    def progress(self, job: int, **facts: object) -> None:
        """Nobody looks."""


class InHand:
    """Porters without processes: an errand is done in the actor's own thread, step by step."""

    def __init__(self, world: World) -> None:
        self._world = world

    def stage(self, job: Job, share: Share, *, stop: Stop) -> Staged:
        """Copy the recording into the spool."""
        staged = self.carry("stage", job, share, stop=stop)
        assert staged is not None
        return staged

    def carry(
        self,
        verb: str,
        job: Job,
        share: Share,
        error: ApplianceError | None = None,
        *,
        stop: Stop,
    ) -> Staged | None:
        """Do an errand."""
        del share
        stop()
        code, detail = (None, {}) if error is None else (error.code, error.detail)
        errand = Errand(verb, job.id, job.attempt, code, detail)
        talk = cast("Talk", mock.Mock(spec=Talk))
        return errands.carry(self._world.ledger, self._world.settings, talk, errand).staged


@dataclass
class World:
    """Everything there is. Use it as a context manager."""

    folder: str
    clock: Clock = field(default_factory=Clock)
    alive: set[str] = field(default_factory=set)
    boxes: dict[str, Box] = field(default_factory=dict)
    actors: list[Actor] = field(default_factory=list)
    bells: list[int] = field(default_factory=list)
    engine_says: list[ApplianceError] = field(default_factory=list)  # instead of a transcript
    down: bool = False  # the share is not mounted
    violations: list[str] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)  # jobs that a person has cancelled
    moved: set[tuple[bytes, int, int]] = field(default_factory=set)  # sources not always in place
    in_place: dict[bytes, Source] = field(default_factory=dict)
    _heard: int = 0  # how often the engine was asked
    _mtimes: int = 0
    _read: int = 0  # events looked at
    _states: dict[int, str] = field(default_factory=dict)
    _done: Counter[tuple[int, int]] = field(default_factory=Counter)
    _spent: dict[int, Counter[Budget]] = field(default_factory=dict)
    _lost_ms: dict[int, list[int]] = field(default_factory=dict)  # when a job lost its worker
    _rendered: dict[tuple[int, int], set[str]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._undo = contextlib.ExitStack()
        self.root = os.path.join(self.folder, "share")
        self._away = os.path.join(self.folder, "away")
        os.mkdir(self.root)
        self.settings = self._settings()
        _fresh_ledger(self.settings.state_dir)
        self.ledger = self._undo.enter_context(Ledger(self.settings.state_dir, clock=self.clock))
        adopt(self.ledger, self.share, existing="process")
        patch = mock.patch.object
        self._undo.enter_context(patch(box, "alive", lambda _run, owner: owner in self.alive))
        self._undo.enter_context(patch(line, "_made", self._made))
        self._undo.enter_context(patch(jobs, "from_json", _read_once))  # a third of all the time
        self._undo.enter_context(pausing())
        for _ in range(2):
            self.born()
        return self

    def __exit__(self, *_exc: object) -> None:
        for actor in self.actors:
            actor.unwind()
        self._undo.close()

    def _settings(self) -> Settings:
        return Settings.model_validate(
            {
                "node": {"state_dir": os.path.join(self.folder, "state")},
                "disk": {"stop_below_gb": 0, "warn_below_gb": 0},
                "share": [{"name": SHARE, "root": self.root, "existing": "process"}],
            }
        )

    @property
    def share(self) -> Share:
        return self.settings.share[0]

    # --- owners ---------------------------------------------------------------------------------

    def born(self) -> None:
        """A worker's process starts."""
        owner = FakeOwner(f"owner {len(self.boxes) + 1}")
        self.alive.add(owner.id)
        self.boxes[owner.id] = Box(
            *(self.settings, self.ledger, cast("Owner", owner)),
            *(cast("Decoders", None), cast("Porters", InHand(self))),
        )

    def dies(self, owner: str) -> None:
        """A worker's process dies, and another takes its place."""
        self.alive.discard(owner)
        self.born()

    def reboots(self) -> None:
        """The box goes down and comes up again."""
        for owner in list(self.alive):
            self.dies(owner)
        self.clock.boots += 1
        self.clock.boot_s = 10.0
        self.clock.wall_ms += 60_000

    # --- actors ---------------------------------------------------------------------------------

    def hears(self, owner: str, job_id: int) -> Actor:
        """A worker answers a bell; it stands still before its first step."""
        actor = Actor(owner, lambda: tasks.perform(job_id, self.boxes[owner]))
        self.actors.append(actor)
        return actor

    def recovers(self, owner: str) -> Actor:
        """A worker begins a round of recover; it stands still before its first step."""
        actor = Actor(owner, lambda: self._reconcile(owner))
        self.actors.append(actor)
        return actor

    def _reconcile(self, owner: str) -> None:
        recover.reconcile(
            self.ledger,
            self.settings,
            ring=self.bells.append,
            pending=len(self.bells),
            minded=self.boxes[owner].minds,
        )

    def standing(self, *, zombies: bool) -> list[Actor]:
        """Actors that stand still, of dead owners or of living ones."""
        return [a for a in self.actors if not a.over and (a.owner not in self.alive) == zombies]

    def _made(
        self, job: Job, share: Share, staged: Staged, its_box: Box
    ) -> tuple[tuple[Transcript, ...], int | None]:
        """In the engine's place."""
        del share
        line._stopper(job, its_box)()
        if transcripts.get(self.ledger, job, "transcribe") is not None:
            self._wrong(job, "the engine was asked for what is recorded")
        if self.engine_says:
            raise self.engine_says.pop()
        self._heard += 1
        return tuple(self._transcript(job, staged, task) for task in job.options.tasks), None

    def _transcript(self, job: Job, staged: Staged, task: str) -> Transcript:
        text = f" {staged.sha256} {self._heard}"
        said = Segment(
            *(0, 0, 0.0, 1.0, text, (), 0.0, -0.1, 1.0, 0.0), (Word(0.0, 1.0, text, 1.0),)
        )
        provenance = Provenance(
            *("0", "test engine", "selftest", "0" * 64, "cpu", "int8", {}, "talk"),
            *(staged.sha256, job.source.size, job.source.mtime_ns, job.correlation),
        )
        return Transcript(task, "en", 0.9, 1.0, "selftest", (said,), (), provenance)

    # --- the share and its watch ----------------------------------------------------------------

    def drops(self, name: bytes) -> None:
        """Somebody puts a file there, or another one in its place."""
        self.removes(name)
        self._mtimes += 1
        path = os.path.join(os.fsencode(self._real_root), name)
        with open(path, "wb") as stream:
            stream.write(b"%s %d" % (name, self._mtimes // 2))  # sometimes what was there before
        os.utime(path, ns=(self._mtimes, self._mtimes))
        self.in_place[name] = Source(SHARE, name, os.stat(path).st_size, self._mtimes)

    def removes(self, name: bytes) -> None:
        """Somebody takes a file away."""
        was = self.in_place.pop(name, None)
        if was is not None:
            self.moved.add((was.path, was.size, was.mtime_ns))
            os.unlink(os.path.join(os.fsencode(self._real_root), name))

    def looks(self, name: bytes) -> None:
        """The watch sees what has become of a file, and believes it."""
        if self.down:
            return
        if source := self.in_place.get(name):
            admit.admit(self.ledger, source, OPTIONS)
        else:
            admit.gone(self.ledger, SHARE, name)

    def unmounted(self) -> None:
        """The share goes; an empty folder shows where it was mounted."""
        os.rename(self.root, self._away)
        os.mkdir(self.root)
        self.down = True

    def mounted(self) -> None:
        """The share is back."""
        if left := os.listdir(self.root):
            self.violations.append(f"written under the bare mount point: {left}")
            shutil.rmtree(self.root)
        else:
            os.rmdir(self.root)
        os.rename(self._away, self.root)
        self.down = False

    def watch_checks(self) -> None:
        """The watch looks after the share's gate."""
        if self.down:
            gates.close(self.ledger, ShareOffline(share=SHARE))
        else:
            gates.open_again(self.ledger, f"share:{SHARE}")

    @property
    def _real_root(self) -> str:
        return self._away if self.down else self.root

    # --- what must hold -------------------------------------------------------------------------

    def _wrong(self, job: Job, what: str) -> None:
        self.violations.append(f"job {job.id}, epoch {job.epoch}: {what}")

    def wrong(self) -> list[str]:
        """What does not hold at this moment, or did not since it was last asked."""
        gate = gates.named(self.ledger, f"share:{SHARE}")
        for event in self._news():
            self._follow(event)
            if event.became == State.RUNNING and gate is not None and gate.since_ms < event.at_ms:
                self.violations.append(f"job {event.job} was claimed behind a closed gate")
        for job in self.jobs():
            self._check(job)
        return self.violations

    def jobs(self) -> list[Job]:
        """Every job."""
        return jobs.listing(self.ledger, limit=1_000, newest=False)

    def _news(self) -> Iterator[Event]:
        """Every step since we last asked, in the order in which they were taken."""
        sql = "SELECT * FROM event WHERE id > ? ORDER BY id"
        for row in list(self.ledger.rows(sql, [self._read])):
            self._read = row.pop("id")
            yield Event(**row)

    def _follow(self, event: Event) -> None:
        """Repeat a step by the table, beside the ledger."""
        was = self._states.get(event.job)
        if event.was != was:
            self.violations.append(f"job {event.job}: left {event.was}, being {was}")
        if was is not None and State(event.became) not in NEXT[State(was)]:
            self.violations.append(f"job {event.job}: {was} became {event.became}")
        self._states[event.job] = event.became
        spent = self._spent.setdefault(event.job, Counter())
        if was in _AFRESH and event.became == State.QUEUED:
            spent.clear()
            self._lost_ms.pop(event.job, None)
        elif was == State.RUNNING and event.code is not None:
            budget = CATALOGUE[event.code].budget
            spent[budget] += 1
            if budget is Budget.LOSSES:
                self._lost_ms.setdefault(event.job, []).append(event.at_ms)
        if event.code == WorkerDied.code and self._is_at_work(event):
            self.violations.append(f"job {event.job}: taken from a worker that lives and is at it")
        if event.code == Bug.code:
            self.violations.append(f"job {event.job}: a bug")
        if event.became == State.DONE:
            self._done[event.job, event.epoch] += 1
            if self._done[event.job, event.epoch] > 1:
                self.violations.append(f"job {event.job}, epoch {event.epoch}: done twice")

    def _is_at_work(self, event: Event) -> bool:
        for actor in self.standing(zombies=False):
            job = actor.claimed
            if job is not None and (job.id, job.attempt) == (event.job, event.attempt):
                return True
        return False

    def _check(self, job: Job) -> None:
        spent = self._spent.get(job.id, Counter())
        if self._states.get(job.id) != job.state:
            self._wrong(job, f"{job.state} without an event")
        if (job.errors, job.crashes) != (spent[Budget.ERRORS], spent[Budget.CRASHES]):
            self._wrong(job, f"charged {job.errors} errors, {job.crashes} crashes, not {spent}")
        if job.losses not in (losses := self._losses(job)):
            self._wrong(job, f"charged {job.losses} losses, not {sorted(losses)}")
        if job.state is State.DEAD and not any(spent[b] >= ALLOWANCE[b] for b in ALLOWANCE):
            self._wrong(job, f"dead, having spent {spent}")
        if job.state is State.CANCELLED and job.id not in self.cancelled:
            self._wrong(job, "cancelled by nobody")
        source = job.source
        missed = (source.path, source.size, source.mtime_ns) in self.moved
        if job.state is State.SOURCE_MISSING and not missed:
            self._wrong(job, "called source-missing while its file lay there")
        if job.state is State.DONE and not self._renderings(job):
            self._wrong(job, "done, and nothing is recorded")
        for row in exports.of_job(self.ledger, job.id):
            if row.state == "published" and row.format != "error":
                self._check_file(job, row)

    def _losses(self, job: Job) -> set[int]:
        """What may be charged: all, or those since some hour without any, which forgives."""
        at = self._lost_ms.get(job.id, [])
        pauses = pairwise([*at, self.clock.wall_ms])
        forgiven = (n for n, (one, next_) in enumerate(pauses, 1) if next_ - one >= _FORGIVEN_MS)
        return {len(at), *(len(at) - n for n in forgiven)}

    def _check_file(self, job: Job, row: exports.Published) -> None:
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(os.fsencode(self._real_root), row.path), "rb") as stream:
                found = hashlib.sha256(stream.read()).hexdigest()
            if found != row.sha256:
                self._wrong(job, f"{row.path!r} is not what was published")
            if found not in self._renderings(replace(job, epoch=row.epoch)):
                self._wrong(job, f"{row.path!r} is no rendering of what is recorded")
            return
        self._wrong(job, f"{row.path!r} was published and is not there")

    def _renderings(self, job: Job) -> set[str]:
        if (job.id, job.epoch) not in self._rendered:
            found = transcripts.get(self.ledger, job, "transcribe")
            if found is None:
                return set()
            every = export.render_all(found, job.options)
            digests = {hashlib.sha256(one.content).hexdigest() for one in every}
            self._rendered[job.id, job.epoch] = digests
        return self._rendered[job.id, job.epoch]

    # --- the end --------------------------------------------------------------------------------

    def calms_down(self) -> None:
        """No more faults: whoever is dead stays dead, and everything may come to its end."""
        if self.down:
            self.mounted()
        self.engine_says.clear()
        for actor in self.standing(zombies=False):
            actor.finish()
        for _ in range(40):
            self.watch_checks()
            for name in {*self.in_place, *(job.source.path for job in self.jobs())}:
                self.looks(name)
            if not jobs.listing(self.ledger, tuple(LIVE)):
                return
            self.clock.boot_s += 1_000
            self.clock.wall_ms += 1_000_000
            owner = min(self.alive)
            self.recovers(owner).finish()
            heard, self.bells[:] = list(self.bells), []
            for job_id in heard:
                self.hears(owner, job_id).finish()
        for job in jobs.listing(self.ledger, tuple(LIVE)):
            self._wrong(job, f"{job.state} for ever")

    def keeps_house(self) -> None:
        """What is done each day about half-written files."""
        shares.seen(self.ledger, SHARE, state="online")
        retention.sweep(self.ledger, self.settings)

    def left_over(self) -> list[str]:
        """What is not as it must be when everything has ended."""
        self.keeps_house()
        rows = {row.path for job in self.jobs() for row in exports.of_job(self.ledger, job.id)}
        there = {os.fsencode(name) for name in os.listdir(self.root)}
        ours = there - self.in_place.keys() - {marker.NAME}
        if strays := sorted(ours - rows):
            self.violations.append(f"left behind: {strays}")
        for source in self.in_place.values():
            job = jobs.find(self.ledger, source)
            if job is None:
                self.violations.append(f"{source.path!r} has no job")
            elif job.state is State.DONE:
                self._check_set(job)
            elif job.state is State.SOURCE_MISSING:
                self._wrong(job, "called source-missing at the end, and its file is there")
        if os.path.isdir(spool := self.settings.state("spool")) and (left := os.listdir(spool)):
            self.violations.append(f"left in the spool: {left}")
        return self.violations

    def _check_set(self, job: Job) -> None:
        rows = [row for row in exports.of_job(self.ledger, job.id) if row.format != "error"]
        if sorted(row.format for row in rows) != sorted(job.options.formats):
            self._wrong(job, f"its files are {[row.path for row in rows]}")
        for row in rows:
            if row.state != "published" or row.epoch != job.epoch:
                self._wrong(job, f"{row.path!r} is {row.state}, of epoch {row.epoch}")


_read_once = functools.lru_cache(from_json)
_template: dict[str, bytes] = {}


def _fresh_ledger(state_dir: str) -> None:
    """A ledger without a row; made once and copied, for making one takes longer than a test."""
    if not _template:
        schema.prepare(state_dir)
        with open(os.path.join(state_dir, "ledger.db"), "rb") as stream:
            _template["ledger"] = stream.read()
        return
    os.makedirs(state_dir)
    with open(os.path.join(state_dir, "ledger.db"), "wb") as stream:
        stream.write(_template["ledger"])
