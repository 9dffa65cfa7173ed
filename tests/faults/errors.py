"""Lane: every system call that changes something fails, with every errno a disk or server knows.

The same calls as in `points`, but the process lives to see the failure: it must name it (a
code of the catalogue, never `bug`, never a traceback), blame whom it belongs to, leave the
job where it waits or tries again, and end it well once the fault is gone.

Not here: dying at a call (points).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from appliance.errors import CATALOGUE
from tests.faults import Amount, Figures
from tests.faults.points import told
from tests.faults.strike import Point, Range, Struck, some

HOW_MANY: Final = {Amount.SHORT: 12, Amount.FULL: 120, Amount.LONG: 700}
LASTING: Final = 0.25  # of the faults stay until the process ends; the others come once

_WRITING: Final = ("ENOSPC", "EIO", "EDQUOT", "ESTALE")
_NAMING: Final = ("EACCES", "EROFS", "ENOSPC", "EDQUOT", "EIO", "ESTALE")
_REMOVING: Final = ("EACCES", "EROFS", "EIO", "ESTALE")
ERRNOS: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("write", "pwrite64", "fsync", "fdatasync"), _WRITING),
    **dict.fromkeys(("openat", "openat2", "mkdir", "mkdirat", "link", "linkat"), _NAMING),
    **dict.fromkeys(("rename", "renameat", "renameat2"), _NAMING),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), _REMOVING),
    "ftruncate": ("ENOSPC", "EROFS", "EIO"),
    "fchmod": ("EACCES", "EROFS", "EIO"),
    "fchown": ("EACCES", "EROFS", "EIO"),
    "flock": ("EIO", "ESTALE"),
    "fcntl": ("EIO", "ESTALE"),
}
_ALWAYS: Final = frozenset({"node.worker-died", "node.child-killed"})


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """Fail everything, look how it was named, finish, judge."""
    chance = random.Random(seed)
    with Range(where) as shooting:
        points = shooting.points()
        chosen = [(point, fault(point, chance)) for point in choose(points, how_much, chance)]
        scenarios = {"job", *(point.scenario for point, _ in chosen)}
        usual = {scenario: shooting.codes(scenario) for scenario in scenarios}
        struck = shooting.each([partial(shooting.strike, point, how) for point, how in chosen])
        nameless = shooting.strike(a_write(points), "error=EIO:lasting", broken="nameless")
    violations = [*(one for each in struck for one in each.violations)]
    for one, (_, how) in zip(struck, chosen, strict=True):
        violations += [f"untyped: {one.point}, {how}: {why}" for why in wrong(one, usual)]
    return Figures(
        done=f"{len(struck):,} failing calls of {len(points):,}, {len(_errnos(chosen))} errnos",
        count=len(struck),
        violations=tuple(violations),
        controls={"nobody names what SQLite says": bool(wrong(nameless, usual))},
        facts={
            "ended": told(Counter(one.ended["ended"] for one in struck)),
            "named": told(Counter(code for one in struck for code in named(one, usual))),
            "errnos": told(_errnos(chosen)),
            "at": told(Counter(one.point.call for one in struck)),
        },
    )


def choose(points: Sequence[Point], how_much: Amount, chance: random.Random) -> list[Point]:
    """Some points: the more of a call there are, the less likely each, or fcntl would be all."""
    each = Counter(point.call for point in points)
    weights = [each[point.call] ** -0.6 for point in points]
    return some(points, weights, HOW_MANY[how_much], chance)


def a_write(points: Sequence[Point]) -> Point:
    """A job's own first write into the ledger."""
    return next(
        point
        for point in points
        if (point.scenario, point.call) == ("job", "pwrite64") and "ledger.db-wal" in point.what
    )


def fault(point: Point, chance: random.Random) -> str:
    """An errno that this call may meet, once or until the process ends."""
    lasting = chance.random() < LASTING
    return f"error={chance.choice(ERRNOS[point.call])}" + (":lasting" if lasting else "")


def _errnos(chosen: Sequence[tuple[Point, str]]) -> Counter[str]:
    return Counter(how.removeprefix("error=").partition(":")[0] for _, how in chosen)


# --- how it was named ---------------------------------------------------------------------------


def named(one: Struck, usual: Mapping[str, frozenset[str]]) -> set[str]:
    """The codes this fault brought about: of the process, and of its jobs beyond the usual ones."""
    own = {one.ended["code"]} if "code" in one.ended else set()
    return own | set(one.codes - usual[one.point.scenario])


def wrong(one: Struck, usual: Mapping[str, frozenset[str]]) -> list[str]:
    """What a fault must not lead to: no name, a bug, or the blame on somebody else."""
    if one.ended["ended"] in ("untyped", "silently"):
        return [f"{one.ended}"]
    found = []
    for code in named(one, usual):
        if code not in CATALOGUE or code == "bug":
            found.append(f"is called {code}")
        elif code not in _ALWAYS and not code.startswith(_families(one.hit)):
            found.append(f"is called {code}, which is somebody else's turn ({one.hit[:3]})")
    return found


def _families(hit: Sequence[str]) -> tuple[str, ...]:
    """Whose turn it is: who runs the share, who runs the box, or who may read its settings."""
    turns = ["share." if what.startswith("/inbox") else "node." for what in hit]
    return (*turns, *(("settings.",) if "/appliance.toml" in hit else ()))
