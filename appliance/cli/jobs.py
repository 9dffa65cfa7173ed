"""Verbs about jobs: list, show, follow, export, retry, hold, release, cancel."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import click

from appliance import daemon, errors, moves
from appliance.bell import Bell
from appliance.cli import remote, telling
from appliance.cli.columns import columns, cut, length, padded, when
from appliance.cli.progress import bar, moving
from appliance.cli.site import Site, plain, say, site
from appliance.export import EXPORTERS
from appliance.nouns import Notice, display
from appliance.states import ENDED, State
from appliance.store import attempts, events, exports, revisions, transcripts
from appliance.store import jobs as store
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger


class Step(Protocol):
    """One of appliance.moves."""

    def __call__(self, ledger: Ledger, job: Job, /, *, who: str) -> Job: ...


@click.group()
@click.option("--url", metavar="URL", help="Ask another box, over its API: https://box.")
@click.option("--key", metavar="FILE", help="The file that holds a key of that box; -: stdin.")
@click.pass_context
def jobs(context: click.Context, url: str | None, key: str | None) -> None:
    """Look at jobs and move them, here or (--url) on another box."""
    if url is not None:
        context.obj.box = context.with_resource(remote.client_of(url, key))


def row_of(job: Job, board: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """A job as people and scripts see it."""
    facts = board.get(job.id, {})
    error = errors.named(job.code, job.detail) if job.code else None
    return {
        "id": job.id,
        "state": job.state,
        "stage": facts.get("stage") if job.state is State.RUNNING else None,
        "progress": _progress(facts) if job.state is State.RUNNING else None,
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


def _more(ledger: Ledger, job: Job) -> dict[str, Any]:
    """What `show` knows beyond a row of the list."""
    tried = list(attempts.of_job(ledger, job.id))
    last = tried[-1] if tried else None
    spoken = transcripts.get(ledger, job, job.options.tasks[0])
    return {
        "profile": job.options.profile,
        "model": job.options.model,
        "language": spoken.language if spoken else job.options.language,
        "processing_seconds": (last.ended_ms - last.began_ms) / 1000
        if last and last.ended_ms
        else None,
        "edited": _edited(ledger, job),
        "warning_sentences": [_caution(one) for one in job.warnings],
        "exports": [display(one.path) for one in exports.of_job(ledger, job.id)],
        "events": [
            {"at": _time(e.at_ms), "was": e.was, "became": e.became, "code": e.code, "who": e.who}
            for e in events.of_job(ledger, job.id)
        ],
    }


def _edited(ledger: Ledger, job: Job) -> str | None:
    """The newest revision of its text, in a line."""
    newest = next(iter(revisions.history(ledger, job)), None)
    if newest is None:
        return None
    files = "its files say so" if newest.exported_ms else "its files are still to be written"
    return f"revision {newest.tag} by {newest.who}, {_time(newest.at_ms)}; {files}"


def _caution(notice: Notice) -> str:
    caution = errors.WARNINGS.get(notice.code)
    return caution.sentence(notice.detail) if caution else notice.code


def _progress(facts: dict[str, Any]) -> float | None:
    done, total = facts.get("done"), facts.get("total")
    return round(min(1.0, done / total), 3) if done is not None and total else None


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _local(at: str) -> str:
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S}"


@jobs.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice([str(s) for s in State]))
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@site
def list_(of: Site, states: tuple[str, ...], limit: int) -> None:
    """The newest jobs."""
    if of.box is not None:
        remote.listed(of, of.box, states, limit)
        return
    with of.ledger() as ledger:
        board = daemon.progress_board(of.settings().run_dir)
        found = store.listing(ledger, [State(state) for state in states], limit=limit)
    if of.as_json:
        of.table([row_of(job, board) for job in found], ())
    else:
        _print(found, board)
    of.tell_if_stopped()


def _print(found: Sequence[Job], board: dict[int, dict[str, Any]]) -> None:
    """Every job on a line as wide as the terminal, its trouble on a line below."""
    cells = [
        (str(job.id), when(job.updated_ms), _state(job, board), length(job.duration))
        for job in found
    ]
    heads = ("id", "when", "state", "length")
    wide = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    room = columns() - sum(wide) - 2 * len(wide)
    if not found:
        click.echo("no jobs")
        return
    for texts, job in zip((heads, *cells), (None, *found), strict=True):
        name = plain(display(job.source.path)) if job else "recording"
        line = "  ".join(padded(text, to) for text, to in zip(texts, wide, strict=True))
        click.echo(f"{line}  {cut(name, room)}")
        if job and job.code:
            trouble = f"    {plain(errors.named(job.code, job.detail).sentence)}"
            click.echo(click.wrap_text(trouble, columns(), "    ", "    "))


def _state(job: Job, board: dict[int, dict[str, Any]]) -> str:
    done = _progress(board.get(job.id, {})) if job.state is State.RUNNING else None
    return str(job.state) if done is None else f"{job.state} {100 * done:.0f} %"


@jobs.command()
@click.argument("number", type=int)
@click.option("--log", "whole", is_flag=True, help="Print the log of its last attempt.")
@click.option("--attempt", type=click.IntRange(1), help="Print the log of this attempt.")
@site
def show(of: Site, number: int, *, whole: bool, attempt: int | None) -> None:
    """Everything about one job."""
    if of.box is not None:
        if whole or attempt is not None:
            raise click.UsageError("a log is read on the box itself")
        remote.shown(of, of.box, number)
        return
    with of.ledger() as ledger:
        job = _get(ledger, number)
        settings = of.settings()
        logs = settings.state("logs")
        if whole or attempt is not None:
            telling.log(of, logs, number, attempt or job.attempt)
            return
        row = {**row_of(job, daemon.progress_board(settings.run_dir)), **_more(ledger, job)}
        share = settings.share_named(job.source.share)
        row["path"] = os.path.join(share.root, str(row["recording"])) if share else None
        row["last_attempt"] = telling.in_short(logs, number, job.attempt)
    if of.as_json:
        of.one(row)
        return
    row["created"], row["updated"] = _local(row["created"]), _local(row["updated"])
    row["warnings"] = row.pop("warning_sentences")
    row["last_attempt"] = telling.as_lines(row["last_attempt"])
    row["events"] = [
        f"{_local(e['at'])} {e['was'] or '-'} -> {e['became']} {e['code'] or ''}".rstrip()
        for e in row["events"]
    ]
    for name, value in row.items():
        _field(name.replace("_", " "), value)


def _field(name: str, value: object) -> None:
    if isinstance(value, list):
        lines = "".join(f"\n    {plain(str(line))}" for line in value)
        click.echo(f"{name}:{lines}" if value else f"{name}: none")
    elif value is not None:
        say(f"{name}: {value}")


@jobs.command()
@click.argument("number", type=int)
@site
def follow(of: Site, number: int) -> None:
    """Wait until a job has ended; exit 1 unless it is done."""
    if of.box is not None:
        remote.followed(of, of.box, number)
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
            error = errors.named(job.code, job.detail)
            say(error.sentence)
            say(error.next_step)
        raise SystemExit(0 if job.state is State.DONE else 1)


@jobs.command()
@click.argument("numbers", nargs=-1, type=int, required=True)
@site
def retry(of: Site, numbers: tuple[int, ...]) -> None:
    """Put failed jobs back into the queue; done ones are transcribed anew, uncorrected."""
    _move(of, numbers, "retry", moves.retry)


@jobs.command()
@click.argument("numbers", nargs=-1, type=int, required=True)
@site
def hold(of: Site, numbers: tuple[int, ...]) -> None:
    """Let jobs wait until somebody releases them."""
    _move(of, numbers, "hold", moves.hold)


@jobs.command()
@click.argument("numbers", nargs=-1, type=int, required=True)
@site
def release(of: Site, numbers: tuple[int, ...]) -> None:
    """Let jobs that are held go on."""
    _move(of, numbers, "release", moves.release)


@jobs.command()
@click.argument("numbers", nargs=-1, type=int, required=True)
@site
def cancel(of: Site, numbers: tuple[int, ...]) -> None:
    """Stop jobs: at once when they wait, at their next window when they run."""
    _move(of, numbers, "cancel", moves.cancel)


@jobs.command()
@click.argument("number", type=int)
@click.option("--format", "-f", "format_", default="txt", type=click.Choice([*EXPORTERS]))
@click.option("--out", "-o", metavar="FILE", help="A file that is not there yet; -: stdout.")
@site
def export(of: Site, number: int, format_: str, out: str | None) -> None:
    """Fetch a job's text from another box (--url); here it lies beside the recording."""
    if of.box is None:
        raise click.UsageError("on this box the text lies beside the recording: jobs show")
    remote.exported(of.box, number, format_, out)


def _move(of: Site, numbers: tuple[int, ...], verb: str, step: Step) -> None:
    """Take the same step with each of these jobs; whoever carries them on is rung for."""
    if of.box is not None:
        remote.moved(of, of.box, numbers, verb)
        return

    def act(ledger: Ledger, job: Job, who: str) -> Job:
        moved = step(ledger, job, who=who)
        if moved.state is State.QUEUED:
            with contextlib.closing(Bell(of.settings().state_dir)) as bell:
                bell.ring(job.id)
        return moved

    _each(of, numbers, act)
    if verb in ("retry", "release"):
        of.tell_if_stopped()


def _each(of: Site, numbers: tuple[int, ...], act: Callable[[Ledger, Job, str], Job]) -> None:
    who = f"cli:{os.environ.get('SUDO_USER') or os.environ.get('USER') or os.getuid()}"
    moves: list[dict[str, object]] = []
    with of.ledger() as ledger:
        for number in numbers:
            job = _get(ledger, number)
            moved = act(ledger, job, who)
            moves.append({"id": number, "state": str(moved.state)})
            if not of.as_json:
                click.echo(f"{number}: {moved.state}")
    if of.as_json:
        of.table(moves, ())


def _get(ledger: Ledger, number: int) -> Job:
    job = store.get(ledger, number)
    if job is None:
        raise click.ClickException(f"there is no job {number}")
    return job


VERBS: Final = (jobs,)
