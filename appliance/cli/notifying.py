"""Verbs that tell people: notify, the one process of the box with a way out, and alerts."""

from __future__ import annotations

from typing import Final

import click

from appliance import alarm, choices, daemon, journal
from appliance.alarm.words import iso
from appliance.cli.access import actor
from appliance.cli.site import Site, say, site
from appliance.errors import AlreadyRunning
from appliance.health import alive
from appliance.health.finding import Level
from appliance.notify import post
from appliance.settings import Channel, Settings
from appliance.store import alerts, audit, outbox, schema
from appliance.store.alerts import Alert
from appliance.store.ledger import Ledger

# A round, the letter before it, its own: a channel is given half a minute for each.
_WAIT_SECONDS: Final = 65.0
_TAKEN: Final = "it was taken"


@click.command()
@click.option(
    "--test",
    "channel",
    metavar="CHANNEL",
    help="Have a test sent through it, now; where `appliance notify` runs, by that.",
)
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
    # On a box nobody else has a way out, or the channel's secret: who tries it alone is told of
    # a firewall that does what it should.
    if alive.held(settings.run_dir, "notify"):
        return _asked(ledger, settings, channel)
    why = post.test(ledger, settings, channel)
    say(f"{name}: {_TAKEN if why is None else why}", err=why is not None)
    return 0 if why is None else 69


def _asked(ledger: Ledger, settings: Settings, channel: Channel) -> int:
    audit.add(ledger, actor(), "channel-tested", f"channel:{channel.name}")
    found = post.ask(ledger, settings, channel, seconds=_WAIT_SECONDS)
    if found is not None and found.state == outbox.SENT:
        say(f"{channel.name}: {_TAKEN}")
        return 0
    if found is not None and found.state == outbox.GIVEN_UP:
        say(f"{channel.name}: {found.why}", err=True)
        return 69
    say(f"{channel.name}: nobody sent it within {_WAIT_SECONDS:.0f} seconds; it waits", err=True)
    return 75


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
