"""What every verb needs: the settings that were asked for, the ledger, and how to print."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

from appliance import choices, settings
from appliance.errors import NotReachable
from appliance.health import alive
from appliance.settings import Settings
from appliance.store import schema
from appliance.store.ledger import Ledger

if TYPE_CHECKING:  # most commands ask no other box, and httpx takes a while to load
    from appliance.client import Client

STOPPED: Final = "The appliance is not running here: start it with `appliance up`."


class Site:
    """The global options, and what they lead to."""

    def __init__(self, file: str | None, *, as_json: bool, verbose: bool) -> None:
        self.file = file
        self.as_json = as_json
        self.verbose = verbose
        self.box: Client | None = None  # another one that is asked instead

    def settings(self) -> Settings:
        """Read the settings. Raises SettingsInvalid."""
        return settings.load(self.file)

    def in_force(self) -> Settings:
        """The settings with what people chose on the page in them. Raises SettingsInvalid."""
        return choices.known(self.settings())

    @contextlib.contextmanager
    def ledger(self, *, make: bool = False) -> Iterator[Ledger]:
        """Open the ledger; raises NotReachable when there is none and none shall be made."""
        site = self.settings()
        if make:
            schema.prepare(site.state_dir, thorough=False)
        elif not os.path.exists(site.state("ledger.db")):
            raise NotReachable(what="The ledger", where=site.state_dir)
        with Ledger(site.state_dir) as ledger:
            yield ledger

    def tell_if_stopped(self) -> None:
        """Say on stderr when nothing here would carry a job on."""
        site = self.settings()
        if not alive.running(site.state_dir, site.run_dir):
            click.echo(STOPPED, err=True)

    def one(self, facts: Mapping[str, object]) -> None:
        """Print one thing as JSON."""
        click.echo(json.dumps(facts, ensure_ascii=False, indent=2, default=str))

    def table(self, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
        """Print rows: JSON for scripts, columns for people."""
        if self.as_json:
            click.echo(json.dumps(rows, ensure_ascii=False, indent=2, default=str))
            return
        if not rows:
            click.echo("nothing")
            return
        texts = [[_cell(row.get(column)) for column in columns] for row in rows]
        widths = [
            max(len(column), *(len(text[n]) for text in texts)) for n, column in enumerate(columns)
        ]
        for line in [list(columns), *texts]:
            click.echo("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())


def plain(text: str) -> str:
    """A line for a terminal: what a stranger's file name could do to one becomes visible."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def say(text: object, *, err: bool = False) -> None:
    """Print a line that may hold a stranger's words."""
    click.echo(plain(str(text)), err=err)


def _cell(value: object) -> str:
    if isinstance(value, list):
        return plain(", ".join(map(str, value)))
    return "" if value is None else plain(str(value))


site = click.make_pass_decorator(Site)
