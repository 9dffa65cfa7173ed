"""Verbs about the jobs of another box, over its API: what `--url` makes of them.

Not here: the same on this box (jobs), the API (client).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from appliance.cli.progress import bar, moving
from appliance.cli.site import Site, say
from appliance.client import Client, Plain
from appliance.states import ENDED, State

_COLUMNS: Final = ("id", "state", "share", "recording", "code")


def client_of(url: str, key: str | None) -> Client:
    """The box at that address; `key` names a file that holds the key, - is the standard input."""
    if key is None:
        raise click.UsageError("--url needs --key FILE: a file that holds a key of that box")
    if key == "-":
        return Client(url, sys.stdin.readline())
    with open(key, encoding="ascii") as stream:
        return Client(url, stream.readline())


def listed(of: Site, box: Client, states: Sequence[str], limit: int) -> None:
    """The newest jobs."""
    of.table(box.jobs(states, limit=limit), _COLUMNS)


def shown(of: Site, box: Client, number: int) -> None:
    """Everything about one job."""
    row = box.job(number)
    if of.as_json:
        of.one(row)
        return
    for name, value in row.items():
        if isinstance(value, list):
            say(f"{name.replace('_', ' ')}: {'' if value else 'none'}")
            for one in value:
                say(f"    {one}")
        elif value is not None:
            say(f"{name.replace('_', ' ')}: {value}")


def followed(of: Site, box: Client, number: int) -> None:
    """Wait until a job has ended, and show how far it is; exit 1 unless it is done."""
    facts: Plain = {}
    row = _after_each_step(box, number, facts)
    if of.as_json:
        of.one(row)
    else:
        click.echo(row["state"])
    if row["sentence"]:
        say(row["sentence"], err=of.as_json)
        say(row["next_step"], err=of.as_json)
    raise SystemExit(0 if row["state"] == State.DONE else 1)


def _after_each_step(box: Client, number: int, facts: Plain) -> Plain:
    """The job as it has ended; `facts` follow how far it is."""
    box.job(number)  # there is one, or its refusal says so
    with moving(lambda: bar(facts)):
        for event in box.events():
            if event.kind == "progress" and event.facts.get("id") == number:
                facts.update(_progress(event.facts))
            of_it = event.kind == "job" and event.facts.get("job") == number
            if of_it or event.kind in ("connected", "lost"):
                row = box.job(number)
                if row["state"] in set(ENDED):
                    return row
    raise AssertionError  # events() never ends


def _progress(told: Plain) -> dict[str, Any]:
    return {
        "stage": told.get("stage"),
        "done": told.get("seconds_heard"),
        "total": told.get("seconds_total"),
    }


def moved(of: Site, box: Client, numbers: Sequence[int], verb: str) -> None:
    """Retry, cancel, hold or release jobs, one after the other."""
    rows = []
    for number in numbers:
        row = box.move(number, verb)
        rows.append({"id": number, "state": row["state"]})
        if not of.as_json:
            click.echo(f"{number}: {row['state']}")
    if of.as_json:
        of.table(rows, ())


def exported(box: Client, number: int, format_: str, out: str | None) -> None:
    """Write a job's text to a file that is not there yet, or to the standard output."""
    if out in (None, "-"):
        box.export(number, format_, sys.stdout.buffer)
        sys.stdout.flush()
        return
    assert out is not None  # noqa: S101 - a line above
    part = f"{out}.part"
    with open(part, "xb") as stream:
        try:
            box.export(number, format_, stream)
            os.link(part, out)  # refuses where somebody's file lies
        finally:
            os.unlink(part)
    click.echo(out)
