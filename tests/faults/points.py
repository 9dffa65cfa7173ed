"""Lane: die at every single system call that changes or locks something.

Random kills hardly ever hit the moment between a rename and the commit that knows of it;
here every call of a job, a retry, a round of recover, a discovery, a job asked for anew and
one whose text was edited is hit in its turn, each followed by what a restarted box does. An
export that was already in its place when the process died must be left as it lies: adopted,
not written again.

Not here: calls that fail instead (errors), whole processes (kill).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final

from tests.faults import Amount, Figures
from tests.faults.strike import Point, Range, Struck, some

HOW: Final = "signal=SIGKILL"
HOW_MANY: Final = {Amount.SHORT: 6, Amount.FULL: 80, Amount.LONG: 1_200}
NEAR: Final = {Amount.SHORT: 6, Amount.FULL: 30, Amount.LONG: 1_000}  # a rename, of them
_BEHIND: Final = 10  # calls after a rename; the commit is among them


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """Die everywhere, finish, judge; then try the control."""
    chance = random.Random(seed)
    with Range(where) as shooting:
        points = shooting.points()
        near = near_renames(points)
        chosen = choose(points, near, how_much, chance)
        struck = shooting.each([partial(shooting.strike, point, HOW) for point in chosen])
        deaths = [point for point in near if (point.scenario, point.call) == ("job", "fsync")]
        control = chance.sample(deaths, 2)
        twice = shooting.each([partial(shooting.strike, p, HOW, broken="twice") for p in control])
    adopted = sum(bool(one.adopted) for one in struck)
    silent = [] if adopted else ["adopted: no run died between a rename and its commit"]
    return Figures(
        done=f"killed at {len(struck):,} of {len(points):,} system calls",
        count=len(struck),
        violations=(*again(struck), *silent, *(one for each in struck for one in each.violations)),
        controls={"every attempt transcribes anew": bool(again(twice))},
        facts={
            "died between rename and commit, adopted": float(adopted),
            "only a child died": float(sum(not one.died for one in struck)),
            "in": told(Counter(one.point.scenario for one in struck)),
            "at": told(Counter(one.point.call for one in struck)),
        },
    )


def near_renames(points: Sequence[Point]) -> list[Point]:
    """Calls right behind the one that put an export into its place."""
    found: dict[Point, None] = {}
    for number, point in enumerate(points):
        if point.call.startswith("rename") and "/inbox" in point.what:
            behind = points[number : number + _BEHIND]
            found |= dict.fromkeys(one for one in behind if one.scenario == point.scenario)
    return list(found)


def choose(
    points: Sequence[Point], near: Sequence[Point], how_much: Amount, chance: random.Random
) -> list[Point]:
    """Some of every scenario, those near a rename first; locks of readers are the least of it.

    Whoever dies at the fsync of the share's folder dies between a rename and its commit.
    """
    between = [point for point in near if point.call == "fsync" and "appliance" not in point.what]
    most = NEAR[how_much]
    chosen = dict.fromkeys(chance.sample(between, min(most // 2, len(between))))
    chosen |= dict.fromkeys(chance.sample(near, min(most - len(chosen), len(near))))
    rest = [point for point in points if point not in chosen]
    weights = [0.2 if point.call == "fcntl" else 1.0 for point in rest]
    return [*chosen, *some(rest, weights, HOW_MANY[how_much], chance)]


def again(struck: Sequence[Struck]) -> list[str]:
    """Exports that lay there, whole and announced, and were written once more."""
    return [
        f"duplicate: {one.point}: {path!r} lay there and was written again"
        for one in struck
        for path in one.intended - one.adopted
    ]


def told(counts: Counter[str]) -> str:
    """Counts in a line."""
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())
