"""Verbs a newcomer types: up, demo, transcribe."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import signal
import socket
import sys
import threading
import time
import types
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import click

from appliance import daemon, errors, journal, supervise
from appliance.cli.access import way_in
from appliance.cli.models import SAMPLES, samples
from appliance.cli.shares import adopt_own
from appliance.cli.site import Site, plain, say, site
from appliance.cli.transcribing import Done, transcribe_files, transcribe_into
from appliance.nouns import LANGUAGES, display
from appliance.settings import FORMATS, Settings, load
from appliance.settings import Share as ShareSettings
from appliance.states import ENDED, State
from appliance.store import exports, jobs, schema
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

_DEMO_STATE: Final = ".demo"
_DEMO_INBOX: Final = "inbox"
_COLOURS: Final = {"watch": "cyan", "worker": "green", "engine": "magenta", "web": "blue"}


def _say(name: str, line: str) -> None:
    """Show a line of a process: in words to a person, as JSON to a file."""
    if not sys.stdout.isatty():
        click.echo(journal.retold(name, line))
        return
    head = click.style(f"{name:>7} | ", fg=_COLOURS.get(name, "white"))
    for part in journal.in_words(line).splitlines():
        click.echo(head + plain(part))


def _run(processes: list[supervise.Process]) -> int:
    supervisor = supervise.Supervisor(processes, _say)

    def stop(_number: int, _frame: types.FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return supervisor.run()


@click.command()
@site
def up(of: Site) -> None:
    """Run the whole appliance in this terminal, until Ctrl-C."""
    settings = of.settings()
    schema.prepare(settings.state_dir)
    with daemon.only_one(settings.state_dir, "up") as alone:
        if not alone:
            raise errors.AlreadyRunning(where=settings.state_dir)
        if not _is_free(settings.web.listen):
            port = settings.web.listen.rpartition(":")[2]
            taken = f"port {port} is taken by another program: choose another [web] listen"
            click.echo(taken, err=True)
            raise SystemExit(75)
        click.echo(f"the appliance runs on {settings.state_dir}; Ctrl-C stops it")
        click.echo(f"page: {_address(settings.web.listen)}")
        with Ledger(settings.state_dir) as ledger:
            for line in way_in(ledger, settings, _address(settings.web.listen)):
                click.echo(line)
        raise SystemExit(_run(supervise.appliance(of.file, {})))


# --- demo ---------------------------------------------------------------------------------------


@click.command()
@click.option("--once", is_flag=True, help="End when the samples are done.")
def demo(*, once: bool) -> None:
    """Watch ./inbox, drop samples in, show what comes back."""
    file = _demo_settings()
    settings = load(file)
    schema.prepare(settings.state_dir)
    with daemon.only_one(settings.state_dir, "up") as alone:
        if not alone:
            raise errors.AlreadyRunning(where=settings.state_dir)
        with Ledger(settings.state_dir) as ledger:
            adopt_own(ledger, settings)
            raise SystemExit(_demo(ledger, settings, file, once=once))


def _demo_settings() -> str:
    """Write ./.demo/appliance.toml for a share ./inbox; one that is there is kept."""
    os.makedirs(_DEMO_STATE, exist_ok=True)
    os.makedirs(_DEMO_INBOX, exist_ok=True)
    file = os.path.join(_DEMO_STATE, "appliance.toml")
    if not os.path.exists(file):
        state, inbox = os.path.abspath(_DEMO_STATE), os.path.abspath(_DEMO_INBOX)
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(
                f"[node]\nstate_dir = '{state}'\n\n"
                f"[[share]]\nname = 'inbox'\nroot = '{inbox}'\nexisting = 'process'\n"
            )
    return file


def _demo(ledger: Ledger, settings: Settings, file: str, *, once: bool) -> int:
    inbox = settings.share[0].root
    click.echo(f"inbox: {inbox}")
    listen = free_address(settings.web.listen)
    if not once:
        click.echo(f"page:  {_address(listen)}")
        for line in way_in(ledger, settings, _address(listen)):
            click.echo(line)
    click.echo(f"ask it anything: .venv/bin/appliance --settings {file} jobs list")
    log = open(settings.state("demo.log"), "a", encoding="utf-8")  # noqa: SIM115 - for all lines

    def note(name: str, line: str) -> None:
        log.write(f"{name} {line}\n")

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopped.set())
    if _all_done(ledger, inbox):
        click.echo("already done: an earlier run has transcribed the samples")
    processes = supervise.appliance(file, {"APPLIANCE_WEB_LISTEN": listen})
    with log, supervise.Supervisor(processes, note) as running:
        names = _drop_samples(inbox)
        code = _follow(ledger, settings, names, stopped, running)
        if not once and not stopped.is_set():
            click.echo(f"\nDrop a recording of your own into {inbox}. Ctrl-C ends the demo.")
            _follow_all(ledger, settings, stopped)
        if stopped.is_set():
            click.echo("stopping; what is not finished goes on next time")
    return running.exit_code or code


def free_address(listen: str) -> str:
    """Where the page can listen: as the settings say, or beside it when that is taken."""
    if _is_free(listen):
        return listen
    click.echo(f"{listen} is taken by another program; the page moves to a free port")
    host = listen.rpartition(":")[0]
    with _bound(host, 0) as sock:
        return f"{host}:{sock.getsockname()[1]}"


def _is_free(listen: str) -> bool:
    """Tell whether no other program listens there; what else is wrong with it, the page tells."""
    host, colon, port = listen.rpartition(":")
    if not colon:
        return True
    try:
        _bound(host, int(port)).close()
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host.strip("[]"), port))
    except OSError:
        sock.close()
        raise
    return sock


def _address(listen: str) -> str:
    return f"unix:{listen}" if listen.startswith("/") else f"http://{listen}/"


def _all_done(ledger: Ledger, inbox: str) -> bool:
    """Tell whether an earlier run has done every sample, and they still lie there."""
    for name in (str(one["file"]) for one in samples()):
        job = next(jobs.at(ledger, "inbox", os.fsencode(name)), None)
        if job is None or job.state is not State.DONE:
            return False
        if not os.path.exists(os.path.join(inbox, name)):
            return False
    return True


def _drop_samples(inbox: str) -> list[str]:
    """Copy the bundled recordings in, as a person would; those that lie there are left alone."""
    names = [str(one["file"]) for one in samples()]
    for name in names:
        target = os.path.join(inbox, name)
        if not os.path.exists(target):
            click.echo(f"dropped: {name}")
            shutil.copyfile(os.path.join(SAMPLES, name), target)
    return names


def _follow(
    ledger: Ledger,
    settings: Settings,
    names: Sequence[str],
    stopped: threading.Event,
    running: supervise.Supervisor,
) -> int:
    """Show progress until every named recording has ended; 0 when all of them are done."""
    bars = dict.fromkeys(names, "")
    until = time.monotonic() + 600
    while time.monotonic() < until and not stopped.is_set() and not running.exit_code:
        found = {name: next(jobs.at(ledger, "inbox", os.fsencode(name)), None) for name in names}
        board = daemon.progress_board(settings.run_dir)
        for name, job in found.items():
            line = _line(job, board.get(job.id, {}) if job else {})
            if line != bars[name]:
                bars[name] = line
                say(f"{name}: {line}")
        ended = [job for job in found.values() if job and job.state in ENDED]
        if len(ended) == len(names):
            _show(ledger, settings, ended)
            return 0 if all(job.state is State.DONE for job in ended) else 1
        stopped.wait(0.2)
    if not stopped.is_set():
        click.echo(f"not done; see {settings.state('demo.log')}", err=True)
    return 130 if stopped.is_set() else 1


_IN_WORDS: Final[Mapping[State, str]] = {
    State.DISCOVERED: "waiting until it is complete",
    State.QUEUED: "waiting in the queue",
    State.RUNNING: "being transcribed",
}


def _line(job: Job | None, facts: dict[str, Any]) -> str:
    if job is None:
        return _IN_WORDS[State.DISCOVERED]
    if job.code:
        return f"{job.state}: {errors.named(job.code, job.detail).sentence}"
    words = _IN_WORDS.get(job.state, str(job.state))
    done, total = facts.get("done"), facts.get("total")
    if job.state is State.RUNNING and done and total:
        return f"{words} {min(100, 100 * done / total):.0f} %"
    return words


def _show(ledger: Ledger, settings: Settings, ended: Sequence[Job]) -> None:
    root = settings.share[0].root
    click.echo("\nTranscripts:")
    for job in ended:
        for one in exports.of_job(ledger, job.id):
            say(f"  {os.path.join(root, display(one.path))}")
    cautions = [
        errors.WARNINGS[notice.code].sentence(notice.detail)
        for job in ended
        for notice in job.warnings
    ]
    for sentence in dict.fromkeys(cautions):
        say(f"  {sentence}")


def _follow_all(ledger: Ledger, settings: Settings, stopped: threading.Event) -> None:
    """Say what becomes of everything else that is dropped."""
    told: dict[int, str] = {job.id: str(job.state) for job in jobs.listing(ledger)}
    while not stopped.wait(0.3):
        board = daemon.progress_board(settings.run_dir)
        for job in reversed(jobs.listing(ledger, limit=50)):
            line = _line(job, board.get(job.id, {}))
            if told.get(job.id) != line and told.get(job.id) != str(job.state):
                say(f"{display(job.source.path)}: {line}")
            told[job.id] = line


# --- transcribe ---------------------------------------------------------------------------------


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--language",
    type=click.Choice(sorted(LANGUAGES)),
    metavar="CODE",
    help='Such as "de"; without it we listen and find out.',
)
@click.option("--model", help="Another model than the default profile's.")
@click.option("--out", type=click.Path(file_okay=False), help="Put the transcripts into DIR.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(FORMATS),
    help="May be repeated; without it, all the profile names.",
)
@site
def transcribe(
    of: Site,
    files: tuple[str, ...],
    language: str | None,
    model: str | None,
    out: str | None,
    formats: tuple[str, ...],
) -> None:
    """Transcribe FILES now, without a share.

    The transcripts lie beside them, or in DIR.
    """
    settings = of.in_force()
    options = settings.options_for(ShareSettings(name="files", root="/"))
    chosen = {"language": language, "model": model, "formats": formats or None}
    options = dataclasses.replace(options, **{k: v for k, v in chosen.items() if v is not None})  # type: ignore[arg-type]
    paths = list(dict.fromkeys(os.path.abspath(file) for file in files))
    rows = []
    for done in (
        transcribe_into(settings, paths, options, out)
        if out
        else transcribe_files(settings, paths, options)
    ):
        rows.append(_row(done))
        if not of.as_json:
            _tell(rows[-1])
    if of.as_json:
        of.table(rows, ())
    sys.exit(0 if all(row["state"] == State.DONE for row in rows) else 1)


def _row(done: Done) -> dict[str, object]:
    error = errors.named(done.job.code, done.job.detail) if done.job.code else None
    return {
        "recording": display(done.job.source.name),
        "state": "done" if done.job.state is State.DONE else "failed",
        "files": list(done.files),
        "warnings": [notice.code for notice in done.job.warnings],
        "warning_sentences": [
            errors.WARNINGS[notice.code].sentence(notice.detail) for notice in done.job.warnings
        ],
        "sentence": error.sentence if error else None,
        "next_step": error.next_step if error else None,
    }


def _tell(row: dict[str, object]) -> None:
    say(f"{row['recording']}: {row['state']}")
    for line in (row["sentence"], row["next_step"], *cast("list[str]", row["files"])):
        if line:
            say(f"  {line}")
    for sentence in cast("list[str]", row["warning_sentences"]):
        say(f"  {sentence}")


VERBS: Final = (up, demo, transcribe)
