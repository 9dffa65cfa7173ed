"""Verbs that are a process of the box: watch, worker, engine, web, reconcile."""

from __future__ import annotations

import os
import sys
from typing import Final

import click

from appliance import allocator, instructions, journal, recover, tasks
from appliance.bell import Bell
from appliance.cli.site import Site, site
from appliance.store import schema
from appliance.store.ledger import Ledger
from appliance.watch import watch as watching


@click.command()
@site
def worker(of: Site) -> None:
    """Carry jobs down the line, until TERM."""
    journal.to_stderr("worker")
    tasks.work(of.settings())


@click.command()
@site
def watch(of: Site) -> None:
    """Find recordings in every share, until TERM."""
    journal.to_stderr("watch")
    watching(of.settings())


@click.command()
@site
def engine(of: Site) -> None:
    """Keep the model warm and listen, until TERM."""
    of.settings()  # a mistake is told here, before the interpreter is replaced
    command = os.environ.get("APPLIANCE_ENGINE_CMD", "").split()
    argv = command or [sys.executable, "-P", "-m", "appliance.engine"]
    if of.file:
        argv.append(of.file)
    os.environ.update({**allocator.environment(), **instructions.environment()})
    os.execvp(argv[0], argv)  # noqa: S606 - an argument list of our own


@click.command()
@site
def web(of: Site) -> None:
    """Show the pages, until TERM."""
    of.settings()
    argv = [sys.executable, "-P", "-m", "web.serve"]
    if of.file:
        argv.append(of.file)
    os.execv(argv[0], argv)  # noqa: S606 - an argument list of our own


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


VERBS: Final = (watch, worker, engine, web, reconcile)
