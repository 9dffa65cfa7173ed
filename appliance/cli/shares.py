"""Verbs about shares: list, add, adopt, test."""

from __future__ import annotations

import json
import os
from typing import Final

import click

from appliance import marker, mounting
from appliance.cli.site import Site, site
from appliance.errors import NotReachable, SettingsInvalid, ShareReadOnly
from appliance.settings import LAPTOP_FILE, Settings, Share, default_file
from appliance.store import shares as store
from appliance.store.ledger import Ledger
from appliance.watch import adopt, probe, standing
from appliance.watch.mounts import mount_of


@click.group()
def share() -> None:
    """Look at shares and let them in."""


@share.command("list")
@site
def list_(of: Site) -> None:
    """Every share, and how it is."""
    with of.ledger(make=True) as ledger:
        rows = []
        for one in of.settings().share:
            known = store.get(ledger, one.name)
            rows.append(
                {
                    "name": one.name,
                    "root": one.root,
                    "adopted": "yes" if known.adopted_ms else "no",
                    "state": known.state,
                    "found by": known.method,
                    "old files": known.old_files,
                    "why": known.why,
                }
            )
        of.table(rows, ("name", "root", "adopted", "state", "found by", "old files", "why"))
    of.tell_if_stopped()


@share.command("adopt")
@click.argument("name")
@click.option(
    "--existing",
    type=click.Choice(["ignore", "process"]),
    required=True,
    help="The recordings already there: process them too, or ignore all but new ones.",
)
@site
def adopt_(of: Site, name: str, existing: str) -> None:
    """Mark the share NAME as ours and let its jobs run."""
    one = of.settings().share_named(name)
    if one is None:
        raise click.ClickException(f"no share is named {name} in the settings")
    with of.ledger(make=True) as ledger:
        old = store.get(ledger, name).old_files
        adopt(ledger, one, existing=existing)
    fate = "will be transcribed" if existing == "process" else "are left alone"
    many = f"{old} recordings" if old else "recordings"
    click.echo(f"{name}: adopted; the {many} already there {fate}")


@share.command()
@click.argument("name")
@click.argument("root", type=click.Path(file_okay=False, resolve_path=True))
@click.option("--kind", type=click.Choice(["auto", "local", "smb", "nfs"]), default="auto")
@click.option("--profile", default="default", show_default=True)
@site
def add(of: Site, name: str, root: str, kind: str, profile: str) -> None:
    """Write a share NAME with the folder ROOT into the settings."""
    facts = {"name": name, "root": root, "kind": kind, "profile": profile}
    file = _write_drop_in(of, name, facts)
    try:
        of.settings()
    except SettingsInvalid:
        os.unlink(file)
        raise
    click.echo(f"written to {file}")
    if not os.path.isdir(root):
        click.echo(f"But there is no folder {root} yet; nothing is found until it is.", err=True)
    click.echo("It is watched from the next start on; `appliance share test` looks at it now.")


def _write_drop_in(of: Site, name: str, facts: dict[str, str]) -> str:
    """Put a [[share]] of its own beside the settings file; no other file is changed."""
    main = of.file or default_file() or LAPTOP_FILE
    folder = os.path.join(os.path.dirname(main), "conf.d")
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(main):
        with open(main, "x", encoding="utf-8") as stream:
            stream.write("# Settings of this appliance. Shares may also lie in conf.d/*.toml.\n")
    file = os.path.join(folder, f"share-{os.path.basename(name)}.toml")
    if os.path.exists(file):
        raise click.ClickException(f"{file} is there already; edit it")
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in facts.items()]
    with open(file, "x", encoding="utf-8") as stream:
        stream.write("".join(["[[share]]\n", *lines]))
    return file


@share.command("test")
@click.argument("name")
@site
def test_(of: Site, name: str) -> None:
    """Look at the share NAME now: mounted, marked, readable, writable; exit 75 when not."""
    one = of.settings().share_named(name)
    if one is None:
        raise click.ClickException(f"no share is named {name} in the settings")
    seen = standing.look(one, _marker(of, one))
    mount = seen.mount
    click.echo(f"{name}: {one.root} lies on {mount.fstype}")
    if seen.error is not None:
        click.echo(f"{name}: {seen.why}")
        raise seen.error
    if not probe.writable(one.root):
        raise ShareReadOnly(share=name, name="a small test file")
    click.echo(f"{name}: online, and it takes files")


def _marker(of: Site, one: Share) -> str | None:
    """What its marker must say; nothing as long as there is no ledger to have adopted it."""
    try:
        with of.ledger() as ledger:
            return marker.expected(ledger, one)
    except NotReachable:
        return None


@share.command("mount")
@click.option("--units", default=mounting.FOLDER, show_default=True, metavar="FOLDER")
@click.option("--tidy", is_flag=True, help="Remove what is left of shares that are gone.")
@site
def mount_(of: Site, units: str, *, tidy: bool) -> None:
    """Write systemd's units for the shares that lie on a file server (root; at each start).

    Prints the units that are to be started, a line each. `--tidy` is for afterwards, when those
    of shares that left the settings have been stopped.
    """
    settings = of.settings()
    if tidy:
        for told in mounting.tidy(settings, units, is_mounted=_is_mounted):
            click.echo(told, err=True)
        return
    there, gone = mounting.write(settings, units)
    for one in settings.share:
        if one.source is not None:
            try:
                lies = mount_of(one.root)
                kept = mounting.prepare(one.root, is_mounted=not lies.is_local)
            except OSError as error:  # one folder that cannot be made keeps no other share away
                click.echo(f"{one.name}: {one.root}: {os.strerror(error.errno or 0)}", err=True)
                continue
            if not kept:
                click.echo(f"{one.name}: {one.root} cannot be made unchangeable", err=True)
    for name in gone:
        click.echo(f"{name}: no share of the settings any more", err=True)
    of.table([{"unit": name} for name in there], ("unit",)) if of.as_json else _lines(there)


def _is_mounted(root: str) -> bool:
    """Whether a file system of others begins there; its automount, which waits, counts."""
    lies = mount_of(root)
    return lies.point == root and not lies.is_local


def _lines(names: list[str]) -> None:
    for name in names:
        click.echo(name)


def adopt_own(ledger: Ledger, settings: Settings) -> None:
    """Let in the shares that `demo` made itself: nobody has to be asked."""
    for one in settings.share:
        if store.get(ledger, one.name).adopted_ms is None:
            adopt(ledger, one, existing="process")


VERBS: Final = (share,)
