"""The verb for whoever asks for help: support-bundle."""

from __future__ import annotations

import os
import platform
import time
from typing import Final

import click

from appliance.cli.site import Site, plain, site
from appliance.support import bundle


@click.command("support-bundle")
@click.option("--out", "path", metavar="FILE", help="Default: support-HOST-TIME.tar.gz, here.")
@click.option("--with-names", "names", is_flag=True, help="Call recordings by their names.")
@site
def support_bundle(of: Site, path: str | None, *, names: bool) -> None:
    """Put what a support call asks first into one archive, without secrets or texts.

    It looks at no share, sends nothing anywhere, and prints what the archive holds.
    """
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    path = path or f"support-{platform.node()}-{stamp}.tar.gz"
    if os.path.lexists(path):
        raise click.ClickException(f"{path} is there already; name another with --out")
    made = bundle.gather(of.file, names=names)
    told = bundle.write(path, made, names=names, at=now)
    if of.as_json:
        held = [{"file": one.file, "bytes": one.size, "holds": one.title} for one in made.held()]
        of.one({"path": path, "files": held, "left_out": made.left_out})
    else:
        for line in told.splitlines():
            click.echo(plain(line))
        click.echo(f"written to {plain(path)} ({os.path.getsize(path):,} bytes)")


VERBS: Final = (support_bundle,)
