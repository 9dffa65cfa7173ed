"""A Debian as a folder, made of packages from where this machine gets its own, once for each list.

In: names of packages. Out: a folder that is kept, called by a digest of what was asked for. No
address of a mirror stands in a file of ours.

Not here: what is made of it (build; tests.box.provision).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[1]
KEPT: Final = TOP / ".box"
PYTHONS: Final = {"bookworm": "3.11", "trixie": "3.13"}
_SOURCES: Final = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
_APT: Final = (
    'APT::Install-Recommends "false"',
    'APT::Keep-Downloaded-Packages "true"',
    'Acquire::Check-Valid-Until "false"',
    'Acquire::Check-Date "false"',
)
# Nobody reads manuals on a box. Who wrote what, and under which licence, stays with it.
_LEFT_OUT: Final = (
    *("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*"),
    *("path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright"),
)


def root(name: str, has: Sequence[str], *, will_ask_for: Sequence[str] = ()) -> Path:
    """The root of a Debian; a minute or three where it is new.

    What it `will_ask_for` lies downloaded in apt's cache. Raises CalledProcessError where
    Debian's packages cannot be had.
    """
    version = suite()
    told = repr((version, has, will_ask_for, _APT, _LEFT_OUT))
    made = KEPT / f"{name}-{version}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    if made.is_dir():
        return made
    KEPT.mkdir(exist_ok=True)
    half = KEPT / f".{made.name}.{os.getpid()}"
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--skip=cleanup/apt"]
    argv += [f"--include={','.join(has)}", *(f"--aptopt={line}" for line in _APT)]
    argv += [f"--dpkgopt={line}" for line in _LEFT_OUT]
    if will_ask_for:
        fetch = "apt-get install --yes --quiet --no-install-recommends --download-only"
        argv += [f'--customize-hook=chroot "$1" {fetch} {" ".join(will_ask_for)} >/dev/null']
    try:
        subprocess.run([*argv, version, str(half), "-"], input=sources(version), check=True)
        half.rename(made)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return made


def suite() -> str:
    """The Debian that boxes are made of: BOX_DEBIAN, or this machine's own."""
    return os.environ.get("BOX_DEBIAN") or _own()


def python() -> str:
    """The version of its Python. Raises KeyError for a Debian that no box has."""
    return PYTHONS[suite()]


def _own() -> str:
    with open("/etc/os-release", encoding="utf-8") as stream:
        told = dict(line.rstrip("\n").split("=", 1) for line in stream if "=" in line)
    return told["VERSION_CODENAME"].strip('"')


def sources(version: str) -> bytes:
    """Where a Debian's packages come from: from where this machine gets its own.

    Raises FileNotFoundError.
    """
    for file in _SOURCES:
        if os.path.exists(file):
            with open(file, "rb") as stream:
                return stream.read().replace(_own().encode(), version.encode())
    raise FileNotFoundError("no package sources of Debian here")
