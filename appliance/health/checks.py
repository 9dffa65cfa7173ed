"""The questions an administrator would ask this box, as a table. They look, never repair.

A check is a declared value: what it is called, how long it may last before people are told,
what it holds back meanwhile, and the function that looks. `look` asks them all; the page,
`/readyz`, `/metrics`, `appliance check`, `doctor` and the alerts show what it found and ask
nothing else, so that they cannot disagree.

Not here: opening gates (gates, recover), alerts (alarm), what the platform allows (doctor).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance import wire
from appliance.errors import (
    ApplianceError,
    ClockLeapt,
    ClockWrong,
    DiskFull,
    DiskLow,
    EngineUnreachable,
    LedgerDamaged,
    QueueIdle,
    ShareOffline,
    WatchStopped,
    WorkerStopped,
)
from appliance.health import alive, gpu, holding, isolation, keeping, models, ready, room, telling
from appliance.health.finding import Finding, Level, named
from appliance.nouns import UPLOADS
from appliance.settings import GB, Settings
from appliance.states import State
from appliance.store import alerts, board, clocks, gates, housekeeping, jobs, pause, shares
from appliance.store.board import Tally
from appliance.store.ledger import Ledger

_DAY_MS: Final = 86_400_000
_IDLE_MS: Final = 60_000
_UPKEEP_DAYS: Final = 2.0
_DOOR_SECONDS, _LOCK_SECONDS = 1.0, 2.0
Ask = Callable[[Ledger, Settings], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A question about the box, and what its answer means."""

    code: str
    title: str  # what it is about, for people
    look: Ask
    effect: str  # what a bad answer means for recordings
    hint: str = ""  # the next step, where the answer names none
    needs: Level = Level.FAIL  # from here on it needs a person: the page and the alerts
    news: bool = True  # whether people are told who do not look at the page
    patience: float = 8.0  # seconds that it must last before they are: a restart is no news
    blocks: str = ""  # what it holds back: the box, or what a gate of that name does
    after: tuple[str, ...] = ()  # silent while one of these fails: they are the cause


@dataclass(frozen=True, slots=True)
class Seen:
    """The box at one moment, as the checks found it."""

    findings: tuple[Finding, ...]
    silent: frozenset[str]  # checks that were not asked: their cause is named
    ready: bool

    @property
    def worst(self) -> dict[str, Finding]:
        """The worst answer of each check, in the order of the table."""
        found: dict[str, Finding] = {}
        for one in self.findings:
            if one.code not in found or one.level > found[one.code].level:
                found[one.code] = one
        return found

    @property
    def needs(self) -> tuple[Finding, ...]:
        """What needs a person."""
        return tuple(one for one in self.findings if one.level >= NAMED[one.code].needs)

    @property
    def news(self) -> tuple[Finding, ...]:
        """What people are told who do not look."""
        return tuple(one for one in self.needs if NAMED[one.code].news)


# --- the questions ------------------------------------------------------------------------------


def can_write(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Does the ledger answer, and can it be written?"""
    try:
        ledger.knock(_LOCK_SECONDS)
    except LedgerDamaged:
        raise
    except DiskFull:
        pass  # said by the disk's own check
    except ApplianceError as error:
        yield named("ledger", error)
        return
    yield Finding("ledger", Level.OK, f"the ledger in {settings.state_dir} answers")


def disk(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Is there room for the next job?"""
    if gate := gates.named(ledger, "disk"):
        yield named("disk", gate.error, since_ms=gate.since_ms)
        return
    was = max((Level(one.level) for one in alerts.told(ledger) if one.code == "disk"), default=None)
    every = room.rooms(settings)
    level, worst = max(
        ((one.judged(settings.disk, was or Level.OK), one) for one in every),
        key=lambda judged: (judged[0], -judged[1].free),
    )
    free = worst.free / GB
    if level is Level.FAIL:
        yield named("disk", DiskFull(where=worst.where, free_gb=free))
    elif level is Level.WARN:
        stop = settings.disk.stop_below_gb
        full = worst.used_percent
        low = DiskLow(where=worst.where, free_gb=free, percent=full, stop_gb=stop)
        yield named("disk", low, level=level)
    else:
        yield Finding("disk", level, f"{free:.1f} GB free in {worst.where}")


def spool(ledger: Ledger, _settings: Settings) -> Iterator[Finding]:
    """Does a recording wait for room beside others?"""
    if gate := gates.named(ledger, "spool"):
        yield named("spool", gate.error, level=Level.WARN, since_ms=gate.since_ms)


def worker(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Does the worker live, and does it get decoders?"""
    if "worker" in alive.not_running(settings.state_dir, settings.run_dir):
        yield named("worker", WorkerStopped())
    elif gate := gates.named(ledger, "decoder"):
        yield named("worker", gate.error, since_ms=gate.since_ms)
    else:
        yield Finding("worker", Level.OK, "the worker runs")


def watch(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Does the watch live?"""
    if "watch" in alive.not_running(settings.state_dir, settings.run_dir):
        yield named("watch", WatchStopped())
    else:
        yield Finding("watch", Level.OK, "the watch runs")


def engine(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Does the engine open its door?"""
    if gate := gates.named(ledger, "engine"):
        yield named("engine", gate.error, since_ms=gate.since_ms)
        return
    try:
        wire.connect(settings.engine_socket, patience=_DOOR_SECONDS).close()
    except OSError:
        yield named("engine", EngineUnreachable())
    else:
        yield Finding("engine", Level.OK, "the engine answers")


def every_share(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Is each share there, the right one, and does it let us write?"""
    for share in settings.watched:
        row = shares.get(ledger, share.name)
        if gate := gates.named(ledger, f"share:{share.name}"):
            yield named("share", gate.error, subject=share.name, since_ms=gate.since_ms)
        elif row.state == "offline":
            found = named("share", ShareOffline(share=share.name), subject=share.name)
            why = f": {row.why}." if row.why else "."
            yield replace(found, text=f"{found.text.removesuffix('.')}{why}")
        elif row.state == "online":
            text = f"{share.name} ({share.root}) is online, found by {row.method}"
            yield Finding("share", Level.OK, text, subject=share.name)
        elif share.name != UPLOADS or row.state in _LOOKS:  # one of our own is there unlooked at
            level, looks = _LOOKS.get(row.state, (Level.WARN, f"is {row.state}"))
            text = f"The share {share.name} {looks}: {row.why or 'not looked at yet'}."
            yield Finding("share", level, text, subject=share.name)


_LOOKS: Final = {"suspect": (Level.FAIL, "looks wrong")}


def adoption(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Does a share wait for a decision about its old recordings?"""
    for share in settings.share:
        row = shares.get(ledger, share.name)
        if row.adopted_ms is None and row.scanned_ms is not None:
            old = "1 old recording" if row.old_files == 1 else f"{row.old_files} old recordings"
            text = (
                f"The share {share.name} holds {old}, and nothing runs there until you decide "
                "what becomes of them."
            )
            step = (
                f"`appliance share adopt {share.name} --existing ignore` leaves them alone; "
                "`--existing process` transcribes them too."
            )
            yield Finding("adoption", Level.WARN, text, step, share.name)
    if not settings.share:
        yield Finding("adoption", Level.WARN, "No folder is watched yet.")


def walls(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Behind which walls does the worker decode strangers' files?"""
    found = isolation.known(settings.run_dir)
    if found is None:
        return  # no worker has started, and that is said elsewhere
    if weak := isolation.weakness(found):
        yield named("isolation", weak, level=Level.WARN)
    else:
        yield Finding("isolation", Level.OK, "strangers' files are decoded behind every wall")


def limits(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Who holds each job to its limits?"""
    mode = holding.known(settings.run_dir)
    if mode is None:
        return  # no worker has started, and that is said elsewhere
    if settings.worker.require_cgroups and (weak := holding.weakness(mode)):
        yield named("limits", weak)
    else:
        yield Finding("limits", Level.OK, f"{mode} ({holding.HOW[mode]})")


def clock(ledger: Ledger, _settings: Settings) -> Iterator[Finding]:
    """Has the clock gone back?"""
    if behind := clocks.behind_ms(ledger, ledger.clock()):
        yield named("clock", ClockWrong(behind=keeping.spell(behind / 1000)))
    else:
        yield Finding("clock", Level.OK, "the clock goes on")


def idle(ledger: Ledger, _settings: Settings) -> Iterator[Finding]:
    """Does the queue move?"""
    waiting = jobs.counts(ledger).get(State.QUEUED, 0)
    if not waiting or pause.now(ledger) or board.page(ledger, [State.RUNNING], limit=1):
        return
    (first,) = board.next_up(ledger, limit=1) or (None,)
    if first is not None and ledger.clock().wall_ms - first.updated_ms > _IDLE_MS:
        yield named("queue", QueueIdle())


def failures(ledger: Ledger, _settings: Settings) -> Iterator[Finding]:
    """Has a recording failed that somebody should look at?"""
    yield of_the_day(board.tally(ledger, since_ms=ledger.clock().wall_ms - _DAY_MS))


def of_the_day(day: Tally) -> Finding:
    """What a day's ends say."""
    if day.failed:
        count = "1 recording" if day.failed == 1 else f"{day.failed:,} recordings"
        text = f"{count} could not be transcribed in the last 24 hours."
        return Finding("jobs", Level.WARN, text)
    return Finding("jobs", Level.OK, f"{day.done} recordings done in 24 hours, none failed")


def upkeep(ledger: Ledger, _settings: Settings) -> Iterator[Finding]:
    """Has the box removed what it needs no more, within the last days?"""
    now, last = ledger.clock().wall_ms, housekeeping.last(ledger)
    first = jobs.get(ledger, 1)
    since = last if last is not None else first.created_ms if first else now
    days = (now - since) / _DAY_MS
    if leap := housekeeping.leap_ms(ledger):
        yield named("retention", ClockLeapt(moved=keeping.spell(leap / 1000)), level=Level.WARN)
    elif days > _UPKEEP_DAYS:
        text = f"Nothing was tidied up for {days:.0f} days."
        yield Finding("retention", Level.WARN, text)
    elif last is None:
        yield Finding("retention", Level.OK, "nothing to tidy up yet")
    else:
        yield Finding("retention", Level.OK, f"tidied up {days * 24:.0f} hours ago")


# --- the table ----------------------------------------------------------------------------------

_NOTHING: Final = "Nothing is transcribed until this is mended. Nothing is lost."
_WAITS: Final = "Its recordings wait, cost nothing and go on by themselves."
_WORKS: Final = "Recordings are not affected."
_UNSAFE: Final = "Recordings are not affected, but what the box knows of them is less safe."

CHECKS: Final[tuple[Check, ...]] = (
    Check("ledger", "The ledger", can_write, _NOTHING, blocks=ready.THE_BOX),
    Check(
        *("disk", "Room on the disk of the box", disk),
        "While the disk is full new recordings wait; nothing is lost.",
        needs=Level.WARN,
        blocks="disk",
    ),
    Check("spool", "Room for copies of recordings", spool, _WAITS),
    Check("reserve", "The reserve for a full disk", keeping.reserved, _WORKS, after=("disk",)),
    Check("backup", "Backups of the ledger", keeping.backed_up, _UNSAFE),
    Check(
        *("backup-copy", "The second copy of backups", keeping.copied, _UNSAFE),
        hint="Look at [backup] copy_to.",
        needs=Level.WARN,
    ),
    Check(
        *("quarantine", "A ledger that was lost", keeping.quarantine, _UNSAFE),
        needs=Level.WARN,
    ),
    Check("worker", "The worker", worker, _NOTHING, blocks=ready.THE_BOX),
    Check(
        *("watch", "The watch", watch),
        "What is dropped now is found when it runs again. Nothing is lost.",
        blocks=ready.THE_BOX,
    ),
    Check("engine", "The engine", engine, _NOTHING, blocks="engine"),
    Check(
        *("gpu", "The GPU", gpu.used, "Recordings are transcribed, but slowly."),
        needs=Level.WARN,
        after=("engine",),
    ),
    Check(
        *("model", "A model", models.models),
        "Recordings that ask for it wait, cost nothing and go on by themselves.",
        blocks="model:{subject}",
    ),
    Check("share", "A share", every_share, _WAITS, blocks="share:{subject}"),
    Check(
        *("adoption", "A share that waits for you", adoption, "Nothing runs there yet."),
        hint="Name one in the settings, under [[share]], and start the appliance again.",
        needs=Level.WARN,
        news=False,
    ),
    Check("isolation", "Walls around the decoder", walls, _WORKS, needs=Level.WARN),
    Check("limits", "Limits of each job", limits, _NOTHING),
    Check(
        *("clock", "The clock", clock),
        "Recordings are not affected, but hours on the page, in logs and transcripts are wrong.",
    ),
    Check(
        *("queue", "The queue", idle, _NOTHING),
        after=("ledger", "disk", "worker", "engine"),
    ),
    Check(
        *("jobs", "Failed recordings", failures, "A note lies beside each of them."),
        hint="`appliance jobs list --state failed --state dead` tells why.",
        needs=Level.WARN,
        news=False,
    ),
    Check(
        *("retention", "Tidying up", upkeep, "The disk may fill up."),
        hint="`appliance up` does it daily; by hand: `appliance retention`.",
        needs=Level.WARN,
        news=False,
    ),
    Check(
        *("telling", "Those who tell people", telling.tellers, _WORKS),
        needs=Level.WARN,
        news=False,
    ),
    Check("channel", "A channel of messages", telling.channels, _WORKS, needs=Level.WARN),
)
NAMED: Final = {check.code: check for check in CHECKS}
_BLOCKS: Final = {check.code: check.blocks for check in CHECKS}


def look(ledger: Ledger, settings: Settings) -> Seen:
    """Ask every question; the time is the ledger's clock.

    Raises what reading the ledger raises: see `unreadable`.
    """
    found: list[Finding] = []
    silent = set()
    failing: set[str] = set()
    for check in CHECKS:
        if failing.intersection(check.after):
            silent.add(check.code)
            continue
        for one in check.look(ledger, settings):
            bad = one.level is not Level.OK
            found.append(replace(one, remedy=one.remedy or check.hint) if bad else one)
            if one.level is Level.FAIL:
                failing.add(check.code)
    return _seen(found, frozenset(silent), settings)


def unreadable(error: ApplianceError, settings: Settings) -> Seen:
    """What is seen of a box whose ledger cannot even be read."""
    others = frozenset(NAMED) - {"ledger"}
    return _seen([named("ledger", error)], others, settings)


def _seen(found: Sequence[Finding], silent: frozenset[str], settings: Settings) -> Seen:
    held_back = ready.blocked(found, _BLOCKS)
    return Seen(tuple(found), silent, ready.is_ready(held_back, settings))
