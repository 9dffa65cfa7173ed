"""Verbs about settings: check, show."""

from __future__ import annotations

import json
from typing import Final

import click

from appliance import settings as site_settings
from appliance.cli.site import Site, site


@click.group()
def settings() -> None:
    """Look at the settings."""


@settings.command()
@site
def check(of: Site) -> None:
    """Say every mistake in the settings; exit 78 if there is one."""
    of.settings()
    file = of.file or site_settings.default_file()
    if of.as_json:
        of.one({"file": file, "ok": True})
    else:
        click.echo(f"{file or 'no file, all defaults'}: ok")


@settings.command()
@site
def show(of: Site) -> None:
    """The settings in force, defaults included, as JSON."""
    plain = of.settings().model_dump(mode="json")
    click.echo(json.dumps(plain, ensure_ascii=False, indent=2))


VERBS: Final = (settings,)
