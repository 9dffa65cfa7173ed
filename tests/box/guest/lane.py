"""What one booted guest is good for: a lane, its preparation and its cases.

Not here: the lanes themselves (a module each), running them (__main__).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.box.guest.machine import SLOW, Guest


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of the table."""

    proves: str
    # Once after the boot; it keeps the states it needs. Lanes that have the same share a guest.
    prepare: Callable[[Guest], None]
    cases: Mapping[str, Callable[[Guest], str]]  # each goes back to one; says its figures
    long: Mapping[str, Callable[[Guest], str]] = field(default_factory=dict)  # with --full, too
    shift: int = SLOW  # how its clock goes (machine)
    careful: bool = False  # its disk forgets nothing that it has promised
