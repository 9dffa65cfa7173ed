"""`python3 -m tests.box [--full] [LANE]`: a lane that needs a box; without a name, its walls.

The walls are tried on the box that this runs on, with the standard library alone. The last line
is the control: the same probes where the walls were taken down.
"""

from __future__ import annotations

import sys
from typing import Final

from tests.box import probes, sandbox, units

_NOTICED: Final = 20  # of the walls that are down; a container keeps some of its own


def say(line: str) -> None:
    """Say it at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: list[str]) -> int:
    """Run the lanes that are named, `all` of them, or try the walls of this box."""
    if not words:
        return walls()
    # A box has no emulator, nor what only the lanes import.
    from tests.box import lanes

    named = [word for word in words if word != lanes.FULL]
    return lanes.run(named, full=lanes.FULL in words)


def walls() -> int:
    """0 where no wall is open and the control notices; 2 where nothing could be tried."""
    if (missing := sandbox.is_possible()) is not None:
        say(missing)
        return 2
    opened = 0
    for unit in units.services():
        if unit in units.AS_ROOT:
            continue
        found = sandbox.tried(unit)
        wrong = [key for key, holds in found.items() if holds is False]
        untold = [key for key, holds in found.items() if holds is None]
        held = len(found) - len(wrong) - len(untold)
        say(f"{unit}: {held} hold, open: {wrong or 'none'}, cannot tell here: {untold or 'none'}")
        opened += len(wrong)
    control = sandbox.tried("appliance-web.service", loosened=probes.OPENED)
    noticed = [key for key, holds in control.items() if holds is False]
    say(f"control, walls taken down: {len(noticed)} of {len(control)} probes notice")
    return 1 if opened or len(noticed) < _NOTICED else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
