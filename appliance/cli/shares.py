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


def adopt_own(ledger: Ledger, settings: Settings) -> None:
    """Let in the shares that `up` and `demo` made themselves: nobody has to be asked."""
    for one in settings.share:
        adopt(ledger, one, existing="process")


def adopt(ledger: Ledger, share: Share, *, existing: str) -> None:
    """Mark a share as ours, once, and let its jobs run. Raises ShareOffline."""
    known = store.get(ledger, share.name)
    if known.adopted_ms is not None:
        return
    try:
        with beneath.root(share.root) as root_fd:
            mark = (marker.read(root_fd) or marker.write(root_fd)) if share.require_marker else None
    except OSError as error:
        raise ShareOffline(share=share.name) from error
    store.adopt(ledger, share.name, marker=mark, existing=existing)


VERBS: Final = (share,)
