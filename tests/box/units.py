"""The unit files as systemd reads them: a unit, then its drop-ins in the order of their names.

Not here: what is asked of them (test_units, probes).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

TOP: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER: Final = os.path.join(TOP, "systemd")
PREFIX: Final = "appliance-"
# What runs as root for a moment at boot, or reaches out: the figures it may have, times ten.
EXCEPTIONS: Final[Mapping[str, int]] = {
    "appliance-notify.service": 11,
    "appliance-model-pull@.service": 11,
    "appliance-gpu.service": 21,
    "appliance-shares.service": 7,
}
# What runs as root, for a moment and for one program.
AS_ROOT: Final = ("appliance-gpu.service", "appliance-shares.service")
MOST: Final = 5  # of everything else: 0.5
# A list grows with each line of it; an empty line begins it anew.
_LISTS: Final = frozenset(
    {
        "After",
        "BindPaths",
        "CapabilityBoundingSet",
        "DeviceAllow",
        "Environment",
        "IPAddressDeny",
        "LoadCredential",
        "ReadWritePaths",
        "RestrictAddressFamilies",
        "SystemCallFilter",
        "Wants",
    }
)


@dataclass(frozen=True, slots=True)
class Directive:
    """A line of a unit file."""

    file: str  # below systemd/
    section: str
    key: str
    value: str
    reason: str  # the comment right above it, or above the lines of the same key before it


def names() -> list[str]:
    """Every unit."""
    return sorted(name for name in os.listdir(FOLDER) if os.path.isfile(os.path.join(FOLDER, name)))


def services() -> list[str]:
    """Every unit that runs something."""
    return [name for name in names() if name.endswith(".service")]


def files() -> list[str]:
    """Every file below systemd/, drop-ins as well."""
    return sorted(
        os.path.relpath(os.path.join(folder, name), FOLDER)
        for folder, _, found in os.walk(FOLDER)
        for name in found
    )


def lines(file: str) -> Iterator[Directive]:
    """What a file says, line by line, each with its reason."""
    section, reason, before = "", "", ""
    with open(os.path.join(FOLDER, file), encoding="utf-8") as stream:
        for line in map(str.strip, stream):
            if line.startswith("["):
                section, reason = line.strip("[]"), ""
            elif line.startswith("#"):
                reason = f"{reason} {line.lstrip('# ')}".strip()
            elif not line:
                reason = ""
            else:
                key, _, value = line.partition("=")
                if not reason and key == before:
                    reason = "as above"
                yield Directive(file, section, key, value, reason)
                reason, before = "", key


def of(unit: str) -> list[Directive]:
    """What holds for a unit: its own file, then the drop-ins for all and its own, by name."""
    folders = [f"{unit}.d"]
    if unit.startswith(PREFIX) and unit.endswith(".service"):
        folders.append(f"{PREFIX}.service.d")
    drop_ins = [
        os.path.join(folder, name)
        for folder in folders
        if os.path.isdir(os.path.join(FOLDER, folder))
        for name in os.listdir(os.path.join(FOLDER, folder))
    ]
    ordered = [unit, *sorted(drop_ins, key=os.path.basename)]
    return [line for file in ordered for line in lines(file)]


def settings(unit: str, section: str = "Service") -> dict[str, list[str]]:
    """What every key of a section comes to; a list for a list, else one value."""
    found: dict[str, list[str]] = {}
    for line in of(unit):
        if line.section == section:
            if line.key in _LISTS and line.value:
                found.setdefault(line.key, []).append(line.value)
            else:
                found[line.key] = [line.value]
    return {
        key: [one for one in values if one] or [""] if key in _LISTS else values
        for key, values in found.items()
    }


def walls(unit: str) -> dict[str, list[str]]:
    """What of a unit is there to confine it: the keys that its sandbox and its needs name."""
    named = {
        line.key for line in of(unit) if line.file.endswith(("50-sandbox.conf", "60-needs.conf"))
    }
    return {key: value for key, value in settings(unit).items() if key in named}
