"""The log of an attempt, on a terminal: in short, and line by line.

Not here: the log itself (logbook), the verbs (jobs).
"""

from __future__ import annotations

from typing import Any

import click

from appliance import logbook
from appliance.cli.site import Site, say


def in_short(logs: str, job: int, attempt: int) -> dict[str, Any] | None:
    """What the log of an attempt says in short; None where there is none."""
    lines = logbook.read(logs, job, attempt)
    if lines is None:
        return None
    short = logbook.summary(lines)
    return {"attempt": attempt, "seconds": dict(short.stages), **short.facts}


def as_lines(short: dict[str, Any] | None) -> list[str] | None:
    """The same for people, a fact a line."""
    if short is None:
        return None
    stages = [
        f"{stage}: {'not ended' if took is None else f'{took:.1f} s'}"
        for stage, took in short["seconds"].items()
    ]
    facts = [(name, fact) for name, fact in short.items() if name != "seconds"]
    return stages + [f"{name.replace('_', ' ')}: {fact}" for name, fact in facts]


def log(of: Site, logs: str, job: int, attempt: int) -> None:
    """Print the log of an attempt. Raises ClickException where there is none."""
    lines = logbook.read(logs, job, attempt)
    if lines is None:
        sentence = f"job {job} has no log of attempt {attempt}: it never began, or was long ago"
        raise click.ClickException(sentence)
    if of.as_json:
        of.table(lines, ())
        return
    for line in lines:
        told = {key: fact for key, fact in line.items() if key not in ("at", "event")}
        facts = "  ".join(f"{key}={fact}" for key, fact in told.items() if fact is not None)
        say(f"{line.get('at', '')}  {line['event']}  {facts}".rstrip())
