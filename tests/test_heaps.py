"""What somebody sees of many jobs: the same as by a walk past all of them, without that walk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from appliance.nouns import Options, Source
from appliance.rights import Shares, Sight
from appliance.states import ENDED, NEXT, State
from appliance.store import board, events, forgetting, jobs, schema, sightings, uploads
from appliance.store.board import Choice
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from tests import effort

OWN = "user:anna"
SIGHTS: list[Shares] = [
    None,
    frozenset(),
    frozenset({"a"}),
    frozenset({"a", "c"}),
    Sight(frozenset({"b"}), OWN),
    Sight(frozenset(), OWN),
]
ENOUGH = 1000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as opened:
        yield opened


def moved_about(ledger: Ledger, count: int = 120) -> list[Job]:
    """Jobs of three shares, some of them sent, that went where chance took them."""
    with ledger.writing():
        _move_about(ledger, Random(7), count)
    return jobs.listing(ledger, limit=ENOUGH)


def _move_about(ledger: Ledger, chance: Random, count: int) -> None:
    for number in range(count):
        job = jobs.add(
            ledger,
            Source(chance.choice("abc"), b"%d.wav" % number, 1, 1),
            Options(),
            correlation="c",
            priority=chance.randint(-2, 2),
            submitter=chance.choice([OWN, "user:otto", None]),
        )
        assert job is not None
        for _ in range(chance.randint(0, 4)):
            job = jobs.move(ledger, job, chance.choice(sorted(NEXT[job.state])), who="t")


def is_seen(job: Job, shares: Shares) -> bool:
    own = isinstance(shares, Sight) and job.submitter == shares.own
    return shares is None or own or job.source.share in shares


def numbers(found: list[Job]) -> list[int]:
    return [job.id for job in found]


@pytest.mark.parametrize("shares", SIGHTS)
def test_pages_of_jobs_are_those_of_a_walk_past_all(ledger: Ledger, shares: Shares) -> None:
    every = moved_about(ledger)
    for states in ([], [State.QUEUED], [State.DONE, State.FAILED, State.HELD]):
        for share in (None, "a", "nowhere"):
            wanted = [
                job.id
                for job in every
                if is_seen(job, shares)
                and (not states or job.state in states)
                and share in (None, job.source.share)
            ]
            paged: list[int] = []
            before = None
            while found := board.page(
                *(ledger, states), share=share, before=before, limit=7, shares=shares
            ):
                paged += numbers(found)
                before = found[-1].id
            assert paged == wanted, (states, share)


@pytest.mark.parametrize("shares", SIGHTS)
def test_queue_and_ends_are_those_of_a_walk_past_all(ledger: Ledger, shares: Shares) -> None:
    seen = [job for job in moved_about(ledger) if is_seen(job, shares)]
    queued = [job for job in seen if job.state is State.QUEUED]
    queued.sort(key=lambda job: (-job.priority, job.id))
    assert numbers(board.next_up(ledger, limit=9, shares=shares)) == numbers(queued)[:9]
    ended = [job for job in seen if job.state in ENDED]
    ended.sort(key=lambda job: (job.updated_ms, job.id), reverse=True)
    assert numbers(board.lately_ended(ledger, limit=9, shares=shares)) == numbers(ended)[:9]
    tally = board.tally(ledger, since_ms=0, shares=shares)
    assert tally.done == sum(job.state is State.DONE for job in ended)
    assert tally.failed == sum(job.state in (State.FAILED, State.DEAD) for job in ended)


@pytest.mark.parametrize("shares", SIGHTS)
def test_counts_are_kept_whatever_becomes_of_a_job(ledger: Ledger, shares: Shares) -> None:
    every = moved_about(ledger)
    gone = [job for job in every if job.state in ENDED][:5]
    for job in gone:
        forgetting.forget(ledger, job)
    uploads.disown(ledger, "user:otto")
    left = [job for job in jobs.listing(ledger, limit=ENOUGH) if is_seen(job, shares)]
    assert jobs.counts(ledger, shares=shares) == Counter(job.state for job in left)
    of_a = Counter(job.state for job in left if job.source.share == "a")
    assert board.counts(ledger, Choice(share="a"), shares=shares) == of_a
    counted = board.counts(ledger, Choice(since_ms=0), shares=shares)
    assert counted == Counter(job.state for job in left)
    since = sorted(job.created_ms for job in left)[len(left) // 2 :][:1]
    counted = board.counts(ledger, Choice(since_ms=since[0] if since else 0), shares=shares)
    assert counted == Counter(job.state for job in left if job.created_ms >= since[0])


def crowd(ledger: Ledger, count: int) -> None:
    """Jobs that lie in another share, in every state that lists ask for."""
    states = (State.QUEUED, State.DONE, State.HELD)
    with ledger.writing() as db:
        db.conn.executemany(
            "INSERT INTO job (workload, share, path, size, mtime_ns, state, correlation,"
            " created_ms, updated_ms) VALUES ('transcription', 'crowd', ?, 1, ?, ?, 'c', 0, ?)",
            [(b"%d" % n, count, states[n % 3], n) for n in range(count)],
        )
        db.execute(
            "INSERT OR IGNORE INTO epoch (job, n, options, who, at_ms) SELECT job.id, 1,"
            " epoch.options, 't', 0 FROM job JOIN epoch ON epoch.job = 1"
        )


@pytest.mark.parametrize("shares", [frozenset({"a"}), Sight(frozenset({"a"}), OWN)])
def test_nobody_walks_past_what_they_do_not_see(ledger: Ledger, shares: Shares) -> None:
    moved_about(ledger, 40)
    questions: dict[str, Callable[[], object]] = {
        "page": lambda: board.page(ledger, limit=5, shares=shares),
        "held": lambda: board.page(ledger, [State.HELD], limit=5, shares=shares),
        "share": lambda: board.page(ledger, share="a", limit=5, shares=shares),
        "next up": lambda: board.next_up(ledger, limit=5, shares=shares),
        "lately ended": lambda: board.lately_ended(ledger, limit=5, shares=shares),
        "tally": lambda: board.tally(ledger, since_ms=0, shares=shares),
        "counts": lambda: jobs.counts(ledger, shares=shares),
        "events": lambda: events.since(ledger, events.newest(ledger) - 9, limit=5, shares=shares),
        "some counts": lambda: board.counts(ledger, Choice(share="a"), shares=shares),
        "counts since": lambda: board.counts(ledger, Choice(since_ms=0), shares=shares),
    }
    crowd(ledger, 10)
    before = {name: effort.steps(ledger, ask) for name, ask in questions.items()}
    crowd(ledger, 3000)
    after = {name: effort.steps(ledger, ask) for name, ask in questions.items()}
    grown = {name: after[name] - before[name] for name in questions}
    assert all(more < 300 for more in grown.values()), grown


def test_who_sees_all_walks_past_nothing_either(ledger: Ledger) -> None:
    moved_about(ledger, 40)
    crowd(ledger, 3000)
    states = [State.DONE, State.QUEUED]
    for ask in (
        lambda: board.page(ledger, limit=5),
        lambda: board.page(ledger, states, limit=5),
        lambda: board.page(ledger, [State.FAILED], limit=5),
        lambda: board.next_up(ledger, limit=5),
        lambda: board.lately_ended(ledger, limit=5),
        lambda: jobs.counts(ledger),
        lambda: board.counts(ledger, Choice(since_ms=1)),  # all but the crowd
    ):
        assert effort.steps(ledger, ask) < 2500


def test_files_that_arrive_are_found_share_by_share(ledger: Ledger) -> None:
    states = [sightings.RECEIVING, sightings.SETTLED, sightings.SETTLING, sightings.IGNORED]
    for number in range(24):
        source = Source("abc"[number % 3], b"%02d.wav" % number, 1, 1)
        sightings.note(ledger, source, states[number % 4], correlation="c")
    for shares in SIGHTS:
        found = {one.path for one in sightings.arriving(ledger, shares=shares)}
        wanted = {
            b"%02d.wav" % n for n in range(0, 24, 2) if shares is None or "abc"[n % 3] in shares
        }
        assert found == wanted
    assert len(sightings.arriving(ledger, limit=5)) == 5
    settled = [
        (Source("d", b"%d.pdf" % n, 1, 1), sightings.IGNORED, "no-recording", "c")
        for n in range(2000)
    ]
    before = effort.steps(ledger, lambda: sightings.arriving(ledger))
    sightings.note_many(ledger, settled)
    assert effort.steps(ledger, lambda: sightings.arriving(ledger)) < before + 300
