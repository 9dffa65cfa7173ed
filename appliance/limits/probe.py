"""What this platform lets a child give up, found out by a child that does nothing else.

Asked once when a worker starts, and by doctor; confining cannot be undone, so nobody can
try it out in a process that has other work.

Not here: what a wall that is missing means for anybody (errors, doctor, health).
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from appliance.limits.walls import Confinement
from appliance.values import from_json

_SECONDS: Final = 120.0  # a slow disk, a box that is just starting everything else
_PROGRAM: Final = """
import dataclasses, json, sys
from appliance import limits
achieved = limits.seal(limits.confine(limits.Limits()))
sys.stdout.write(json.dumps(dataclasses.asdict(achieved)))
"""


def probe() -> Confinement:
    """Start a child, have it confine and seal itself, and return what it achieved."""
    try:
        ran = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM],
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        return from_json(Confinement, ran.stdout.decode())
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return Confinement()  # a child that cannot even say it: count on nothing
