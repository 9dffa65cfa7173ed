"""How the box is, in a few figures: for a table of a whole fleet.

What the box says of itself is taken from its own command; nothing is judged a second time.

Not here: the table (ansible/fleet-report.yml).
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import ssl
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Container
from typing import Any, Final

from . import gate, switch
from .bundle import Refused

_STATE: Final = "/var/lib/appliance"
_CERTIFICATE: Final = "/etc/appliance/tls/cert.pem"
_JOBS: Final = "10000"  # of the newest
_MOST: Final = 1_000_000  # bytes of a manifest
_GB: Final = 1e9


def report(top: str, state: str = _STATE) -> dict[str, object]:
    """What a fleet is asked about every box; a figure that is not to be had is None."""
    checks = _said(top, "check", answers=(0, 1))  # 1: it answers, and something is wrong
    jobs = _said(top, "jobs", "list", "--limit", _JOBS)
    return {
        "ready": gate.is_ready(),
        "down": [part.name for part in gate.parts() if part.state != "active"],
        "jobs": None if jobs is None else dict(Counter(str(one["state"]) for one in jobs)),
        "failing": None if checks is None else failing(checks),
        "free gb": round(shutil.disk_usage(state).free / _GB, 1) if os.path.isdir(state) else None,
        "backup hours": backup_hours(state),
        "models": models(state),
        "leaks": leaks(),
        "certificate days": certificate_days(),
    }


def failing(checks: list[dict[str, Any]]) -> list[str]:
    """What is wrong, by the names of the checks."""
    return sorted(str(one["code"]) for one in checks if one["level"] == "FAIL")


def backup_hours(state: str) -> float | None:
    """How old the newest backup of the ledger is; None where there is none."""
    made = [os.stat(path).st_mtime for path in glob.glob(os.path.join(state, "backups", "*.db"))]
    return round((time.time() - max(made)) / 3600, 1) if made else None


def models(state: str) -> dict[str, str]:
    """The models that were brought here, by the beginning of their digests."""
    found = {}
    for file in glob.glob(os.path.join(state, "models", "*", "manifest.json")):
        name = os.path.basename(os.path.dirname(file)).partition("@")[0]
        with contextlib.suppress(OSError, ValueError, RecursionError):
            found[name] = str(_manifest(file).get("digest", ""))[:12]
    return found


def _manifest(file: str) -> dict[str, Any]:
    """A manifest, which the account of the service may have made anything at all, read by root."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{file} is no file")
        rows = json.loads(stream.read(_MOST))  # of a larger one the end is missing
    if not isinstance(rows, dict):
        raise ValueError(f"{file} is no manifest")
    return rows


def certificate_days(file: str = _CERTIFICATE) -> int | None:
    """For how long the certificate of the page still holds; None where there is none."""
    argv = ["openssl", "x509", "-noout", "-enddate", "-in", file]
    try:
        told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        until = ssl.cert_time_to_seconds(told.strip().partition("=")[2])
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
    return int((until - time.time()) // 86_400)


def leaks() -> int | None:
    """Packets of ours that wanted out; None where there is no firewall of ours."""
    argv = ["nft", "-j", "list", "counter", "inet", "appliance", "leaks"]
    try:
        told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        rows = json.loads(told)["nftables"]
        return next(int(row["counter"]["packets"]) for row in rows if "counter" in row)
    except (OSError, subprocess.CalledProcessError, ValueError, LookupError, StopIteration):
        return None


def _said(top: str, *words: str, answers: Container[int] = (0,)) -> list[dict[str, Any]] | None:
    """Rows that a verb of the release that runs prints; None where it does not answer."""
    current = os.path.join(top, "current")
    try:
        told = switch.as_us(current, "--json", *words, why="it does not say", answers=answers)
        rows = json.loads(told)
    except (Refused, OSError, ValueError):
        return None
    return rows if isinstance(rows, list) else None
