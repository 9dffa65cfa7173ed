"""Everything the status page and its JSON tell, gathered once: the box at one moment.

In: ledger, settings, what running jobs say of themselves, the shares that the reader may
see. Out: an Overview of plain values, the sentence that stands above everything included.
What lies in other shares is not counted; only the hour when all is ready is the box's own.

Not here: asking the ledger in SQL (appliance.store), how it looks (templates).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance import alarm, daemon, weights
from appliance.health import holding, room
from appliance.health.checks import Seen, of_the_day
from appliance.health.finding import Finding, Level
from appliance.report import shown
from appliance.rights import Shares, Sight
from appliance.roster import LEAST_LONG
from appliance.settings import Settings
from appliance.states import State
from appliance.store import attempts, board, gates, jobs, pause, shares, sightings
from appliance.store.board import Tally
from appliance.store.gates import Gate
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger, Moment
from appliance.store.pause import Pause
from appliance.store.shares import ShareRow
from appliance.store.sightings import Sighting
from web import asked, words
from web.estimate import Working, seconds_until_ready, working
from web.needs import Need, needs

_SHOWN: Final = 10  # rows of each list; the rest is counted, and on /jobs
_FORESEEN: Final = 2000  # queued jobs
_FORESEEN_SECONDS: Final = 7 * 86_400.0
_DAY_MS: Final = 24 * 3600 * 1000
WAITING: Final = (State.WAITING, State.RETRY_WAIT, State.DISCOVERED, State.HELD)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one sentence above everything."""

    tone: str  # good | busy | bad
    sentence: str
    ready_ms: int | None  # when everything in work and queued will be done


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk the box keeps its own things on."""

    free: int
    total: int
    level: str  # good | wait | bad

    @property
    def used_percent(self) -> int:
        """How full it is."""
        return round(100 * (self.total - self.free) / self.total)


@dataclass(frozen=True, slots=True)
class Arriving:
    """Files that are not complete yet."""

    files: tuple[Sighting, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The box at one moment."""

    now: Moment
    verdict: Verdict
    needs: tuple[Need, ...]
    gates: tuple[Gate, ...]
    working: tuple[Working, ...]
    queue: tuple[Job, ...]
    waiting: tuple[Job, ...]
    counts: dict[State, int]
    arriving: Arriving
    recent: tuple[Job, ...]
    shares: tuple[ShareRow, ...]
    disk: Disk
    day: Tally
    selftest: bool
    limits: str | None  # how jobs are held to them; None: no worker has started yet

    @property
    def queued(self) -> int:
        """How many jobs are queued."""
        return self.counts.get(State.QUEUED, 0)

    @property
    def waits(self) -> int:
        """How many jobs wait for something else than their turn."""
        return sum(self.counts.get(state, 0) for state in WAITING)


def in_sight(share: str, seen: Shares) -> bool:
    """Tell whether a share is one of those that are seen; None: every one is."""
    return seen is None or share in seen


def is_seen(job: Job, seen: Shares) -> bool:
    """Tell whether a job is one of those that are seen: in a share of theirs, or sent by them."""
    own = isinstance(seen, Sight) and job.submitter == seen.own
    return own or in_sight(job.source.share, seen)


def gather(ledger: Ledger, settings: Settings, seen: Shares = None) -> Overview:
    """Look at the whole box, as far as it is seen."""
    now = ledger.clock()
    counts = dict(jobs.counts(ledger, shares=seen))
    progress = daemon.progress_board(settings.run_dir)
    running = board.page(ledger, [State.RUNNING])
    at_work = tuple(working(job, progress.get(job.id, {}), now.wall_ms / 1000) for job in running)
    queue = tuple(board.next_up(ledger, limit=_SHOWN, shares=seen))
    arriving = _arriving(ledger, seen)
    rows = tuple(
        shares.get(ledger, one.name) for one in settings.watched if in_sight(one.name, seen)
    )
    day = board.tally(ledger, since_ms=now.wall_ms - _DAY_MS, shares=seen)
    looked = asked.seen()
    paused = pause.now(ledger)
    found = needs(_of_concern(looked, day, seen), alarm.firing(ledger, settings.run_dir))
    return Overview(
        now=now,
        verdict=_verdict(
            *(found, counts, arriving.count),
            *(None if paused else _ready_ms(ledger, settings, at_work), paused),
        ),
        needs=found,
        gates=tuple(gate for gate in gates.closed(ledger) if _concerns(gate, seen)),
        working=tuple(one for one in at_work if is_seen(one.job, seen)),
        queue=queue,
        waiting=tuple(board.page(ledger, WAITING, limit=_SHOWN, shares=seen)),
        counts=counts,
        arriving=arriving,
        recent=tuple(board.lately_ended(ledger, limit=_SHOWN, shares=seen)),
        shares=rows,
        disk=_disk(settings, looked),
        day=day,
        selftest=uses_selftest(settings),
        limits=holding.known(settings.run_dir),
    )


def _of_concern(looked: Seen, day: Tally, seen: Shares) -> tuple[Finding, ...]:
    """What needs a person who sees these shares: no other share, no other's failures."""
    if seen is None:
        return looked.needs
    told = (of_the_day(day) if one.code == "jobs" else one for one in looked.needs)
    return tuple(
        one
        for one in told
        if one.level is not Level.OK and (one.code not in _OF_SHARES or one.subject in seen)
    )


_OF_SHARES: Final = frozenset({"share", "adoption"})


def _concerns(gate: Gate, seen: Shares) -> bool:
    """Tell whether a closed gate is the reader's concern: a share's only where it is seen."""
    kind, _, share = gate.name.partition(":")
    return kind != "share" or in_sight(share, seen)


def _arriving(ledger: Ledger, seen: Shares) -> Arriving:
    files = sightings.arriving(ledger, limit=500, shares=seen)
    return Arriving(tuple(files[:_SHOWN]), len(files))


def _ready_ms(ledger: Ledger, settings: Settings, at_work: tuple[Working, ...]) -> int | None:
    queued = board.in_line(ledger, limit=_FORESEEN)
    if len(queued) == _FORESEEN:
        return None  # days away: whoever promises an hour there lies
    left = seconds_until_ready(
        at_work, queued, attempts.paces(ledger), workers=min(LEAST_LONG, settings.worker.threads)
    )
    if left is None or left > _FORESEEN_SECONDS:
        return None
    return ledger.clock().wall_ms + round(left * 1000)


def _verdict(
    found: tuple[Need, ...],
    counts: dict[State, int],
    arriving: int,
    ready_ms: int | None,
    paused: Pause | None,
) -> Verdict:
    running = counts.get(State.RUNNING, 0)
    waiting = sum(counts.get(state, 0) for state in (State.QUEUED, *WAITING))
    doing = ", ".join(
        text
        for number, text in (
            (running, f"{words.count_of(running, 'file')} in work"),
            (waiting, f"{waiting:,} waiting"),
            (arriving, f"{arriving:,} arriving"),
        )
        if number
    )
    if found:
        doing = ", ".join(filter(None, (doing, _paused(paused) if paused else "")))
        head = "1 thing needs you" if len(found) == 1 else f"{len(found)} things need you"
        return Verdict("bad", f"{head} — {doing}" if doing else head, ready_ms)
    tone = "busy" if doing else "good"
    if paused is not None:
        return Verdict("busy", f"{_paused(paused)} — {doing or 'nothing to do'}", None)
    return Verdict(tone, f"All good — {doing or 'nothing to do'}", ready_ms)


def _paused(lasting: Pause) -> str:
    """The one sentence that a queue which stands still has."""
    who = lasting.who.partition(":")[2] or lasting.who
    why = f": {shown(lasting.why)}" if lasting.why else ""
    return f"The queue is paused by {shown(who)}{why}"


def _disk(settings: Settings, looked: Seen) -> Disk:
    tightest = room.rooms(settings)[0]
    told = next((one for one in looked.findings if one.code == "disk"), None)
    return Disk(tightest.free, tightest.total, _TONES[told.level if told else Level.OK])


_TONES: Final = {Level.OK: "good", Level.WARN: "wait", Level.FAIL: "bad"}


def uses_selftest(settings: Settings) -> bool:
    """Would a recording dropped now be transcribed by the self-test model?"""
    return any(settings.options_for(share).model == weights.SELFTEST for share in settings.share)
