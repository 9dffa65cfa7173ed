"""What `make test-box` runs.

Provisioning goes first and alone: how long it takes by our clock is what it asks. Everything after
it is an emulated machine with a clock of its own, so these run beside each other.

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
_LONGEST_FIRST: Final = ("nas", "power", "image", "nfs", "limits")


def run(named: Sequence[str], *, full: bool) -> int:
    """Run the lanes that are named, `all` of them; 0 where each was as it should be."""
    named = NAMES if list(named) == ["all"] else named
    if unknown := set(named) - set(NAMES):
        say(f"no lane {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
        return 2
    stop_on_term()
    if "provision" in named:
        alone = together.run({"provision": together.module("tests.box.provision")})
        if bad := alone["provision"]:
            return bad
    found = together.run({name: command for name, command in beside(full=full).items()
                          if ("image" if name == "image" else "guest") in named})  # fmt: skip
    for name, status in found.items():
        say(f"{name}: {'as it should be' if status == 0 else f'exit {status}'}")
    return next((status for status in found.values() if status), 0)


def beside(*, full: bool) -> dict[str, list[str]]:
    """The commands that may run beside each other: one for each guest, and the image."""
    more = (FULL,) if full else ()
    commands = {
        lanes[0]: together.module("tests.box.guest", *more, *lanes)
        for lanes in guests.sharing(full=full)
    }
    commands["image"] = together.module("tests.box.image")
    return {name: commands[name] for name in sorted(commands, key=_LONGEST_FIRST.index)}
