"""Is the ledger safe: backed up lately, never lost unnoticed, with room to say that none is left?

Not here: making a backup (store.backups), putting a ledger right (store.repair).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from appliance.errors import BackupOld
from appliance.health.finding import Finding, Level, named
from appliance.settings import Settings
from appliance.store import backups, jobs, repair, reserve, restores
from appliance.store.ledger import Ledger

_LATE: Final = timedelta(hours=3)
_TOO_LATE: Final = timedelta(hours=24)


def backed_up(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """How old is the newest backup? Whatever has a backup's name was read back when it was made."""
    now = datetime.fromtimestamp(ledger.clock().wall_ms / 1000, UTC)
    there = backups.listed(settings.state(backups.FOLDER), now)
    first = jobs.get(ledger, 1)
    if there:
        since, told = there[0].at, f"the newest backup is {{}} old ({there[0].name})"
    else:
        began = first.created_ms if first else ledger.clock().wall_ms
        since, told = datetime.fromtimestamp(began / 1000, UTC), "the ledger was never backed up"
    spelt = spell((now - since).total_seconds())
    if now - since >= _TOO_LATE:
        yield named("backup", BackupOld(age=spelt))
    elif there and now - since < _LATE:
        yield Finding("backup", Level.OK, told.format(spelt))
    else:
        yield Finding("backup", Level.WARN, told.format(spelt), BackupOld.hint)


def copied(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Did the last backup get to its second place?"""
    if failure := backups.copy_failure(settings.state_dir):
        yield Finding("backup-copy", Level.WARN, failure)


def quarantine(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Was the ledger lost and restored, and does what was put aside still lie there?"""
    aside = repair.put_aside(settings.state_dir)
    if not aside:
        return
    where = settings.state(repair.QUARANTINE)
    last = restores.newest(ledger)
    text = f"{len(aside)} damaged files were put aside in {where}"
    if last is not None:
        text += f"; the ledger was lost ({last.why}) and restored: {last.backup or 'no backup'}"
    remedy = f"Look at the disk (`journalctl -k`, SMART); then remove {where}."
    yield Finding("quarantine", Level.WARN, text, remedy)


def reserved(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Does the reserve lie there that a full disk is noted in?"""
    size = settings.disk.reserve_mb * 1_000_000
    if size == 0:
        return
    if reserve.is_there(settings.state_dir, size):
        yield Finding("reserve", Level.OK, f"{settings.disk.reserve_mb} MB lie in reserve")
    else:
        text = "the reserve for a full disk is not there"
        remedy = "The worker makes it when it runs and the disk has room again."
        yield Finding("reserve", Level.WARN, text, remedy)


def spell(seconds: float) -> str:
    """A stretch of time for people, in minutes, hours or days."""
    minutes = max(round(seconds / 60), 0)
    if minutes < 120:
        return f"{minutes} minutes"
    hours = round(minutes / 60)
    return f"{hours} hours" if hours < 48 else f"{round(hours / 24)} days"
