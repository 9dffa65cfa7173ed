"""How well strangers' files are held in here: asked once when a worker starts, kept for all.

Not here: the walls themselves (limits), naming each of them (doctor).
"""

from __future__ import annotations

import os
from typing import Final

from appliance.errors import IsolationWeak
from appliance.limits import Confinement, probe
from appliance.values import from_json, to_json

_FILE: Final = "isolation.json"


def ask(run_dir: str) -> Confinement:
    """Try out what this platform allows, and keep the answer in `run_dir`."""
    found = probe()
    file = os.path.join(run_dir, _FILE)
    with open(f"{file}.new", "wb") as stream:
        stream.write(to_json(found))
    os.replace(f"{file}.new", file)
    return found


def known(run_dir: str) -> Confinement | None:
    """What the last worker to start found out; None where none has since the box did."""
    try:
        with open(os.path.join(run_dir, _FILE), "rb") as stream:
            return from_json(Confinement, stream.read())
    except (OSError, ValueError):
        return None


def weakness(found: Confinement) -> IsolationWeak | None:
    """What a person should know about it; None when every wall stands."""
    missing = found.missing()
    return IsolationWeak(walls=", ".join(missing)) if missing else None
