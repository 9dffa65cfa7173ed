"""Verbs that keep the box in order: retention."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Final

import click

from appliance import journal
from appliance.cli.site import Site, say, site
from appliance.retention import Swept, sweep
from appliance.store import audit


@click.command()
@click.option("--preview", is_flag=True, help="Say what would go, and touch nothing.")
@click.option("--clock-is-right", is_flag=True, help="Go on after a leap of the clock.")
@site
def retention(of: Site, *, preview: bool, clock_is_right: bool) -> None:
    """Remove what the box keeps of its own and has outlived its use."""
    told = logging.WARNING if sys.stderr.isatty() else logging.INFO  # people get the sum
    journal.to_stderr("retention", level=told)
    with of.ledger() as ledger:
        gone = sweep(ledger, of.settings(), preview=preview, clock_is_right=clock_is_right)
        audit.tell(ledger)  # of all that is daily, this one is sure to run
    if of.as_json:
        rows = [
            {
                "rule": one.rule,
                "files": one.files,
                "bytes": one.bytes,
                "examples": list(one.examples),
                "trouble": one.trouble,
            }
            for one in gone
        ]
        of.one({"preview": preview, "rules": rows})
    else:
        _tell(gone, preview=preview)


def _tell(gone: Sequence[Swept], *, preview: bool) -> None:
    verb = "would go" if preview else "removed"
    for one in gone:
        if one.trouble:
            say(f"{one.rule}: not gone through: {one.trouble}")
        if one.files:
            say(f"{one.rule}: {one.files} {verb}, {one.bytes:,} bytes")
            for example in one.examples:
                say(f"    {example}")
    if not any(one.files for one in gone):
        say("nothing to remove")


VERBS: Final = (retention,)
