"""The power goes, at any moment, while a box works: what it has said stays said.

A whole box works on a disk that can be cut (disk). Before each cut we read what it has
acknowledged: every job in the ledger, every job that is done with its files. Each of
these is a fact, and each must be on the disk that is found afterwards: the row, at least
as far as it was, and of a done job every file, whole. Then a box is started on some of
these disks and must finish everything, each recording once.

Two controls must fail: a ledger that does not wait for the disk (synchronous = NORMAL),
and exports that do not (no fsync). Both are patched into the box's processes from outside
(a sitecustomize of the test's); the product has no such switch.

Not here: processes that die while the kernel lives (kill).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from appliance.states import LIVE
from tests.faults import Amount, Figures, verdict
from tests.faults.box import SHARE, Box
from tests.faults.disk import Disk
from tests.faults.kill import settle, until
from tests.faults.recordings import Dropped, Kind, wav


@dataclass(frozen=True, slots=True)
class Plan:
    """How much."""

    cuts: int
    recordings: int
    restarts: int  # cuts on which a box is started
    control_cuts: int


PLANS: Final = {
    Amount.SHORT: Plan(4, 12, 1, 3),
    Amount.FULL: Plan(60, 160, 4, 6),
    Amount.LONG: Plan(220, 500, 12, 10),
}
_WAITING: Final = 12  # recordings that may wait at a time
_ORDER: Final = ("discovered", "queued", "running", "done")  # what a good recording goes through
_CARELESS: Final = {
    "a ledger with synchronous = NORMAL": """
import sqlite3
class Careless(sqlite3.Connection):
    def execute(self, sql, *arguments):
        return super().execute(sql.replace("= FULL", "= NORMAL"), *arguments)
_connect = sqlite3.connect
def connect(*arguments, **options):
    return _connect(*arguments, **{"factory": Careless, **options})
sqlite3.connect = connect
""",
    "exports without fsync": "import os\nos.fsync = lambda fd: None\n",
}


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """Cut, look, start again; then the same with boxes that do not wait for the disk."""
    plan = PLANS[how_much]
    honest = Cuts(random.Random(seed), os.path.join(where, "honest"))
    honest.run(plan.cuts, plan.recordings, plan.restarts)
    noticed = {
        name: _careless(code, plan, seed, os.path.join(where, f"careless-{n}"))
        for n, (name, code) in enumerate(_CARELESS.items())
    }
    return Figures(
        done=f"{honest.cuts} power cuts, {honest.facts:,} acknowledged facts",
        count=honest.cuts,
        violations=tuple(honest.violations),
        controls={name: bool(lost) for name, lost in noticed.items()},
        facts={
            "of them jobs done, with their files": float(honest.delivered),
            "boxes started on what was left": float(honest.restarted),
            **{f"lost by {name}": float(lost) for name, lost in noticed.items()},
        },
    )


def _careless(code: str, plan: Plan, seed: int, where: str) -> int:
    """Run a box with a flaw; how many facts it lost."""
    patch = os.path.join(where, "patch")
    os.makedirs(patch)
    with open(os.path.join(patch, "sitecustomize.py"), "w", encoding="ascii") as stream:
        stream.write(code)
    cuts = Cuts(random.Random(seed), where)
    with _environment(PYTHONPATH=patch):
        cuts.run(plan.control_cuts, max(plan.control_cuts * 2, 12), 0)
    return len(cuts.violations)


@contextlib.contextmanager
def _environment(**more: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class Cuts:
    """A box on a disk, and what is found on the clones of that disk."""

    chance: random.Random
    where: str
    cuts: int = 0
    facts: int = 0
    delivered: int = 0
    restarted: int = 0
    violations: list[str] = field(default_factory=list)
    _sent: dict[bytes, str] = field(default_factory=dict)  # sha256 by path

    def run(self, cuts: int, recordings: int, restarts: int) -> None:
        """Let a box work and cut its power so many times; start a box on some of what is left."""
        os.makedirs(self.where, exist_ok=True)
        with Disk(self.where) as disk:
            kept: list[str] = []
            with Box(disk.folder, hurry=8) as box:
                until(box, lambda: self._watches(box), seconds=120)
                for n in range(cuts):
                    self._go_on(box, recordings * (n + 1) // cuts)
                    clone = self._cut(disk, box)
                    if restarts and n % max(cuts // restarts, 1) == 0 and len(kept) < restarts:
                        kept.append(clone)
                    else:
                        os.unlink(clone)
                box.stop()
            for clone in kept:
                with disk.powered_up(clone) as folder:
                    self._start_again(folder)

    def _watches(self, box: Box) -> bool:
        row = box.ledger.row("SELECT scanned_ms FROM share WHERE name = ?", [SHARE])
        return row is not None and row["scanned_ms"] is not None

    def _go_on(self, box: Box, sent: int) -> None:
        """Let recordings arrive and the box work, for a moment of any length."""
        live = ", ".join(f"'{state}'" for state in LIVE)
        waiting = f"SELECT count(*) AS n FROM job WHERE state IN ({live})"  # noqa: S608

        def may_drop() -> bool:
            row = box.ledger.row(waiting)
            return row is not None and row["n"] < _WAITING

        while len(self._sent) < sent:
            until(box, may_drop)
            self._drop(box)
        until(box, lambda: self._done(box) >= max(1, sent - _WAITING // 2))
        until(box, lambda: False, seconds=self.chance.uniform(0.0, 0.6))

    def _done(self, box: Box) -> int:
        row = box.ledger.row("SELECT count(*) AS n FROM job WHERE state = 'done'")
        return int(row["n"]) if row else 0

    def _drop(self, box: Box) -> None:
        """Put a recording there that is on the disk when it has its name: ours is to lose it."""
        name = f"{len(self._sent):05}.wav".encode()
        content = wav(Kind.GOOD, self.chance)
        aside = os.path.join(os.path.dirname(box.root), "aside")
        with open(aside, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(aside, os.path.join(os.fsencode(box.root), name))
        self._sent[name] = hashlib.sha256(content).hexdigest()

    # --- a cut ----------------------------------------------------------------------------------

    def _cut(self, disk: Disk, box: Box) -> str:
        """Read what was acknowledged, cut, and look for it."""
        said = {row["path"]: row["state"] for row in box.ledger.rows("SELECT path, state FROM job")}
        clone = disk.cut()
        self.cuts += 1
        self.facts += len(said)
        self.delivered += sum(state == "done" for state in said.values())
        with disk.powered_up(clone) as folder:
            self.violations += [f"cut {self.cuts}: {one}" for one in _lost(folder, said)]
        return clone

    def _start_again(self, folder: str) -> None:
        """Start a box on what was left; it must finish everything, once."""
        self.restarted += 1
        with Box(folder, hurry=8) as box:
            for name in sorted(self._sent):
                path = os.path.join(os.fsencode(box.root), name)
                if os.path.exists(path):
                    box.dropped.append(Dropped.at(SHARE, box.root, name, Kind.GOOD.ends))
            settle(box)
            time.sleep(1.0)  # a few rounds of recover
            box.stop()
            found = verdict.judge(box.settings.state_dir, {SHARE: box.root}, box.dropped)
        self.violations += [f"started again: {one}" for one in found]


def _lost(folder: str, said: Mapping[bytes, str]) -> Iterator[str]:
    """What a box had said and its disk does not know."""
    file = os.path.join(folder, "state", "ledger.db")
    with contextlib.closing(sqlite3.connect(file)) as ledger:
        for (problem,) in ledger.execute("PRAGMA integrity_check"):
            if problem != "ok":
                yield f"ledger.db: {problem}"
        states = dict(ledger.execute("SELECT path, state FROM job"))
        for path, state in said.items():
            found = states.get(path)
            if found is None or _before(found, state):
                yield f"{path!r} was {state} and is {found}"
        yield from _files_lost(folder, ledger)


def _before(found: str, said: str) -> bool:
    """Whether a good recording is found less far than it was said to be."""
    if found not in _ORDER or said not in _ORDER:
        return False  # waits and retries go round
    return _ORDER.index(found) < _ORDER.index(said) and said == "done"


def _files_lost(folder: str, ledger: sqlite3.Connection) -> Iterator[str]:
    """Files of jobs that are done, and are not there, or not whole."""
    done = (
        "SELECT export.path, export.sha256 FROM export JOIN job ON job.id = export.job"
        " WHERE job.state = 'done'"
    )
    for path, sha256 in ledger.execute(done):
        try:
            with open(os.path.join(os.fsencode(folder), SHARE.encode(), path), "rb") as stream:
                found = hashlib.sha256(stream.read()).hexdigest()
        except FileNotFoundError:
            yield f"{path!r} of a job that is done is not there"
        else:
            if found != sha256:
                yield f"{path!r} of a job that is done is not whole"
