"""`python -m tests.box.guest [--full] [LANE[:CASE]…]`: a guest for each lane, and its cases.

CASE is how the names of those begin that are wanted. With `--full` those that take long, too.

Exit 0 when every case of every lane passed, 2 where no guest can be made.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.box.guest import egress, image, limits, nas, nfs, power, whole
from tests.box.guest.lane import Lane
from tests.box.guest.machine import stop_on_term, woken

LANES: Final[Mapping[str, Lane]] = {
    "limits": limits.LANE,
    "nas": nas.LANE,
    "nfs": nfs.LANE,
    "power": power.LANE,
    "egress": egress.LANE,
    "whole": whole.LANE,
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
    disk = image.made()
    say(f"the disk took {_since(began)}")
    failed = sum(_lane(name, LANES[name], case, disk, full=full) for name, _, case in asked)
    say(f"{failed} failed; {_since(began)} in all")
    return 1 if failed else 0


def _lane(name: str, lane: Lane, wanted: str, disk: Path, *, full: bool) -> int:
    """Run the cases of one lane that begin with `wanted`; how many failed."""
    say(f"{name}: {lane.proves}")
    failed, began = 0, time.monotonic()
    cases = {**lane.cases, **(lane.long if full or wanted else {})}
    with woken(disk, image.KEPT / name, shift=lane.shift, careful=lane.careful) as guest:
        say(f"  awake after {_since(began)}")
        began = time.monotonic()
        lane.prepare(guest)
        say(f"  prepared in {_since(began)}")
        for case, run in cases.items():
            if not case.startswith(wanted):
                continue
            began = time.monotonic()
            try:
                say(f"  {case}: {run(guest)} [{_since(began)}]")
            except (AssertionError, subprocess.SubprocessError, TimeoutError) as error:
                failed += 1
                said = getattr(error, "stderr", None) or b""
                say(f"  {case}: FAILED: {error} {said.decode('utf-8', 'replace')}")
                say(guest.run("journalctl -u 'appliance-*' -n 25 -o cat --no-pager", check=False))
    return failed


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s (load {os.getloadavg()[0]:.1f})"


def say(line: str) -> None:
    """Say it at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
