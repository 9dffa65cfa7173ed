"""Verbs about what was said: search in all of it; look at one text, correct it, undo that."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

import click

from appliance import revise
from appliance.bell import Bell
from appliance.cli.site import Site, plain, say, site
from appliance.nouns import display
from appliance.revise import doubts
from appliance.revise.alignment import shown
from appliance.store import revisions, ticks
from appliance.store import search as index
from appliance.store.ledger import Ledger


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--share", "shares", multiple=True, help="Look in this share alone.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000))
@site
def search(of: Site, words: tuple[str, ...], shares: tuple[str, ...], limit: int) -> None:
    """Find what was said. Every word must occur; "in quotation marks" they follow each other."""
    with of.ledger() as ledger:
        found = index.find(ledger, " ".join(words), shares=frozenset(shares) or None, limit=limit)
        is_whole = index.left(ledger) is None
    if of.as_json:
        of.table([{**asdict(hit), "path": display(hit.path)} for hit in found], ())
    else:
        for hit in found:
            say(f"{clock(hit.start)}  job {hit.job}  {hit.share}/{display(hit.path)}")
            say(f"    {hit.text}")
        if not found:
            click.echo("nothing")
    if not is_whole:
        click.echo("Older recordings are still being indexed: ask again later.", err=True)


@click.group()
def text() -> None:
    """Read and correct what was heard in a recording; its files are written anew."""


_task = click.option(
    "--task", default=None, help="transcribe or translate, where a job has both texts."
)


@text.command()
@click.argument("number", type=int)
@_task
@site
def show(of: Site, number: int, task: str | None) -> None:
    """The text, a segment a line, each with its number."""
    with of.ledger() as ledger:
        opened = revise.opened(ledger, number)
    segments = opened.transcript(task or opened.transcripts[0].task).segments
    if of.as_json:
        of.table([{**asdict(one), "segment": n} for n, one in enumerate(segments)], ())
        return
    for place, segment in enumerate(segments):
        say(f"{place:>5}  {clock(segment.start)}  {shown(segment)}")


@text.command()
@click.argument("number", type=int)
@click.option("--limit", default=doubts.MOST, show_default=True, type=click.IntRange(1, 1_000))
@_task
@site
def review(of: Site, number: int, limit: int, task: str | None) -> None:
    """What had better be listened to again, the most doubtful first."""
    with of.ledger() as ledger:
        opened = revise.opened(ledger, number)
        transcript = opened.transcript(task or opened.transcripts[0].task)
        right = ticks.of_text(ledger, opened.job, transcript.task)
    found = doubts.doubts(transcript, most=limit, but=right)
    if of.as_json:
        of.table([asdict(one) for one in found], ())
        return
    for one in found:
        say(f"{one.segment:>5}  {clock(one.start)}  {one.doubt:4.0%}  {one.why:<10}  {one.text}")
    if not found:
        click.echo("nothing doubtful")


@text.command()
@click.argument("number", type=int)
@click.argument("segment", type=int)
@click.argument("lines", nargs=-1, required=True, metavar="TEXT…")
@click.option("--join", default=1, show_default=True, help="Take so many segments together.")
@_task
@site
def edit(
    of: Site, number: int, segment: int, lines: tuple[str, ...], join: int, task: str | None
) -> None:
    """Let TEXT stand in the place of a segment; several texts part it, an empty one removes it."""

    def change(ledger: Ledger, opened: revise.Opened, who: str) -> str:
        return revise.edit(
            ledger,
            number,
            on=opened.tag,
            task=task or opened.transcripts[0].task,
            first=segment,
            count=join,
            texts=lines,
            who=who,
        )

    _revised(of, number, change)


@text.command()
@click.argument("number", type=int)
@click.argument("heard")
@click.argument("written")
@click.option("--preview", is_flag=True, help="Show where, and change nothing.")
@click.option("--parts", is_flag=True, help="Parts of words, too.")
@click.option("--match-case", is_flag=True, help="Only where the case is the same.")
@_task
@site
def replace(
    of: Site,
    number: int,
    heard: str,
    written: str,
    *,
    preview: bool,
    parts: bool,
    match_case: bool,
    task: str | None,
) -> None:
    """Write WRITTEN wherever the text says HEARD."""
    exchange = revise.Exchange(heard, written, whole_words=not parts, match_case=match_case)
    if preview:
        with of.ledger() as ledger:
            opened = revise.opened(ledger, number)
        transcript = opened.transcript(task or opened.transcripts[0].task)
        try:
            found = list(revise.places(transcript, exchange))
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        if of.as_json:
            of.table([asdict(one) for one in found], ())
            return
        for one in found:
            say(f"{clock(one.start)}  …{one.before}[{one.found} → {written}]{one.after}…")
        click.echo(f"{len(found)} places")
        return

    def change(ledger: Ledger, opened: revise.Opened, who: str) -> str:
        return revise.replace_everywhere(
            ledger,
            number,
            on=opened.tag,
            task=task or opened.transcripts[0].task,
            exchange=exchange,
            who=who,
        )

    _revised(of, number, change)


@text.command()
@click.argument("number", type=int)
@site
def history(of: Site, number: int) -> None:
    """Who changed the text, newest first."""
    with of.ledger() as ledger:
        opened = revise.opened(ledger, number)
        found = revisions.history(ledger, opened.job)
    rows = [
        {
            "revision": one.n,
            "kind": one.kind if one.same_as is None else f"{one.kind} to {one.same_as}",
            "who": one.who,
            "exported": one.exported_ms is not None,
        }
        for one in found
    ]
    of.table(rows, ("revision", "kind", "who", "exported"))


@text.command()
@click.argument("number", type=int)
@click.option("--to", type=int, help="Revision to go back to, 0: as it was heard. [the last one]")
@site
def undo(of: Site, number: int, to: int | None) -> None:
    """Let the text read as it did before."""

    def change(ledger: Ledger, opened: revise.Opened, who: str) -> str:
        back = opened.revision - 1 if to is None else to
        return revise.undo(ledger, number, on=opened.tag, to=back, who=who)

    _revised(of, number, change)


def _revised(of: Site, number: int, change: Callable[[Ledger, revise.Opened, str], str]) -> None:
    """Make a revision, ring the bell for its files, say what became of it."""
    who = f"cli:{os.environ.get('SUDO_USER') or os.environ.get('USER') or os.getuid()}"
    with of.ledger() as ledger:
        opened = revise.opened(ledger, number)
        tag = change(ledger, opened, who)
    if tag != opened.tag:
        bell = Bell(of.settings().state_dir)
        bell.ring(number)
        bell.close()
    if of.as_json:
        of.one({"id": number, "revision": tag, "changed": tag != opened.tag})
    else:
        said = f"{number}: revision {tag}" if tag != opened.tag else f"{number}: nothing to change"
        click.echo(plain(said))
    of.tell_if_stopped()


def clock(seconds: float) -> str:
    """A second of a recording as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


VERBS: Final = (search, text)
