"""Verbs that are a process of the box: watch, engine, web.

Not here: the worker (working), which needs the whole line that a recording goes.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import click

from appliance import allocator, instructions, journal
from appliance.cli.site import Site, site
from appliance.watch import watch as watching


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


VERBS: Final = (watch, engine, web)
