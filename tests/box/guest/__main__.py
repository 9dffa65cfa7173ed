"""`python -m tests.box.guest [--full] [LANE[:CASE]…]`: a guest for each lane, and its cases.

CASE is how the names of those begin that are wanted. With `--full` those that take long, too.

Exit 0 when every case of every lane passed, 2 where no guest can be made.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.box import together
from tests.box.guest import egress, image, limits, nas, nfs, power, whole
from tests.box.guest.lane import Lane
from tests.box.guest.machine import Guest, stop_on_term, woken

LANES: Final[Mapping[str, Lane]] = {
    "limits": limits.LANE,
    "nas": nas.LANE,
    "egress": egress.LANE,
    "whole": whole.LANE,
    "nfs": nfs.LANE,
    "power": power.LANE,
}
FULL: Final = "--full"


def main(wanted: Sequence[str] = ()) -> int:
    """Run lanes."""
    if (why := image.missing()) is not None:
        say(why)
        return 2
    full = FULL in wanted
    wanted = [one for one in wanted if one != FULL]
    asked = [one.partition(":") for one in wanted or LANES]
    if unknown := {name for name, _, _ in asked} - LANES.keys():
        say(f"no lane {', '.join(sorted(unknown))}; there are {', '.join(LANES)}")
        return 2
    stop_on_term()
    began = time.monotonic()
    with together.alone(image.KEPT / "made.lock"):
        disk = image.made()
    say(f"the disk took {_since(began)}")
    failed = 0
    for _, group in itertools.groupby(asked, lambda one: LANES[one[0]].prepare):
        lanes = [(name, LANES[name], case) for name, _, case in group]
        failed += _guest(disk, lanes, full=full)
    say(f"{failed} failed; {_since(began)} in all")
    return 1 if failed else 0


def sharing(*, full: bool) -> list[list[str]]:
    """The names of lanes that share a guest, for each guest that has something to do."""
    groups = itertools.groupby(LANES, lambda name: LANES[name].prepare)
    named = [[*names] for _, names in groups]
    return [names for names in named if any(_todo(LANES[name], full=full) for name in names)]


def _todo(lane: Lane, *, full: bool) -> Mapping[str, Callable[[Guest], str]]:
    return {**lane.cases, **(lane.long if full else {})}


def _guest(disk: Path, lanes: Sequence[tuple[str, Lane, str]], *, full: bool) -> int:
    """Run the cases of lanes that share a guest, those that begin as is wanted; how many failed."""
    todo = [
        (name, lane.proves, case, run)
        for name, lane, wanted in lanes
        for case, run in _todo(lane, full=full or bool(wanted)).items()
        if case.startswith(wanted)
    ]
    if not todo:
        return 0
    name, first, _ = lanes[0]
    failed, told, began = 0, "", time.monotonic()
    with woken(disk, image.KEPT / name, speed=first.shift, careful=first.careful) as guest:
        say(f"a guest for {name}: awake after {_since(began)}")
        began = time.monotonic()
        first.prepare(guest)
        say(f"prepared in {_since(began)}")
        for name, proves, case, run in todo:
            if name != told:
                say(f"{name}: {proves}")
                told = name
            failed += _case(guest, case, run)
    return failed


def _case(guest: Guest, name: str, run: Callable[[Guest], str]) -> int:
    """Run one; 1 where it failed."""
    began = time.monotonic()
    try:
        say(f"  {name}: {run(guest)} [{_since(began)}]")
    except (AssertionError, subprocess.SubprocessError, TimeoutError) as error:
        said = getattr(error, "stderr", None) or b""
        say(f"  {name}: FAILED: {error} {said.decode('utf-8', 'replace')}")
        say(guest.run("journalctl -u 'appliance-*' -n 25 -o cat --no-pager", check=False))
        return 1
    return 0


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s (load {os.getloadavg()[0]:.1f})"


def say(line: str) -> None:
    """Say it at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
