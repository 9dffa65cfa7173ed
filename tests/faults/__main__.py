"""Run lanes and print one table; keep what is done, so that a long run can go on later.

    python -m tests.faults [LANE…] [--long]

Exit 0 when every lane that was asked for passed. Results lie in `.faults/`, a file for
each lane, amount and seed, with the commit they were made at. `--long` does not run again
what passed at this very commit; a tree with changes of its own has no commit.

Not here: what a lane does (its module), the short runs in `make test` (test_lanes).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from tests.faults import Amount, Figures, Lane, Missing

# Name of a lane, and the seeds of its long run. One whose module is not there is not listed.
LANES: Final = {
    "kill": (1, 2, 3),
    "points": (1,),
    "errors": (1,),
    "power": (1,),
    "model": (1,),
    "clock": (1,),
    "shares": (1,),
    "malformed": (1,),
    "ledger-lost": (1,),
}
KEPT: Final = ".faults"


@dataclass(frozen=True, slots=True)
class Run:
    """One lane, run once."""

    lane: str
    amount: Amount
    seed: int
    figures: Figures
    seconds: float
    commit: str | None  # None: the tree had changes of its own

    @property
    def file(self) -> str:
        """Where its result is kept."""
        return os.path.join(KEPT, f"{self.amount.value}-{self.lane}-{self.seed}.json")


def lanes() -> list[str]:
    """Every lane whose module is there."""
    return [name for name in LANES if importlib.util.find_spec(_module(name)) is not None]


def _module(name: str) -> str:
    return f"{__package__}.{name.replace('-', '_')}"


def run(name: str, amount: Amount, seed: int) -> Run:
    """Run one lane in a folder of its own. Raises Missing."""
    lane = cast("Lane", importlib.import_module(_module(name)))
    commit = _commit()
    begun = time.monotonic()
    with folder() as where:
        figures = lane.run(amount, seed=seed, where=where)
    return Run(name, amount, seed, figures, time.monotonic() - begun, commit)


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """Lend a folder in memory where there is room for one: kill -9 leaves the same in it."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - tempfile names it
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory) as where:
        yield where


# --- what is kept -------------------------------------------------------------------------------


def _commit() -> str | None:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout

    try:
        return None if git("status", "--porcelain") else git("rev-parse", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # no checkout


def keep(done: Run) -> None:
    """Write a result down, whole or not at all."""
    os.makedirs(KEPT, exist_ok=True)
    plain = dataclasses.asdict(done) | {"amount": done.amount.value}
    with open(f"{done.file}.new", "w", encoding="utf-8") as stream:
        json.dump(plain, stream, indent=2)
    os.replace(f"{done.file}.new", done.file)


def kept(name: str, amount: Amount, seed: int) -> Run | None:
    """The result of this very run, if it passed at this very commit."""
    sought = Run(name, amount, seed, Figures("", 0, ()), 0.0, _commit())
    try:
        with open(sought.file, encoding="utf-8") as stream:
            plain = json.load(stream)
    except (OSError, ValueError):
        return None
    facts = plain["figures"]
    figures = Figures(**facts | {"violations": tuple(facts["violations"])})
    found = dataclasses.replace(sought, figures=figures, seconds=plain["seconds"])
    same = sought.commit is not None and plain["commit"] == sought.commit
    return found if same and figures.passed else None


# --- what is printed ----------------------------------------------------------------------------

ROW: Final = "{:<12} {:>4}  {:<52} {:>7} {:>10} {:>8}"


def show(done: Run) -> None:
    """Print the row of one run, and below it what went wrong and what was measured."""
    figures = done.figures
    wrong = len(figures.violations) + sum(not noticed for noticed in figures.controls.values())
    say(ROW.format(done.lane, done.seed, figures.done, figures.count, wrong, f"{done.seconds:.0f}"))
    for violation in figures.violations[:20]:
        say(f"    VIOLATION {violation}")
    for control, noticed in figures.controls.items():
        say(f"    control   {control}: {'noticed' if noticed else 'NOT NOTICED'}")
    for fact, value in figures.facts.items():
        say(
            f"    measured  {fact}: {value:g}"
            if isinstance(value, float)
            else f"    measured  {fact}: {value}"
        )


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - what a person runs it for


def main(arguments: Sequence[str]) -> int:
    """Run the named lanes, or all of them."""
    amount = Amount.LONG if "--long" in arguments else Amount.FULL
    names = [name for name in arguments if not name.startswith("--")]
    if unknown := sorted(set(names) - set(lanes())):
        say(f"no such lane: {', '.join(unknown)}; there are {', '.join(lanes())}")
        return 2
    # What a lane has the product do in this very process is told by its figures alone.
    logging.getLogger("appliance").addHandler(logging.NullHandler())
    say(ROW.format("lane", "seed", "what was done", "faults", "violations", "seconds"))
    passed = True
    for name in names or lanes():
        for seed in LANES[name] if amount is Amount.LONG else (1,):
            passed &= _one(name, amount, seed)
    return 0 if passed else 1


def _one(name: str, amount: Amount, seed: int) -> bool:
    done = kept(name, amount, seed) if amount is Amount.LONG else None
    if done is None:
        try:
            done = run(name, amount, seed)
        except Missing as missing:
            say(f"{name:<12} cannot run here: {missing}")
            return False
        keep(done)
    show(done)
    return done.figures.passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
