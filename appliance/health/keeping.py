"""Is the ledger safe: backed up lately, never lost unnoticed, with room to say that none is left?

Not here: making a backup (store.backups), putting a ledger right (store.repair).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from appliance.health.finding import Finding, Level
from appliance.settings import Settings
from appliance.store import backups, repair, reserve, restores
from appliance.store.ledger import Ledger

_LATE: Final = timedelta(hours=3)
_TOO_LATE: Final = timedelta(hours=26)


def backed_up(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """How old is the newest backup? Whatever has a backup's name was read back when it was made."""
    now = datetime.fromtimestamp(ledger.clock().wall_ms / 1000, UTC)
    there = backups.listed(settings.state(backups.FOLDER), now)
    remedy = "`appliance backup` makes one; `appliance up`, or the timer, makes one each hour."
    if not there:
        yield Finding("backup", Level.WARN, "the ledger was never backed up", remedy)
    else:
        age = now - there[0].at
        level = Level.OK if age < _LATE else Level.WARN if age < _TOO_LATE else Level.FAIL
        text = f"the newest backup is {_spell(age)} old ({there[0].name})"
        yield Finding("backup", level, text, "" if level is Level.OK else remedy)
    if failure := backups.copy_failure(settings.state_dir):
        yield Finding("backup copy", Level.WARN, failure, "Look at [backup] copy_to.")


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


def room_for_the_last_words(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
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


def _spell(age: timedelta) -> str:
    minutes = max(round(age.total_seconds() / 60), 0)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"
