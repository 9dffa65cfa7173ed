"""Verbs about shares: list, adopt."""

from __future__ import annotations

from typing import Final

import click

from appliance import beneath, marker
from appliance.cli.site import Site, site
from appliance.errors import ShareOffline
from appliance.settings import Settings, Share
from appliance.store import shares as store
from appliance.store.ledger import Ledger


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


VERBS: Final = (share,)
