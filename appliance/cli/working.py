"""Verbs that work on jobs: worker, reconcile.

Not here: the other processes of the box (processes).
"""

from __future__ import annotations

from typing import Final

import click

from appliance import journal, recover, tasks
from appliance.bell import Bell
from appliance.cli.site import Site, site
from appliance.store import schema
from appliance.store.ledger import Ledger


@click.command()
@site
def worker(of: Site) -> None:
    """Carry jobs down the line, until TERM."""
    journal.to_stderr("worker")
    tasks.work(of.settings())


@click.command()
@site
def reconcile(of: Site) -> None:
    """Take up jobs that were left lying, once."""
    settings = of.settings()
    schema.prepare(settings.state_dir)
    bell = Bell(settings.state_dir)
    with Ledger(settings.state_dir) as ledger:
        recover.reconcile(ledger, settings, ring=bell.ring, pending=bell.unanswered())
    bell.close()
    click.echo("looked after every job once")


VERBS: Final = (worker, reconcile)
