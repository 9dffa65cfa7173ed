"""Which calls are points, told by strace's own words; and what is drawn of them."""

from __future__ import annotations

import random

from tests.faults.points import near_renames
from tests.faults.strike import Point, _points_of, some

LOG = """\
7 mkdir("/box/state", 0770) = 0
7 openat(AT_FDCWD</top>, "/box/state/ledger.db", O_RDONLY) = 3</box/state/ledger.db>
7 openat(AT_FDCWD</top>, "/box/state/ledger.db", O_RDWR|O_CREAT, 0644) = 3</box/state/ledger.db>
7 pwrite64(3</box/state/ledger.db-wal>, "x", 1, 0) = 1
7 write(1</dev/pts/0>, "not of the box", 14) = 14
8 write(4</box/inbox/.~appliance-1.1.txt>, "text", 4 <unfinished ...>
7 write(5</box/inbox/.~appliance-1.1.srt>, "text", 4) = 4
8 <... write resumed>) = 4
8 mkdir("/box/state", 0770) = 0
7 renameat2(6</box/inbox>, ".~appliance-1.1.txt", 6</box/inbox>, "talk.txt", RENAME_NOREPLACE) = 0
7 fsync(6</box/inbox>) = 0
7 fsync(9</boxes/inbox>) = 0
"""


def points() -> list[Point]:
    return list(_points_of("job", iter(LOG.splitlines()), "/box"))


def test_a_point_is_a_call_that_changes_something_of_the_box() -> None:
    assert [(point.call, point.n) for point in points()] == [
        *(("mkdir", 1), ("openat", 2), ("pwrite64", 1), ("write", 1), ("write", 2)),
        *(("renameat2", 1), ("fsync", 1)),
    ]


def test_a_point_says_what_it_is_about() -> None:
    told = {(point.call, point.n): point.what for point in points()}
    assert told["pwrite64", 1].startswith("/state/ledger.db-wal")
    assert told["renameat2", 1] == '/inbox ".~appliance-1.1.txt" "talk.txt"'


def test_what_follows_a_rename_into_the_share_is_near_it() -> None:
    assert [point.call for point in near_renames(points())] == ["renameat2", "fsync"]


def test_nothing_is_drawn_twice_and_the_same_seed_draws_the_same() -> None:
    every = points()
    weights = [1.0] * len(every)
    drawn = some(every, weights, 5, random.Random(3))
    assert len(set(drawn)) == 5
    assert drawn == some(every, weights, 5, random.Random(3))
    assert set(some(every, weights, 99, random.Random(4))) == set(every)
