"""Remove what the box keeps of its own and nobody needs. In a share never a recording, never an
export: those go that were sent to the box, into a share of its own, after the days that the
settings name.

In: the ledger, the settings, the time. Out: what went, or would go. A rule names what is
left over and how it is removed; rules that touch nothing but the box come first, a share
comes last, because its file server may hang. On a share only a hidden name of ours goes,
and only where the ledger knows the job, the job lies in that folder, and has ended; and
only while the share is online and carries its marker.

Not here: rows (store), what makes a share the one we mean (marker); the copies in the spool and
the files of dead owners, which recover removes every few seconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from appliance import daemon, deliver, marker, receive
from appliance.errors import AlreadyRunning, ApplianceError, ClockLeapt
from appliance.health.keeping import spell
from appliance.nouns import UPLOADS, display
from appliance.settings import Settings, Share
from appliance.states import ENDED
from appliance.store import (
    alerts,
    events,
    gates,
    housekeeping,
    jobs,
    outbox,
    overdue,
    shares,
    sightings,
    uploads,
)
from appliance.store.ledger import Ledger

log = logging.getLogger("appliance.retention")
_DAY: Final = 86_400.0
_HALF_MODEL: Final = re.compile(r"\..+@[0-9a-z]+\.part")  # as weights.pull names them
_HALF_BACKUP: Final = re.compile(r"\..*|.*\.(?:part|partial|new|tmp)")
_SHOWN: Final = 5  # names of what a rule found


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something of ours that nobody needs any more."""

    what: str  # a path, for people
    bytes: int
    remove: Callable[[], object]
    files: int = 1


@dataclass(frozen=True, slots=True)
class Swept:
    """What one rule removed, or would remove."""

    rule: str
    files: int
    bytes: int
    examples: tuple[str, ...]
    trouble: str | None = None  # what kept it from going through everything


@dataclass(frozen=True, slots=True)
class Site:
    """What every rule looks at."""

    ledger: Ledger
    settings: Settings
    now: float  # seconds since 1970

    def before_ms(self, days: float) -> int:
        """The moment so many days ago, as the ledger counts."""
        return round((self.now - days * _DAY) * 1000)

    def is_old(self, path: str, days: float) -> bool:
        """Whether a file has lain unchanged for so many days; one that is gone has not.

        One that was put there lately counts as young, however old it says it is.
        """
        with contextlib.suppress(OSError):
            seen = os.lstat(path)
            return max(seen.st_mtime, seen.st_ctime) < self.now - days * _DAY
        return False


def sweep(
    ledger: Ledger, settings: Settings, *, preview: bool = False, clock_is_right: bool = False
) -> list[Swept]:
    """Go through every rule. `preview` touches nothing. Raises AlreadyRunning, node.*.

    A clock that has moved by months since the last run is not followed (node.clock-leapt), unless
    a person says that it is right: one that is years ahead would make everything old.
    """
    site = Site(ledger, settings, ledger.clock().wall_ms / 1000)
    rules: dict[str, Callable[[Site], Iterator[Leftover]]] = {**RULES}
    for share in settings.watched:
        rules[f"share {share.name}"] = _of_share(share)
    if preview:
        return [_swept(rule, find, site, preview=True) for rule, find in rules.items()]
    with daemon.only_one(settings.state_dir, "retention") as alone:
        if not alone:
            raise AlreadyRunning(where=settings.state_dir)
        leap = 0 if clock_is_right else housekeeping.leap_ms(ledger)
        if leap:
            housekeeping.doubt(ledger)
            raise ClockLeapt(moved=spell(leap / 1000))
        gone = [_swept(rule, find, site, preview=False) for rule, find in rules.items()]
        files, size = sum(one.files for one in gone), sum(one.bytes for one in gone)
        housekeeping.expire(ledger, before_ms=site.before_ms(settings.retention.events_days))
        housekeeping.record(ledger, housekeeping.WHOLE, files=files, size=size)
    return gone


def _swept(
    rule: str, find: Callable[[Site], Iterator[Leftover]], site: Site, *, preview: bool
) -> Swept:
    files = size = 0
    examples: list[str] = []
    trouble = None
    try:
        for one in find(site):
            if not preview and not _removed(rule, one):
                continue
            files, size = files + one.files, size + one.bytes
            if len(examples) < _SHOWN:
                examples.append(one.what)
    except (ApplianceError, OSError) as error:
        trouble = str(error)
        log.warning("%s: left for the next time", rule, extra={"why": trouble})
    if not preview and trouble is None and (files or rule.startswith("share ")):
        housekeeping.record(site.ledger, rule, files=files, size=size)
    return Swept(rule, files, size, tuple(examples), trouble)


def _removed(rule: str, one: Leftover) -> bool:
    try:
        one.remove()
    except OSError as error:
        log.warning("%s cannot be removed: %s", one.what, error.strerror)
        return False
    facts = {"rule": rule, "what": one.what, "files": one.files, "bytes": one.bytes}
    log.info("removed", extra=facts)
    return True


# --- on the box ---------------------------------------------------------------------------------


def _logs(site: Site) -> Iterator[Leftover]:
    """Logs of attempts."""
    for folder, path in _files(site.settings.state("logs")):
        if path.endswith(".jsonl") and site.is_old(path, site.settings.retention.logs_days):
            yield _file(path, within=folder)


def _unfinished(site: Site) -> Iterator[Leftover]:
    """Uploads whose sender has not come back, and bytes of one that nobody knows any more."""
    days = site.settings.retention.partials_days
    known = {one.id: one for one in uploads.unfinished(site.ledger)}
    folder = receive.incoming(site.settings)
    for name in _names(folder):
        path = os.path.join(folder, name)
        if site.is_old(path, days):
            remove = partial(receive.abandon, site.ledger, site.settings, name)
            yield Leftover(path, os.lstat(path).st_size, remove)
    for one in known.values():
        path = receive.incoming(site.settings, one.id)
        if one.created_ms < site.before_ms(days) and not os.path.lexists(path):
            yield Leftover(path, 0, partial(receive.abandon, site.ledger, site.settings, one.id))


def _uploads(site: Site) -> Iterator[Leftover]:
    """Recordings that were uploaded, and what lies beside them, once their days are over.

    One whose job has not ended, or whose text somebody worked on since, stays. Of those that
    were to be answered alone the text goes as well.
    """
    keep = site.settings.retention
    for kind, days in ((uploads.KEPT, keep.uploads_days), (uploads.ANSWERED, keep.answered_days)):
        before_ms = site.before_ms(days)
        for one in uploads.arrived_before(site.ledger, kind, before_ms=before_ms):
            job = receive.job_of(site.ledger, one)
            if job is not None and (job.state not in ENDED or job.updated_ms >= before_ms):
                continue
            folder = os.path.dirname(os.fsdecode(receive.place(site.settings, one)))
            found = [path for _, path in _files(folder)]
            size = sum(os.lstat(path).st_size for path in found)
            remove = partial(receive.forget, site.ledger, site.settings, one)
            yield Leftover(folder, size, remove, files=max(1, len(found)))
    yield from _strays(site)


def _strays(site: Site) -> Iterator[Leftover]:
    """What lies among the uploads and belongs to none: a restored ledger has forgotten it."""
    root = site.settings.state(UPLOADS)
    known = {
        os.path.dirname(receive.place(site.settings, one)) for one in uploads.all_(site.ledger)
    }
    for folder, path in _files(root):
        inside = os.fsencode(folder)
        if folder == receive.incoming(site.settings).rstrip("/") or inside in known:
            continue
        below = os.fsencode(os.path.relpath(path, root))
        alive = any(job.state not in ENDED for job in jobs.at(site.ledger, UPLOADS, below))
        if not alive and site.is_old(path, site.settings.retention.uploads_days):
            yield _file(path)


def _quarantine(site: Site) -> Iterator[Leftover]:
    """What was damaged and put aside: a database and its log go together."""
    folder = site.settings.state("quarantine")
    for path in (os.path.join(folder, name) for name in _names(folder)):
        if _rests(site, path, site.settings.retention.quarantine_days):
            yield _tree(path)


def _partials(site: Site) -> Iterator[Leftover]:
    """Models and backups that were never finished."""
    kinds = (
        (site.settings.model_dir, _HALF_MODEL),
        (site.settings.state("backups"), _HALF_BACKUP),
    )
    days = site.settings.retention.partials_days
    for folder, pattern in kinds:
        for name in _names(folder):
            path = os.path.join(folder, name)
            if pattern.fullmatch(name) and _rests(site, path, days):
                yield _tree(path)


def _events(site: Site) -> Iterator[Leftover]:
    """Steps of jobs that ended long ago."""
    before = site.before_ms(site.settings.retention.events_days)
    if count := len(events.expired(site.ledger, before_ms=before)):
        remove = partial(events.expire, site.ledger, before_ms=before)
        yield Leftover("events in the ledger", 0, remove, files=count)


def _sightings(site: Site) -> Iterator[Leftover]:
    """Files that were taken away long ago."""
    before = site.before_ms(site.settings.retention.sightings_days)
    if count := len(sightings.gone_since(site.ledger, before_ms=before)):
        remove = partial(sightings.expire, site.ledger, before_ms=before)
        yield Leftover("sightings in the ledger", 0, remove, files=count)


def _messages(site: Site) -> Iterator[Leftover]:
    """Alerts that were over, and messages that were made, long ago."""
    before = site.before_ms(site.settings.retention.events_days)
    for what, table in (("alerts", alerts), ("messages", outbox)):
        if count := table.expired(site.ledger, before_ms=before):
            remove = partial(table.expire, site.ledger, before_ms=before)
            yield Leftover(f"{what} in the ledger", 0, remove, files=count)


RULES: Final[Mapping[str, Callable[[Site], Iterator[Leftover]]]] = {
    "logs": _logs,
    "unfinished uploads": _unfinished,
    "uploads": _uploads,
    "quarantine": _quarantine,
    "partials": _partials,
    "events": _events,
    "messages": _messages,
    "sightings": _sightings,
}


# --- on a share ---------------------------------------------------------------------------------


def _of_share(share: Share) -> Callable[[Site], Iterator[Leftover]]:
    def find(site: Site) -> Iterator[Leftover]:
        """Hidden files of jobs that have ended."""
        state = shares.get(site.ledger, share.name).state
        if state != "online" or gates.named(site.ledger, f"share:{share.name}"):
            return
        guard = marker.guard(site.ledger, share)
        last = housekeeping.last(site.ledger, f"share {share.name}") or 0
        if last > site.now * 1000:
            last = 0  # the wall clock has been set back: look at everything
        since = last - round(_DAY * 1000)
        for folder in overdue.folders_of_ended(site.ledger, share.name, since_ms=since):
            guard()
            for one in deliver.hidden(share.root, folder):
                if _is_orphan(site.ledger, share, folder, one):
                    yield _hidden(share, folder, one, guard)

    return find


def _is_orphan(ledger: Ledger, share: Share, folder: bytes, one: deliver.Hidden) -> bool:
    """Whether the ledger knows whose file this is, and that nobody is at it."""
    job = jobs.get(ledger, one.job)
    if job is None or (job.source.share, os.path.dirname(job.source.path)) != (share.name, folder):
        return False
    return job.state in ENDED and one.attempt <= job.attempt


def _hidden(
    share: Share, folder: bytes, one: deliver.Hidden, guard: Callable[[], None]
) -> Leftover:
    def remove() -> None:
        guard()
        deliver.sweep(share.root, folder, one.job, one.attempt + 1)

    return Leftover(display(os.path.join(folder, one.name)), one.bytes, remove)


# --- files --------------------------------------------------------------------------------------


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _files(folder: str) -> Iterator[tuple[str, str]]:
    """Every file below a folder, with the folder it lies in; no link is followed."""
    for inside, _, names in os.walk(folder):
        for name in sorted(names):
            yield inside, os.path.join(inside, name)


def _rests(site: Site, path: str, days: float) -> bool:
    """Whether nothing in it has changed for so many days."""
    inside = (path for _, path in _files(path))
    return all(site.is_old(one, days) for one in (path, *inside))


def _file(path: str, *, within: str | None = None) -> Leftover:
    def remove() -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        if within is not None:
            with contextlib.suppress(OSError):  # not empty yet
                os.rmdir(within)

    return Leftover(path, os.lstat(path).st_size, remove)


def _tree(path: str) -> Leftover:
    if not os.path.isdir(path) or os.path.islink(path):
        return _file(path)
    size = sum(os.lstat(one).st_size for _, one in _files(path))
    return Leftover(path, size, lambda: shutil.rmtree(path))
