"""Verbs about the ledger itself: backup, restore, migrate."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Final

import click

from appliance import daemon
from appliance.cli.site import Site, say, site
from appliance.errors import AlreadyRunning, NoBackup
from appliance.health import alive
from appliance.settings import Settings
from appliance.store import backups, schema
from appliance.store.backups import Backup
from appliance.store.repair import Mended


@click.command("backup")
@site
def backup_(of: Site) -> None:
    """Back the ledger up now, and thin out old backups."""
    settings, now = of.settings(), datetime.now(UTC)
    with of.ledger(make=True) as ledger:
        made = backups.make(ledger, now)
    to = settings.backup.copy_to
    failed = None if to is None else backups.copy(made, to, now)
    if of.as_json:
        of.one({**_row(made), "path": made.path, "copied_to": to, "copy_failed": failed})
        return
    say(f"{made.path}: {made.size} bytes")
    if to is not None and failed is None:
        say(f"a second copy lies in {to}")
    elif failed is not None:
        say(f"no second copy in {to}: {failed}", err=True)


@click.command()
@click.argument("backup", required=False)
@click.option("--list", "only_list", is_flag=True, help="Name the backups, and read each of them.")
@site
def restore(of: Site, backup: str | None, *, only_list: bool) -> None:
    """Put BACKUP (without it, the newest that reads back) in the ledger's place.

    The ledger that is there goes into the quarantine. What was done since the backup is
    found again beside the recordings once the appliance runs.
    """
    settings = of.settings()
    there = _listed(settings)
    if only_list:
        rows = [{**_row(one), "sound": backups.is_sound(one.path)} for one in there]
        of.table(rows, ("name", "size", "sound"))
        return
    chosen = _chosen(settings, there, backup)
    if alive.running(settings.state_dir, settings.run_dir):
        raise AlreadyRunning(where=settings.state_dir)
    with daemon.only_one(settings.state_dir, "worker") as alone:
        if not alone:
            raise AlreadyRunning(where=settings.state_dir)
        _tell(of, schema.restore(settings.state_dir, "somebody asked for a backup", chosen))


def _listed(settings: Settings) -> list[Backup]:
    return backups.listed(settings.state(backups.FOLDER), datetime.now(UTC))


def _chosen(settings: Settings, there: list[Backup], name: str | None) -> Backup:
    """The backup that is meant, if it reads back. Raises NoBackup."""
    meant = there
    if name is not None:
        path = name if os.path.dirname(name) else settings.state(backups.FOLDER, name)
        if not os.path.isfile(path):
            raise NoBackup(where=path)
        at = backups.time_of(os.path.basename(path)) or datetime.fromtimestamp(0, UTC)
        meant = [Backup(os.path.basename(path), path, at, os.path.getsize(path))]
    for one in meant:
        if backups.is_sound(one.path):
            return one
    raise NoBackup(where=name or settings.state(backups.FOLDER))


def _tell(of: Site, mended: Mended) -> None:
    name = mended.backup.name if mended.backup else None
    if of.as_json:
        of.one({"restored": name, "quarantine": mended.quarantine})
        return
    say(f"restored: {name}")
    if mended.quarantine:
        say(f"what lay there before is in {mended.quarantine}")
    say("start the appliance: it finds again what was done since")


@click.command()
@site
def migrate(of: Site) -> None:
    """Bring the ledger to this version, a backup first; mend it if it is damaged."""
    settings = of.settings()
    mended = schema.prepare(settings.state_dir)
    if of.as_json:
        of.one({"ledger": settings.state("ledger.db"), "mended": mended.why if mended else None})
    else:
        say(f"{settings.state('ledger.db')}: ready")
        if mended:
            say(f"it was lost: {mended.why}")


def _row(one: Backup) -> dict[str, object]:
    return {"name": one.name, "at": one.at.isoformat(timespec="seconds"), "size": one.size}


VERBS: Final = (backup_, restore, migrate)
