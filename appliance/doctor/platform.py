"""What this platform is, and what it allows: versions, walls, limits, memory.

Not here: the GPU (gpu), the clock (hour).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from appliance import __version__, allocator
from appliance.doctor import asking
from appliance.health import holding
from appliance.health.finding import Finding, Level
from appliance.limits import WALLS, Mode, probe
from appliance.settings import Settings

LIBRARIES: Final = ("faster-whisper", "ctranslate2", "av", "onnxruntime", "huey", "sqlite-utils")
SQLITE: Final = sqlite3.sqlite_version
_FFMPEG_FLOOR: Final = (8, 1, 2)  # CVE-2026-8461 (MagicYUV) is fixed from here on
_WAL_SAFE: Final = (((3, 44, 6), (3, 45)), ((3, 50, 7), (3, 51)), ((3, 51, 3), (99,)))
_WEAKER: Final = "A stranger's file is decoded with weaker walls around it; a newer kernel helps."
_DECODER: Final = "import av, json, sys; json.dump(str(av.ffmpeg_version_info), sys.stdout)"
_SECONDS: Final = 60.0
_GROUPS: Final = "/sys/fs/cgroup/cgroup.controllers"  # there where cgroup v2 alone is
_DELEGATE: Final = (
    "Run the worker under systemd with `Delegate=cpu memory pids` (the unit appliance-worker "
    "does) on a kernel with cgroup v2 alone."
)


def examine(settings: Settings) -> Iterator[Finding]:
    """Say what there is. Starts two short-lived children."""
    yield Finding("appliance", Level.OK, f"version {__version__}, Python {sys.version.split()[0]}")
    named = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    yield Finding("libraries", Level.OK, named)
    yield _sqlite()
    yield ffmpeg(asking.program(_DECODER, _SECONDS).plain)
    yield from _isolation()
    yield limits(holding.known(settings.run_dir), controllers())
    yield hint(allocator.jemalloc())
    yield _machine()


def _sqlite() -> Finding:
    found = sqlite3.sqlite_version_info
    safe = any(low <= found < high for low, high in _WAL_SAFE)
    text = f"SQLite {SQLITE}"
    if not safe:
        text += ", which has the WAL-reset bug; our lock keeps it from happening"
    return Finding("sqlite", Level.OK, text)


def ffmpeg(told: object) -> Finding:
    """Is the FFmpeg in PyAV, which reads strangers' files, as new as it must be?"""
    if not isinstance(told, str):
        text = "PyAV does not load: no recording can be decoded"
        return Finding("ffmpeg", Level.FAIL, text, "Install the appliance anew.")
    numbers = told.lstrip("n").split("-")[0].split(".")
    found = tuple(int(number) for number in numbers if number.isdigit())
    text = f"FFmpeg {told} in PyAV"
    if found < _FFMPEG_FLOOR:  # one that does not say is none that we know to be mended
        floor = ".".join(map(str, _FFMPEG_FLOOR))
        remedy = f"Install a release whose PyAV has FFmpeg {floor} or newer."
        return Finding("ffmpeg", Level.WARN, f"{text}, older than {floor}", remedy)
    return Finding("ffmpeg", Level.OK, text)


def _isolation() -> Iterator[Finding]:
    missing = probe().missing()
    for wall in WALLS.values():
        text = f"decode child: {wall}"
        if wall not in missing:
            yield Finding("decoder", Level.OK, text)
        else:
            yield Finding("decoder", Level.WARN, f"{text}: not possible here", _WEAKER)


def controllers() -> str | None:
    """What cgroup v2 could limit on this machine; None where there is no cgroup v2 alone."""
    try:
        with open(_GROUPS, encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return None


def limits(mode: Mode | None, offered: str | None) -> Finding:
    """Who holds jobs to their limits, as the last worker found; what the kernel offers for it."""
    offers = f"cgroup v2 with {offered or 'no controllers'}" if offered is not None else "none"
    if mode is None:
        text = f"not known before a worker has started; groups of the kernel: {offers}"
        return Finding("limits-mode", Level.OK, text)
    told = f"{mode} ({holding.HOW[mode]}); groups of the kernel: {offers}"
    remedy = "" if mode is Mode.CGROUP2 else _DELEGATE
    return Finding("limits-mode", Level.OK if not remedy else Level.WARN, told, remedy)


def hint(jemalloc: str | None) -> Finding:
    """A hint and no more: everything works without it."""
    if jemalloc is not None:
        return Finding("allocator", Level.OK, f"the engine uses {jemalloc}")
    text = (
        f"glibc's; with {allocator.PACKAGE} (apt install {allocator.PACKAGE}) a processor hears "
        "a quarter to a half more in the same time"
    )
    return Finding("allocator", Level.OK, text)


def _machine() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    return Finding("machine", Level.OK, f"{cores} processors, {memory:.0f} GB of memory")
