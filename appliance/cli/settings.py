"""Verbs about settings: check, show."""

from __future__ import annotations

import json
from typing import Final

import click

from appliance import choices
from appliance import settings as site_settings
from appliance.cli.site import Site, site
from appliance.errors import SettingsInvalid

_COLUMNS: Final = ("key", "value", "said by")


@click.group()
def settings() -> None:
    """Look at the settings."""


@settings.command()
@site
def check(of: Site) -> None:
    """Say every mistake in the settings; exit 78 if there is one."""
    files = of.settings()
    file = of.file or site_settings.default_file()
    if mistakes := choices.left_out(files):
        lines = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise SettingsInvalid(file=choices.PAGE, count=len(mistakes), mistakes=lines)
    if of.as_json:
        of.one({"file": file, "ok": True})
    else:
        click.echo(f"{file or 'no file, all defaults'}: ok")


@settings.command()
@click.option("--effective", "where", is_flag=True, help="Each key, and which file says so.")
@site
def show(of: Site, *, where: bool) -> None:
    """The settings in force, defaults included, as JSON."""
    if where:
        of.table([_row(one) for one in choices.keys(of.file)], _COLUMNS)
        return
    plain = site_settings.shown(of.in_force())
    click.echo(json.dumps(plain, ensure_ascii=False, indent=2))


def _row(one: site_settings.Effective) -> dict[str, object]:
    text = json.dumps(one.value, ensure_ascii=False)
    return {"key": one.key, "value": text, "said by": one.source or "default"}


VERBS: Final = (settings,)
