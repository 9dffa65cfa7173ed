"""The command `appliance-release` of the box: put a release there, switch to it, and back.

Exit 0 done, or there was nothing to do; 1 refused, nothing changed; 3 it was tried and the box
went back by itself; 4 not even that made it well, or it broke off in the middle. What came of it is
one JSON object on stdout, what a person should know stands on stderr.

Not here: what the verbs do (install, switch).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from typing import Final

from . import bundle, install, judge, report, switch
from .bundle import Refused
from .switch import Switched

TOP: Final = "/opt/appliance"
SIGNERS: Final = "/etc/appliance/release-signers"
_WENT_BACK, _NOT_WELL = 3, 4
_SLOW: Final = "this takes a minute or two, and once it has begun it goes on to its end\n"
_TURNING: Final = ("activate", "back", "settle")


def main(words: list[str] | None = None) -> int:
    """Do what is asked; every error of the command ends here."""
    asked = _read(words)
    # Whoever asked may be at the far end of a line that breaks.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o022)
    try:
        row, status = _do(asked)
    except Refused as refused:
        sys.stderr.write(f"refused: {refused}\n")
        sys.stdout.write(json.dumps({"changed": False, "refused": str(refused)}) + "\n")
        return 1
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"it broke off: {error}\nwhen that is mended, run it again\n")
        turning = asked.verb in _TURNING
        sys.stdout.write(json.dumps({"changed": turning, "why": str(error)}) + "\n")
        return _NOT_WELL if turning else 1
    sys.stdout.write(json.dumps(row) + "\n")
    return status


def _read(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="appliance-release", description=__doc__.split("\n")[0])
    parser.add_argument("--top", default=TOP, help=argparse.SUPPRESS)
    parser.add_argument("--signers", default=SIGNERS, help="who may sign releases")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, about in (("verify", "look into a bundle"), ("install", "put a bundle on the box")):
        verbs.add_parser(verb, help=about).add_argument("bundle")
    turning = verbs.add_parser("activate", help="run a release that is installed, or go back")
    turning.add_argument("version")
    turning.add_argument("--no-start", action="store_true", help="start and judge nothing")
    going = verbs.add_parser("back", help="run the release before this one")
    going.add_argument(
        "--from", dest="leave", metavar="VERSION", help="do nothing where another release runs"
    )
    waiting = verbs.add_parser("wait", help="wait until the box is well")
    for one in (turning, going, waiting):
        one.add_argument("--patience", type=float, default=switch.PATIENCE, metavar="SECONDS")
    verbs.add_parser("judge", help="try a file as the settings of this box").add_argument("file")
    verbs.add_parser("settle", help="end a trial that a power cut ended (at boot)")
    verbs.add_parser("report", help="how the box is, in figures")
    verbs.add_parser("list", help="what is installed, what runs, what ran before")
    return parser.parse_args(words)


def _do(asked: argparse.Namespace) -> tuple[dict[str, object], int]:
    match asked.verb:
        case "verify":
            return _verified(asked.bundle, asked.signers), 0
        case "install":
            put = install.install(asked.bundle, asked.signers, asked.top)
            return {"changed": put.fresh, **install.as_row(put.release)}, 0
        case "activate":
            start = not asked.no_start
            if start:
                sys.stderr.write(_SLOW)
            return _told(
                switch.activate(asked.top, asked.version, patience=asked.patience, start=start)
            )
        case "back":
            sys.stderr.write(_SLOW)
            return _told(switch.back(asked.top, leave=asked.leave, patience=asked.patience))
        case "wait":
            wrong = switch.wait(patience=asked.patience)
            return {"changed": False, "why": wrong}, _NOT_WELL if wrong else 0
        case "judge":
            judge.judge(asked.file, asked.top)
            return {"changed": False}, 0
        case "settle":
            was = switch.settle(asked.top)
            return {"changed": was is not None, "version": was}, 0
        case "report":
            return {**_listed(asked.top), **report.report(asked.top)}, 0
    return _listed(asked.top), 0


def _verified(file: str, signers: str) -> dict[str, object]:
    # Not in /tmp, which may lie in memory: a bundle is large.
    with tempfile.TemporaryDirectory(prefix="appliance-release-", dir="/var/tmp") as folder:
        return {"changed": False, **install.as_row(bundle.opened(file, signers, folder))}


def _told(done: Switched) -> tuple[dict[str, object], int]:
    if done.why is not None:
        sys.stderr.write(f"not well: {done.why}\n{done.version} runs\n")
    status = 0 if done.why is None else _WENT_BACK if done.well else _NOT_WELL
    return asdict(done), status


def _listed(top: str) -> dict[str, object]:
    return {
        "changed": False,
        "current": switch.current(top),
        "previous": switch.current(top, "previous"),
        "on trial": os.path.exists(os.path.join(top, "trial")),
        "installed": [one.version for one in install.listed(top)],
    }


if __name__ == "__main__":
    sys.exit(main())
