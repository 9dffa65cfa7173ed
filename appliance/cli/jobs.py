"""Verbs about jobs: list, show, follow, retry, cancel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import click

from appliance import daemon, errors
from appliance.bell import Bell
from appliance.cli.progress import bar, moving
from appliance.cli.site import Site, say, site
from appliance.nouns import display
from appliance.states import ENDED, State
from appliance.store import events, exports
from appliance.store import jobs as store
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger


@click.group()
def jobs() -> None:
    """Look at jobs and move them."""


def row_of(job: Job, board: dict[int, dict[str, Any]]) -> dict[str, object]:
    """A job as people and scripts see it."""
    facts = board.get(job.id, {})
    error = errors.named(job.code, job.detail) if job.code else None
    return {
        "id": job.id,
        "state": job.state,
        "stage": facts.get("stage") if job.state is State.RUNNING else None,
        "progress": _percent(facts) if job.state is State.RUNNING else None,
        "share": job.source.share,
        "recording": display(job.source.path),
        "seconds": job.duration,
        "code": job.code,
        "sentence": error.sentence if error else None,
        "next_step": error.next_step if error else None,
        "warnings": [notice.code for notice in job.warnings],
        "attempt": job.attempt,
        "created": _time(job.created_ms),
        "updated": _time(job.updated_ms),
    }


def _percent(facts: dict[str, Any]) -> str | None:
    done, total = facts.get("done"), facts.get("total")
    return f"{min(100, 100 * done / total):.0f} %" if done is not None and total else None


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


@jobs.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice([str(s) for s in State]))
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@site
def list_(of: Site, states: tuple[str, ...], limit: int) -> None:
    """The newest jobs."""
    with of.ledger() as ledger:
        board = daemon.progress_board(of.settings().run_dir)
        found = store.listing(ledger, [State(state) for state in states], limit=limit)
        of.table(
            [row_of(job, board) for job in found],
            ("id", "state", "progress", "share", "recording", "sentence"),
        )
    of.tell_if_stopped()


@jobs.command()
@click.argument("number", type=int)
@site
def show(of: Site, number: int) -> None:
    """Everything about one job."""
    with of.ledger() as ledger:
        job = _get(ledger, number)
        row = row_of(job, daemon.progress_board(of.settings().run_dir))
        row["exports"] = [display(one.path) for one in exports.of_job(ledger, job.id)]
        row["events"] = [
            f"{_time(e.at_ms)} {e.was or '-'} -> {e.became} {e.code or ''}".rstrip()
            for e in events.of_job(ledger, job.id)
        ]
    if of.as_json:
        of.table([row], ())
        return
    for name, value in row.items():
        if isinstance(value, list):
            click.echo(f"{name}:")
            for line in value:
                say(f"    {line}")
        elif value is not None:
            say(f"{name}: {value}")


@jobs.command()
@click.argument("number", type=int)
@site
def follow(of: Site, number: int) -> None:
    """Wait until a job has ended; exit 1 unless it is done."""
    with of.ledger() as ledger:
        run_dir = of.settings().run_dir
        _get(ledger, number)
        told = ""
        of.tell_if_stopped()
        with moving(lambda: bar(daemon.progress_board(run_dir).get(number, {}))):
            while (job := _get(ledger, number)).state not in ENDED:
                if job.state != told:
                    click.echo(told := str(job.state))
                time.sleep(0.3)
        click.echo(job.state)
        if job.code:
            say(errors.named(job.code, job.detail).sentence)
        raise SystemExit(0 if job.state is State.DONE else 1)


@jobs.command()
@click.argument("numbers", nargs=-1, type=int, required=True)
@site
def retry(of: Site, numbers: tuple[int, ...]) -> None:
    """Put failed jobs back into the queue; done ones are transcribed anew."""

    def again(ledger: Ledger, job: Job, who: str) -> Job:
        bell = Bell(of.settings().state_dir)
        queued = store.requeue(ledger, job, who=who)
        bell.ring(job.id)
        bell.close()
        return queued

    _each(of, numbers, again)
    of.tell_if_stopped()


@jobs.command()
@click.argument("numbers", nargs=-1, type=int, required=True)
@site
def cancel(of: Site, numbers: tuple[int, ...]) -> None:
    """Stop jobs: at once when they wait, at their next window when they run."""
    _each(of, numbers, lambda ledger, job, who: store.cancel(ledger, job, who=who))


def _each(of: Site, numbers: tuple[int, ...], act: Callable[[Ledger, Job, str], Job]) -> None:
    who = f"cli:{os.environ.get('SUDO_USER') or os.environ.get('USER') or os.getuid()}"
    with of.ledger() as ledger:
        for number in numbers:
            job = _get(ledger, number)
            try:
                moved = act(ledger, job, who)
            except ValueError as error:  # not a step of the table of states
                raise click.ClickException(str(error)) from error
            click.echo(f"{number}: {moved.state}")


def _get(ledger: Ledger, number: int) -> Job:
    job = store.get(ledger, number)
    if job is None:
        raise click.ClickException(f"there is no job {number}")
    return job


VERBS: Final = (jobs,)
