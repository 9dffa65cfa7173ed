"""Verbs about shares: list, adopt."""

from __future__ import annotations

from typing import Final

import click

from appliance.cli.site import Site, site
from appliance.settings import Settings
from appliance.store import shares as store
from appliance.store.ledger import Ledger
from appliance.watch import adopt


@click.group()
def share() -> None:
    """Look at shares and let them in."""


@share.command("list")
@site
def list_(of: Site) -> None:
    """Every share, and how it is."""
    with of.ledger(make=True) as ledger:
        rows = []
        for one in of.settings().share:
            known = store.get(ledger, one.name)
            rows.append(
                {
                    "name": one.name,
                    "root": one.root,
                    "adopted": "yes" if known.adopted_ms else "no",
                    "state": known.state,
                    "found by": known.method,
                    "old files": known.old_files,
                    "why": known.why,
                }
            )
        of.table(rows, ("name", "root", "adopted", "state", "found by", "old files", "why"))


@share.command("adopt")
@click.argument("name")
@click.option(
    "--existing",
    type=click.Choice(["ignore", "process"]),
    required=True,
    help="What becomes of the recordings that are already there.",
)
@site
def adopt_(of: Site, name: str, existing: str) -> None:
    """Mark the share NAME as ours and let its jobs run."""
    one = of.settings().share_named(name)
    if one is None:
        raise click.ClickException(f"no share is named {name} in the settings")
    with of.ledger(make=True) as ledger:
        adopt(ledger, one, existing=existing)
    click.echo(f"{name}: adopted")


def adopt_own(ledger: Ledger, settings: Settings) -> None:
    """Let in the shares that `demo` made itself: nobody has to be asked."""
    for one in settings.share:
        if store.get(ledger, one.name).adopted_ms is None:
            adopt(ledger, one, existing="process")


VERBS: Final = (share,)
