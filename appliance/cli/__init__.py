"""The command `appliance`: verbs, exit codes, and where errors of a command end.

A verb a file or a family of verbs a file; each is thin: read settings, ask the store,
ring the bell, print. Only the family of the verb that is asked for is loaded: every part of a box
begins as this command, and a box that boots begins ten of them at once.

Exit 0 ok, 1 a job failed, 2 usage, 69 not reachable, 75 try later, 78 settings.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from typing import Final

import click

from appliance import __version__
from appliance.cli.site import Site, say
from appliance.errors import (
    AlreadyRunning,
    ApplianceError,
    ClockLeapt,
    LedgerBusy,
    LedgerDamaged,
    ModelUnreachable,
    NotReachable,
    SettingsInvalid,
    ShareError,
)

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {  # module → its verbs
    "run": ("up", "demo", "transcribe"),
    "processes": ("watch", "engine", "web"),
    "working": ("worker", "reconcile"),
    "backup": ("backup", "restore", "migrate"),
    "upkeep": ("retention",),
    "notifying": ("notify", "alerts"),
    "supporting": ("support-bundle",),
    "jobs": ("jobs",),
    "queue": ("queue",),
    "texts": ("search", "text"),
    "shares": ("share",),
    "settings": ("settings",),
    "models": ("model", "selftest"),
    "explain": ("explain", "check", "doctor"),
    "access": ("user", "key", "audit"),
}


class _Verbs(click.Group):
    """Every verb by its name, loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(verb for verbs in FAMILIES.values() for verb in verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        family = next((name for name, verbs in FAMILIES.items() if cmd_name in verbs), None)
        if family is None:
            return None
        loaded = importlib.import_module(f"{__name__}.{family}")
        found: click.Command = next(verb for verb in loaded.VERBS if verb.name == cmd_name)
        return found


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--settings", "file", metavar="FILE", help="Read this settings file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.option("--verbose", is_flag=True, help="Say more.")
@click.version_option(__version__, prog_name="appliance")
@click.pass_context
def cli(context: click.Context, file: str | None, *, as_json: bool, verbose: bool) -> None:
    """Turn recordings in shared folders into transcripts beside them."""
    context.obj = Site(file, as_json=as_json, verbose=verbose)


def main() -> None:
    """Run the command; every error of a command ends here."""
    words = _json_first(sys.argv[1:])
    try:
        cli(args=words)
    except ApplianceError as error:
        _tell_error(error, as_json="--json" in words)
        sys.exit(_exit_code(error))
    except OSError as error:
        click.echo(f"{error.filename or 'the system'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except Exception as bug:
        if "--verbose" in sys.argv:
            raise
        click.echo(f"bug: something went wrong inside the appliance ({bug!r}).", err=True)
        click.echo("Run it again with --verbose and tell us what it says.", err=True)
        sys.exit(1)


def _json_first(words: list[str]) -> list[str]:
    """Let `--json` stand after the verb as well; behind `--` it is somebody's file."""
    end = words.index("--") if "--" in words else len(words)
    options, files = words[:end], words[end:]
    if "--json" not in options:
        return words
    return ["--json", *(word for word in options if word != "--json"), *files]


def _tell_error(error: ApplianceError, *, as_json: bool) -> None:
    if as_json:
        facts = {"code": error.code, "message": error.sentence, "next_step": error.next_step}
        click.echo(json.dumps(facts, ensure_ascii=False), err=True)
    else:
        _tell(f"{error.code}: {error.sentence}")
        _tell(error.next_step)


def _tell(text: str) -> None:
    for line in text.splitlines():
        say(line, err=True)


def _exit_code(error: ApplianceError) -> int:
    match error:
        case SettingsInvalid():
            return 78
        case NotReachable() | ModelUnreachable():
            return 69
        case AlreadyRunning() | ClockLeapt() | LedgerBusy() | LedgerDamaged() | ShareError():
            return 75
    return 1
