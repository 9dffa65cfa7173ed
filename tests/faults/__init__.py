"""The proof that nothing is lost and nothing is done twice, whatever breaks.

    make faults                   every lane in at most an hour; one table; exit 1 on a violation
    make faults LANE=kill         one of them
    make faults-long              the whole figures, lane by lane; what is done is not done again

A lane breaks one kind of thing over the product's own parts (ledger, Huey, watch, worker,
stage, deliver) and counts what went wrong. It is a module of this package, named in
`LANES` in `__main__`, with one entry:

    def run(how_much: Amount, *, seed: int, where: str) -> Figures

`how_much` says how far it goes: SHORT for `make test` (well under a minute where it can),
FULL for `make faults`, LONG for the whole figures. `seed` decides everything that is left
to chance. `where` is an empty folder of the lane's own, in memory where there is one (a
killed process leaves the same behind there); the driver removes it. A lane ends every
process it starts and undoes every mount, also when it fails; what it cannot do on this
machine (no root, no strace) it raises as `Missing`, which is no success.

Every lane asks the same judge, `verdict`, what became of the share and the ledger. It
raises nothing for a violation: it returns them all, one sentence each. A lane that could
not fail proves nothing: `controls` names what was broken on purpose, and whether that was
noticed; one that was not counts like a violation.

Not here: what single modules do (tests/test_*.py), speed (tests/bench).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Amount(enum.Enum):
    """How far a lane goes."""

    SHORT = "short"  # in `make test`
    FULL = "full"  # in `make faults`
    LONG = "long"  # in `make faults-long`


class Missing(Exception):
    """This machine cannot run the lane; says what it needs."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a lane did and what came of it."""

    done: str  # "1,000 kills over 2,000 jobs": for the table
    count: int  # of faults
    violations: tuple[str, ...]  # a sentence each; none is what we want
    controls: Mapping[str, bool] = field(default_factory=dict)  # broken on purpose: was it noticed
    facts: Mapping[str, str | float] = field(default_factory=dict)  # measured, to be shown

    @property
    def passed(self) -> bool:
        """Tell whether nothing was violated, and every control failed as it must."""
        return self.count > 0 and not self.violations and all(self.controls.values())


class Lane(Protocol):
    """What every module of a lane has."""

    def run(self, how_much: Amount, *, seed: int, where: str) -> Figures:
        """Break things, look, and say what came of it. Raises Missing."""
