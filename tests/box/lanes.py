"""What `make test-box` runs.

Provisioning is asked how long it takes by our clock. Everything else is an emulated machine with a
clock of its own, so these run beside each other and beside it, with what processor it leaves them.

Not here: what a lane does (its module), how commands run beside each other (together).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.box import together
from tests.box.guest import __main__ as guests
from tests.box.guest.machine import stop_on_term
from tests.box.steps import say

FULL: Final = guests.FULL  # what takes long, too
NAMES: Final = ("provision", "guest", "image")
_ORDER: Final = ("provision", "nas", "power", "image", "nfs", "limits")  # the longest first
_LAST_IN_LINE: Final = ("nice", "-n", "19")
# Provisioning waits for most of its time.
_AT_ONCE: Final = together.PROCESSORS + 1


def run(named: Sequence[str], *, full: bool) -> int:
    """Run the lanes that are named, `all` of them; 0 where each was as it should be."""
    named = NAMES if list(named) == ["all"] else named
    if unknown := set(named) - set(NAMES):
        say(f"no lane {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
        return 2
    stop_on_term()
    commands = {name: command for name, command in beside(full=full).items()
                if (name if name in NAMES else "guest") in named}  # fmt: skip
    found = together.run(commands, _AT_ONCE)
    for name, status in found.items():
        say(f"{name}: {'as it should be' if status == 0 else f'exit {status}'}")
    return next((status for status in found.values() if status), 0)


def beside(*, full: bool) -> dict[str, list[str]]:
    """The commands that may run beside each other: one that is told by our clock, one for each
    guest, and the image.
    """
    more = (FULL,) if full else ()
    guest = {
        lanes[0]: together.module("tests.box.guest", *more, *lanes)
        for lanes in guests.sharing(full=full)
    }
    with_own_clock = {**guest, "image": together.module("tests.box.image")}
    commands = {name: [*_LAST_IN_LINE, *command] for name, command in with_own_clock.items()}
    commands["provision"] = together.module("tests.box.provision")
    return {name: commands[name] for name in sorted(commands, key=_ORDER.index)}
