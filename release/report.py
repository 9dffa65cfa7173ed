"""How the box is, in a few figures: for a table of a whole fleet.

What the box measures itself is read where Prometheus reads it; nothing is judged a second time.

Not here: the table (ansible/fleet-report.yml).
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import subprocess
import time
from typing import Final

from release import gate

_SAMPLE: Final = re.compile(r'(appliance_\w+)(?:\{(?:\w+="([^"]*)")?[^}]*\})? (\S+)')
_MODELS: Final = "/var/lib/appliance/models"
_GB: Final = 1e9


def report() -> dict[str, object]:
    """What a fleet is asked about every box; a figure that is not to be had is None."""
    told = samples(gate.text("/metrics"))
    made = told.get("appliance_backup_timestamp_seconds", {}).get("")
    free = told.get("appliance_disk_free_bytes", {})
    parts = gate.parts()
    return {
        "ready": bool(told.get("appliance_ready", {}).get("")) if told else False,
        "down": [part.name for part in parts if part.state != "active"],
        "jobs": {state: int(n) for state, n in told.get("appliance_jobs", {}).items() if n},
        "failing": sorted(
            name for name, n in told.get("appliance_check_status", {}).items() if n == 2
        ),
        "alerts": sorted(name for name, n in told.get("appliance_alerts_firing", {}).items() if n),
        "shares down": sorted(n for n, up in told.get("appliance_share_up", {}).items() if not up),
        "free gb": round(min(free.values()) / _GB, 1) if free else None,
        "backup hours": round((time.time() - made) / 3600, 1) if made else None,
        "models": models(),
        "leaks": leaks(),
    }


def samples(text: str) -> dict[str, dict[str, float]]:
    """Prometheus' text → the first label's value → the figure, by metric."""
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        one = _SAMPLE.fullmatch(line)
        if one:
            found.setdefault(one.group(1), {})[one.group(2) or ""] = float(one.group(3))
    return found


def models(folder: str = _MODELS) -> dict[str, str]:
    """The models that were brought here, by the beginning of their digests."""
    found = {}
    for file in glob.glob(os.path.join(folder, "*", "manifest.json")):
        name = os.path.basename(os.path.dirname(file)).partition("@")[0]
        with contextlib.suppress(OSError, ValueError), open(file, encoding="utf-8") as stream:
            found[name] = str(json.load(stream).get("digest", ""))[:12]
    return found


def leaks() -> int | None:
    """Packets of ours that wanted out; None where there is no firewall of ours."""
    argv = ["nft", "-j", "list", "counter", "inet", "appliance", "leaks"]
    try:
        told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        rows = json.loads(told)["nftables"]
        return next(int(row["counter"]["packets"]) for row in rows if "counter" in row)
    except (OSError, subprocess.CalledProcessError, ValueError, LookupError, StopIteration):
        return None
