"""Verbs that tell people: notify, the one process of the box with a way out, and alerts."""

from __future__ import annotations

from typing import Final

import click

from appliance import alarm, choices, daemon, journal
from appliance.alarm.words import iso
from appliance.cli.site import Site, say, site
from appliance.errors import AlreadyRunning
from appliance.health.finding import Level
from appliance.notify import post
from appliance.settings import Settings
from appliance.store import alerts, schema
from appliance.store.alerts import Alert
from appliance.store.ledger import Ledger


@click.command()
@click.option("--test", "channel", metavar="CHANNEL", help="Send a test through it, now.")
@site
def notify(of: Site, channel: str | None) -> None:
    """Send messages over the channels, until TERM."""
    settings = of.settings()
    if channel is not None:
        with of.ledger(make=True) as ledger:
            now = choices.in_force(ledger, settings)
            raise SystemExit(_test(ledger, now, channel))
    journal.to_stderr("notify")
    schema.prepare(settings.state_dir)
    with (
        daemon.only_one(settings.run_dir, "notify") as alone,
        Ledger(settings.state_dir) as ledger,
    ):
        if not alone:
            raise AlreadyRunning(where=settings.state_dir)
        daemon.ready()
        post.carry(ledger, settings, daemon.stopped())
        daemon.stopping()


def _test(ledger: Ledger, settings: Settings, name: str) -> int:
    channel = next((one for one in settings.notify.channel if one.name == name), None)
    if channel is None:
        known = ", ".join(one.name for one in settings.notify.channel) or "none"
        raise click.UsageError(f"there is no channel {name}; there are: {known}")
    why = post.test(ledger, settings, channel)
    say(f"{name}: {'it was taken' if why is None else why}", err=why is not None)
    return 0 if why is None else 69


@click.command("alerts")
@click.option("--limit", default=20, show_default=True, help="Of those that are over, at most.")
@site
def alerts_(of: Site, *, limit: int) -> None:
    """What people were told about this box: what lasts, and what is over."""
    with of.ledger() as ledger:
        lasting = alarm.firing(ledger, of.settings().run_dir)
        rows = [_row(one) for one in (*lasting, *alerts.closed(ledger, limit=limit))]
    of.table(rows, ("alert", "since", "over", "sentence"))


def _row(one: Alert) -> dict[str, object]:
    return {
        "alert": one.name,
        "since": iso(one.since_ms),
        "over": None if one.closed_ms is None else iso(one.closed_ms),
        "level": "failure" if one.level >= Level.FAIL else "warning",
        "code": one.error,
        "sentence": one.text,
        "next_step": one.remedy,
    }


VERBS: Final = (notify, alerts_)
