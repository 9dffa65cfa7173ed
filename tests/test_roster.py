"""Which job a free thread takes: short ones first, and neither kind starves the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import admit, pulse
from appliance.nouns import Options, Source
from appliance.roster import Roster
from appliance.store import jobs, schema
from appliance.store.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as opened:
        yield opened


def queue(ledger: Ledger, *kinds: str, share: str = "s") -> list[int]:
    """Queue a job for each word, `short` or `long`; their numbers."""
    numbers = []
    for kind in kinds:
        name = f"{len(jobs.listing(ledger, limit=10_000))}.wav".encode()
        priority = admit.SHORT if kind == "short" else 0
        job = jobs.add(
            ledger, Source(share, name, 1, 1), Options(), correlation="c", priority=priority
        )
        assert job is not None
        numbers.append(job.id)
    return numbers


def taken(roster: Roster, stack: contextlib.ExitStack, most: int = 99) -> list[int]:
    """What threads that come one after the other take, until one gets nothing."""
    got: list[int] = []
    while len(got) < most and (job := stack.enter_context(roster.next())) is not None:
        got.append(job)
    return got


def test_a_memo_passes_the_recordings_that_came_before_it(ledger: Ledger) -> None:
    first, second, memo = queue(ledger, "long", "long", "short")
    roster = Roster(ledger, threads=3, speed=lambda: None)
    with contextlib.ExitStack() as stack:
        assert taken(roster, stack) == [memo, first, second]


def test_long_ones_leave_a_thread_for_a_memo(ledger: Ledger) -> None:
    queue(ledger, *["long"] * 10)
    roster = Roster(ledger, threads=3, speed=lambda: 5_000.0)
    with contextlib.ExitStack() as stack:
        assert len(taken(roster, stack)) == 2
        (memo,) = queue(ledger, "short")
        assert taken(roster, stack) == [memo]


def test_a_flood_of_memos_leaves_the_long_ones_their_threads(ledger: Ledger) -> None:
    queue(ledger, *["short"] * 50)
    longs = queue(ledger, "long", "long", "long")
    roster = Roster(ledger, threads=8, speed=lambda: None)
    with contextlib.ExitStack() as stack:
        got = taken(roster, stack, most=8)
        assert set(longs[:2]) < set(got)
        assert len(got) == 8


def test_without_long_ones_every_thread_has_a_memo(ledger: Ledger) -> None:
    queue(ledger, *["short"] * 50)
    roster = Roster(ledger, threads=8, speed=lambda: None)
    with contextlib.ExitStack() as stack:
        assert len(set(taken(roster, stack, most=8))) == 8


@pytest.mark.parametrize(("speed", "at_once"), [(None, 2), (20.0, 2), (600.0, 4), (9_999.0, 7)])
def test_as_many_long_ones_as_the_engine_can_hear(
    ledger: Ledger, speed: float | None, at_once: int
) -> None:
    queue(ledger, *["long"] * 20)
    roster = Roster(ledger, threads=8, speed=lambda: speed)
    with contextlib.ExitStack() as stack:
        assert len(taken(roster, stack)) == at_once


def test_a_share_that_hardly_moves_keeps_no_others_waiting(ledger: Ledger) -> None:
    """Two long recordings take days to come; those of another share are heard meanwhile."""
    slow = dict.fromkeys(queue(ledger, "long", "long", share="far"), "far")
    coming: dict[int, str] = {}
    roster = Roster(ledger, threads=8, speed=lambda: None, slow=lambda: coming)
    with contextlib.ExitStack() as stack:
        assert taken(roster, stack) == list(slow)
        near = queue(ledger, "long", "long", share="near")
        assert taken(roster, stack) == []
        coming |= slow
        assert taken(roster, stack) == near


def test_a_share_does_not_get_every_thread_to_wait_for_it(ledger: Ledger) -> None:
    far = queue(ledger, *["long"] * 20, share="far")
    coming: dict[int, str] = {}
    roster = Roster(ledger, threads=8, speed=lambda: None, slow=lambda: coming)
    with contextlib.ExitStack() as stack:
        got: list[int] = []
        while new := taken(roster, stack):
            got += new
            coming |= dict.fromkeys(new, "far")
        assert got == far[:4]
        near = queue(ledger, "long", "short", share="near")
        assert set(taken(roster, stack)) == set(near)


def test_what_is_done_makes_room(ledger: Ledger) -> None:
    first, second, third = queue(ledger, "long", "long", "long")
    roster = Roster(ledger, threads=3, speed=lambda: None)
    with roster.next() as one, roster.next() as two:
        assert (one, two) == (first, second)
        with roster.next() as nothing:
            assert nothing is None
    jobs.cancel(ledger, jobs.must(ledger, first), who="page")
    with roster.next() as one, roster.next() as two:
        assert (one, two) == (second, third)


def test_a_worker_with_one_thread_does_everything(ledger: Ledger) -> None:
    long, short = queue(ledger, "long", "short")
    roster = Roster(ledger, threads=1, speed=lambda: None)
    with roster.next() as job:
        assert job == short
    jobs.cancel(ledger, jobs.must(ledger, short), who="page")
    with roster.next() as job:
        assert job == long


def test_what_the_engine_said_long_ago_counts_for_nothing(tmp_path: Path) -> None:
    assert pulse.speed(str(tmp_path)) is None
    pulse.write(str(tmp_path), {"models": {"a": {"speed": None}, "b": {"speed": 40.0}}})
    assert pulse.speed(str(tmp_path)) == 40.0
    file = tmp_path / "engine-0.json"
    file.write_text(file.read_text().replace('"at": 1', '"at": 0'))
    assert pulse.read(str(tmp_path)) == {}
    file.write_text("torn")
    assert pulse.read(str(tmp_path)) == {}
