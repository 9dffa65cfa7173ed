"""Verbs about the queue as a whole: how it stands, pause it, let it go on."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from typing import Final

import click

from appliance.bell import Bell
from appliance.cli.site import Site, plain, say, site
from appliance.states import State
from appliance.store import audit, board, jobs, pause
from appliance.store.audit import Actor
from appliance.store.ledger import Ledger

_RUNG: Final = 16  # threads of the worker that may be free


@click.group()
def queue() -> None:
    """Stop and start the queue. What is in work is finished; what waits keeps its turn."""


@queue.command()
@site
def show(of: Site) -> None:
    """Whether it stands still, and how much is queued."""
    with of.ledger() as ledger:
        _tell(of, ledger)


@queue.command("pause")
@click.option("--why", default="", help="For whoever looks at the page.")
@site
def pause_(of: Site, *, why: str) -> None:
    """Take no job until `queue resume`."""
    with of.ledger() as ledger:
        with ledger.writing():
            if pause.now(ledger) is None:
                pause.begin(ledger, who=_who(), why=plain(why)[:200])
                audit.add(ledger, Actor(_who()), "queue-paused", why=plain(why)[:200])
        _tell(of, ledger)


@queue.command()
@site
def resume(of: Site) -> None:
    """Take jobs again."""
    with of.ledger() as ledger:
        with ledger.writing():
            if pause.end(ledger):
                audit.add(ledger, Actor(_who()), "queue-resumed")
        with contextlib.closing(Bell(of.settings().state_dir)) as bell:
            for job in board.next_up(ledger, limit=_RUNG):
                bell.ring(job.id)
        _tell(of, ledger)
    of.tell_if_stopped()


def _who() -> str:
    return f"cli:{os.environ.get('SUDO_USER') or os.environ.get('USER') or os.getuid()}"


def _tell(of: Site, ledger: Ledger) -> None:
    lasting = pause.now(ledger)
    queued = jobs.counts(ledger).get(State.QUEUED, 0)
    if of.as_json:
        facts = (
            {"who": lasting.who, "why": lasting.why, "at": _at(lasting.at_ms)} if lasting else None
        )
        of.one({"paused": facts, "queued": queued})
    elif lasting is None:
        click.echo(f"it goes on; {queued} queued")
    else:
        why = f": {lasting.why}" if lasting.why else ""
        say(f"paused by {lasting.who} since {_at(lasting.at_ms)}{why}; {queued} queued")


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


VERBS: Final = (queue,)
