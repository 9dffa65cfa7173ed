"""The questions an administrator would ask this box, as a table. They look, never repair.

Each answer has a level, a sentence, and a remedy where one is needed. `appliance check`
asks them all; `appliance doctor` adds what the platform allows (doctor).

Not here: whether the box can take work this second (ready), opening gates (gates, recover).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

from appliance import weights
from appliance.errors import ModelCorrupt, ModelMissing
from appliance.health import isolation, keeping, ready, room
from appliance.health.finding import Finding, Level
from appliance.settings import GB, Profile, Settings
from appliance.states import State
from appliance.store import gates, housekeeping, jobs, shares
from appliance.store.ledger import Ledger

_DAY_MS: Final = 86_400_000
_UPKEEP_DAYS: Final = 2.0


def held(folder: str, name: str) -> bool:
    """Tell whether a process holds `<folder>/<name>.lock`, without ever touching the lock.

    The kernel's own list is read: taking the lock to ask could turn away a process that
    starts this very moment.
    """
    try:
        inode = os.stat(os.path.join(folder, f"{name}.lock")).st_ino
        with open("/proc/locks", encoding="ascii") as stream:
            rows = [line.split() for line in stream]
    except OSError:
        return False
    # "1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF"; some file systems show
    # another device than stat does, so the inode decides.
    return any(row[1] == "FLOCK" and row[5].rpartition(":")[2] == str(inode) for row in rows)


def running(state_dir: str, run_dir: str) -> frozenset[str]:
    """Which of up, worker and watch live on this state directory."""
    locks = {"up": state_dir, "worker": state_dir, "watch": run_dir}
    return frozenset(name for name, folder in locks.items() if held(folder, name))


def not_running(state_dir: str, run_dir: str) -> frozenset[str]:
    """Which of worker and watch surely do not live; none where the kernel does not show locks."""
    if not os.access("/proc/locks", os.R_OK):
        return frozenset()
    return frozenset({"worker", "watch"}) - running(state_dir, run_dir)


def disk(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Is there room for the next job?"""
    where, left = room.tightest(settings)
    free = left / GB
    text = f"{free:.1f} GB free in {where}"
    remedy = "Make room there; what is waiting goes on by itself."
    if free < settings.disk.stop_below_gb:
        text += f"; new jobs wait until there are {settings.disk.stop_below_gb:g}"
        yield Finding("disk", Level.FAIL, text, remedy)
    else:
        low = free < settings.disk.warn_below_gb
        yield Finding("disk", Level.WARN if low else Level.OK, text, remedy if low else "")


def processes(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Do worker and watch live, do the ledger and the engine answer?"""
    lives = running(settings.state_dir, settings.run_dir)
    for name in ("worker", "watch"):
        if name in lives:
            yield Finding(name, Level.OK, f"the {name} runs")
        else:
            remedy = f"`appliance up` starts everything; on the box, the unit appliance-{name}."
            yield Finding(name, Level.FAIL, f"the {name} is not running", remedy)
    for name, error in ready.answers(ledger, settings).items():
        if name in ("ledger", "engine"):
            if error is None:
                yield Finding(name, Level.OK, f"the {name} answers")
            else:
                yield Finding(name, Level.FAIL, error.sentence, error.next_step)


def models(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Are the weights of every profile on this box?"""
    profiles = settings.profile or {"default": Profile()}
    for name in sorted({profile.model for profile in profiles.values()}):
        try:
            folder = weights.find(name, settings.model_dir)
        except (ModelMissing, ModelCorrupt) as error:
            yield Finding(f"model {name}", Level.FAIL, error.sentence, error.next_step)
            continue
        if name == weights.SELFTEST:
            text = "the built-in self-test model: good for proving the box, not for transcripts"
            yield Finding("model", Level.WARN, text, "`appliance model pull large-v3-turbo`.")
        else:
            yield Finding(f"model {name}", Level.OK, f"{name} lies in {folder.path}")


def walls(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Behind which walls does the worker decode strangers' files?"""
    found = isolation.known(settings.run_dir)
    if found is None:
        return  # no worker has started, and that is said elsewhere
    if weak := isolation.weakness(found):
        yield Finding("isolation", Level.WARN, weak.sentence, weak.next_step)
    else:
        yield Finding("isolation", Level.OK, "strangers' files are decoded behind every wall")


def every_share(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Is each share there, the right one, and let in?"""
    for share in settings.share:
        row = shares.get(ledger, share.name)
        where = f"{share.name} ({share.root})"
        if row.adopted_ms is None:
            remedy = f"`appliance share adopt {share.name} --existing ignore|process`."
            yield Finding(f"share {share.name}", Level.WARN, f"{where} is not adopted yet", remedy)
        elif row.state == "online":
            text = f"{where} is online, found by {row.method}"
            yield Finding(f"share {share.name}", Level.OK, text)
        else:
            text = f"{where} is {row.state}: {row.why or 'not looked at yet'}"
            remedy = "Check the file server and the mount; is `appliance watch` running?"
            yield Finding(f"share {share.name}", Level.FAIL, text, remedy)


def closed_gates(ledger: Ledger, _settings: Settings) -> Iterator[Finding]:
    """Is something unwell that jobs wait for?"""
    for gate in gates.closed(ledger):
        yield Finding(f"gate {gate.name}", Level.FAIL, gate.error.sentence, gate.error.next_step)


def failures(ledger: Ledger, _settings: Settings) -> Iterator[Finding]:
    """Has a recording failed that somebody should look at?"""
    counts = jobs.counts(ledger)
    failed = counts.get(State.FAILED, 0) + counts.get(State.DEAD, 0)
    if failed:
        remedy = "`appliance jobs list --state failed --state dead` tells why."
        yield Finding("jobs", Level.WARN, f"{failed} recordings could not be done", remedy)
    else:
        yield Finding("jobs", Level.OK, f"{counts.get(State.DONE, 0)} recordings done, none failed")


def upkeep(ledger: Ledger, _settings: Settings) -> Iterator[Finding]:
    """Has the box removed what it needs no more, within the last days?"""
    now, last = ledger.clock().wall_ms, housekeeping.last(ledger)
    first = jobs.get(ledger, 1)
    since = last if last is not None else first.created_ms if first else now
    days = (now - since) / _DAY_MS
    if days > _UPKEEP_DAYS:
        text = f"nothing was tidied up for {days:.0f} days"
        remedy = "`appliance up` does it daily; by hand: `appliance retention`."
        yield Finding("retention", Level.WARN, text, remedy)
    elif last is None:
        yield Finding("retention", Level.OK, "nothing to tidy up yet")
    else:
        yield Finding("retention", Level.OK, f"tidied up {days * 24:.0f} hours ago")


CHECKS: Final[tuple[Callable[[Ledger, Settings], Iterator[Finding]], ...]] = (
    disk,
    keeping.room_for_the_last_words,
    keeping.backed_up,
    keeping.quarantine,
    processes,
    models,
    every_share,
    walls,
    closed_gates,
    failures,
    upkeep,
)


def ask_all(ledger: Ledger, settings: Settings) -> list[Finding]:
    """Ask every question."""
    return [finding for check in CHECKS for finding in check(ledger, settings)]
