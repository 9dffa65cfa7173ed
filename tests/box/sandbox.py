"""Run a program in the sandbox of a unit, where systemd is the first process and we are root.

A unit of another name is made of the unit's own lines, and its drop-ins with it, so that nothing
of the sandbox is said twice; only what it runs is ours.

Not here: what is tried in there (probes).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Final

from tests.box import probes, units

_RUNTIME: Final = "/run/systemd/system"
_KINDS: Final = ("mnt", "net", "ipc", "uts", "user")
# What a unit says about its process, and not about its walls.
_NOT_A_WALL: Final = frozenset(
    (
        *("ExecStart", "Type", "NotifyAccess", "WatchdogSec", "Restart", "RestartSec"),
        *("RestartPreventExitStatus", "RemainAfterExit", "SuccessExitStatus", "TimeoutStartSec"),
        *("Delegate", "LoadCredential"),
    )
)


def is_possible() -> str | None:
    """What is missing to run anything; None where nothing is."""
    with open("/proc/1/comm", encoding="ascii") as stream:
        if stream.read().strip() != "systemd":
            return "systemd is not the first process here"
    if os.geteuid():
        return "only root can start a unit"
    if not os.path.isdir("/etc/appliance"):
        return "the appliance is not installed here"
    return None


def run(
    unit: str, argv: Sequence[str], environment: dict[str, str], loosened: Sequence[str] = ()
) -> str:
    """What a program prints in the sandbox of `unit`; raises CalledProcessError if it fails.

    `loosened` are lines that have the last word over the sandbox.
    """
    probe = f"appliance-probe{os.getpid()}-{unit.removeprefix(units.PREFIX).replace('@', '')}"
    lines = ["[Service]", "Type=oneshot", "ExecStart=" + " ".join(argv)]
    lines += [
        f"{line.key}={line.value}"
        for line in units.lines(unit)
        if line.section == "Service" and line.key not in _NOT_A_WALL
    ]
    lines += [f"Environment='{key}={value}'" for key, value in environment.items()]
    with tempfile.NamedTemporaryFile(dir="/var/log", mode="r", encoding="utf-8") as out:
        lines += [f"StandardOutput=append:{out.name}", f"StandardError=append:{out.name}"]
        file = os.path.join(_RUNTIME, probe)
        own = os.path.join(units.FOLDER, f"{unit}.d")
        try:
            with open(file, "w", encoding="utf-8") as stream:
                stream.write("\n".join(lines) + "\n")
            if os.path.isdir(own):
                shutil.copytree(own, f"{file}.d")
            os.makedirs(f"{file}.d", exist_ok=True)
            with open(f"{file}.d/99-loosened.conf", "w", encoding="utf-8") as stream:
                stream.write("\n".join(["[Service]", *loosened]) + "\n")
            subprocess.run(["systemctl", "daemon-reload"], check=True)
            ended = subprocess.run(["systemctl", "start", probe], check=False)
            printed = out.read()
            if ended.returncode:
                raise subprocess.CalledProcessError(ended.returncode, probe, printed)
            return printed
        finally:
            os.unlink(file)
            shutil.rmtree(f"{file}.d", ignore_errors=True)


def tried(
    unit: str, *, loosened: Sequence[str] = (), python: str = "/usr/bin/python3"
) -> dict[str, bool | None]:
    """Every wall of a unit, and whether it holds; None where this machine cannot tell.

    `loosened` are walls that are taken down before, for a control.
    """
    outside = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in _KINDS}
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probes.py")
    walls = units.walls(unit)

    def ask(some: dict[str, list[str]], *loosened: str) -> dict[str, bool | None]:
        told = {"PROBE_HOST": json.dumps(outside), "PROBE_WALLS": json.dumps(some)}
        answer: dict[str, bool | None] = json.loads(run(unit, [python, file], told, loosened))
        return answer

    found = ask(walls, *loosened)
    if loosened:
        return found
    for key, lines in probes.LOOSENED.items():
        told = found.get(key, False) is not None or (
            probes.CONTAINER and key in probes.IN_A_MACHINE
        )
        if not told:
            found |= ask({key: walls[key]}, *lines)
    return found
