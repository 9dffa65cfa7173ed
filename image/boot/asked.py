"""Programs that are run, and files that are written whole or not at all.

Not here: what is made of their answers.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import subprocess
import tomllib
from collections.abc import Mapping
from typing import Any, Final

RUN: Final = "/run/appliance-boot"
ACCOUNT: Final = "appliance"
SETTINGS: Final = "/etc/appliance/appliance.toml"
STATE: Final = "/var/lib/appliance"
_COMMAND: Final = "/opt/appliance/current/bin/appliance"
_SECONDS: Final = 120.0


def run(
    *argv: str, told: str = "", more: Mapping[str, str] | None = None, account: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program; what it said. Raises OSError where it is not there, TimeoutExpired."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(more or {})}
    return subprocess.run(
        argv, input=told, capture_output=True, text=True, check=False, env=environment, cwd="/",
        timeout=_SECONDS, umask=0o007 if account else -1, user=account, group=account,
        extra_groups=[] if account else None,
    )  # fmt: skip


def appliance(*words: str, settings: str = SETTINGS) -> subprocess.CompletedProcess[str]:
    """Run a verb of the release that runs, as the account of the box; raises as `run`."""
    more = {"APPLIANCE_SETTINGS": settings}
    # Only the box's own file says by its name where the state lies. What a file says itself is what
    # the parts would start with, and the environment would only hide it.
    beside = glob.glob(os.path.join(os.path.dirname(settings), "conf.d", "*.toml"))
    if settings != SETTINGS and not any(state_said(file) for file in (settings, *beside)):
        more["APPLIANCE_STATE_DIR"] = STATE
    return run(_COMMAND, *words, more=more, account=ACCOUNT)


def state_said(file: str) -> list[object]:
    """What a file of settings says of where the state lies: one word of it, or none."""
    # What cannot be read is for the release to name.
    with contextlib.suppress(OSError, ValueError, RecursionError), open(file, "rb") as stream:
        node = tomllib.load(stream).get("node")
        return [node["state_dir"]] if isinstance(node, dict) and "state_dir" in node else []
    return []


def addresses() -> list[str]:
    """Those by which others reach this box, of version 4 first; none: it has none yet."""
    told = run("ip", "-json", "address", "show", "scope", "global", "up").stdout
    links: list[dict[str, Any]] = json.loads(told or "[]")
    found = [one for link in links for one in link.get("addr_info", ()) if "local" in one]
    # Some that a box gives itself against being followed change every day.
    lasting = [one for one in found if not one.get("temporary") and not one.get("deprecated")]
    return [str(one["local"]) for one in sorted(lasting, key=lambda one: str(one["family"]))]


def read(path: str) -> str:
    """What stands in a small file, without the end of its line; nothing where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""


def write(path: str, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file that is there whole after a power cut, or as it was. Raises OSError."""
    data = content.encode() if isinstance(content, str) else content
    half = f"{path}.new"
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(half, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
