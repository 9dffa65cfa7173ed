"""Verbs that answer: explain a file, check the box, doctor the platform."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable
from typing import Final

import click

from appliance import alarm, daemon, doctor, journal
from appliance.cli.site import Site, plain, say, site
from appliance.errors import AlreadyRunning
from appliance.explain import There, explain
from appliance.health import checks, models
from appliance.health.finding import Finding, Level
from appliance.settings import Settings
from appliance.store import schema
from appliance.store.ledger import Ledger

_PATIENCE_SECONDS: Final = 3.0
_MARKS: Final = {Level.OK: ("ok", "green"), Level.WARN: ("!!", "yellow"), Level.FAIL: ("XX", "red")}


@click.command("explain")
@click.argument("path", type=click.Path())
@site
def explain_(of: Site, path: str) -> None:
    """Say what became of a file, or what it waits for."""
    with of.ledger() as ledger:
        sentences = explain(ledger, of.settings(), path, look=_look)
    if of.as_json:
        of.one({"path": path, "sentences": sentences})
    else:
        for sentence in sentences:
            say(sentence)
    of.tell_if_stopped()


def _look(path: bytes) -> There:
    """Ask the file system, in a process that we need not wait for: a file server may hang."""
    child = subprocess.Popen(
        ["/usr/bin/stat", "--format=%F", "--", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"LC_ALL": "C"},
    )
    try:
        told, trouble = child.communicate(timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return There.UNKNOWN
    if child.returncode == 0:
        return There.FOLDER if told.strip() == b"directory" else There.FILE
    gone = (b"No such file or directory", b"Not a directory")
    return There.NOTHING if trouble.strip().endswith(gone) else There.UNKNOWN


@click.command()
@click.option(
    "--every",
    type=click.FloatRange(min=1.0),
    metavar="SECONDS",
    help="Look again and again, in silence, and open and close alerts, until TERM.",
)
@site
def check(of: Site, *, every: float | None) -> None:
    """Say how the box is; exit 1 when something is wrong."""
    settings = of.settings()
    if every is None:
        with of.ledger(make=True) as ledger:
            with contextlib.suppress(OSError):  # a full disk: names and sizes must do
                models.ask(of.in_force())
            _tell(of, checks.look(ledger, of.in_force()).findings)
    else:
        _stay(settings, every)


def _stay(settings: Settings, every: float) -> None:
    journal.to_stderr("check")
    schema.prepare(settings.state_dir)
    with (
        daemon.only_one(settings.run_dir, "check") as alone,
        Ledger(settings.state_dir) as ledger,
    ):
        if not alone:
            raise AlreadyRunning(where=settings.state_dir)
        daemon.ready()
        alarm.stay(ledger, settings, every=every, stop=daemon.stopped())
        daemon.stopping()


@click.command("doctor")
@site
def doctor_(of: Site) -> None:
    """Everything `check` asks, and what this platform allows; exit 1 when something is wrong.

    It repairs nothing, and makes nothing: it also answers where the ledger is lost.
    """
    settings = of.in_force()
    _tell(of, [*doctor.examine(settings, file=of.file), *doctor.asked(settings)])


def _tell(of: Site, findings: Iterable[Finding]) -> None:
    found = list(findings)
    if of.as_json:
        rows = [
            {
                "code": f.name,
                "check": f.code,
                "subject": f.subject,
                "error": f.error,
                "level": f.level.name,
                "text": f.text,
                "remedy": f.remedy,
            }
            for f in found
        ]
        of.table(rows, ())
    else:
        for finding in found:
            mark, colour = _MARKS[finding.level]
            click.echo(
                f"{click.style(mark, fg=colour)}  {plain(f'{finding.name}: {finding.text}')}"
            )
            if finding.remedy and finding.level is not Level.OK:
                click.echo(f"      {finding.remedy}")
    raise SystemExit(1 if any(f.level is Level.FAIL for f in found) else 0)


VERBS: Final = (explain_, check, doctor_)
