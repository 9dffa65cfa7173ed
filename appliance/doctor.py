"""What this platform allows the appliance, and what it runs on: versions, isolation, memory.

Asked by a person who wonders why; beside health's questions it starts a child of its own
and looks how far it can be confined.

Not here: the state of the box (health).
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from appliance import __version__, allocator
from appliance.health.finding import Finding, Level
from appliance.limits import WALLS, probe

_LIBRARIES: Final = ("faster-whisper", "ctranslate2", "av", "onnxruntime", "huey", "sqlite-utils")
_FFMPEG_FLOOR: Final = (8, 1, 2)  # CVE-2026-8461 (MagicYUV) is fixed from here on
_WAL_SAFE: Final = (((3, 44, 6), (3, 45)), ((3, 50, 7), (3, 51)), ((3, 51, 3), (99,)))
_WEAKER: Final = "A stranger's file is decoded with weaker walls around it; a newer kernel helps."

_DECODER: Final = "import av, json, sys; json.dump(str(av.ffmpeg_version_info), sys.stdout)"
_GPUS: Final = (
    "import ctranslate2, json, sys; json.dump(ctranslate2.get_cuda_device_count(), sys.stdout)"
)
_DRIVER: Final = "/proc/driver/nvidia/version"
_GPU_REMEDY: Final = "Install NVIDIA's driver and the extra `gpu` (the libraries of CUDA 12)."


def examine(device: str = "auto") -> Iterator[Finding]:
    """Say what there is. Starts three short-lived children.

    `device` is what the settings want the engine to run on: auto, cuda or cpu.
    """
    yield Finding("appliance", Level.OK, f"version {__version__}, Python {sys.version.split()[0]}")
    named = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    yield Finding("libraries", Level.OK, named)
    yield _sqlite()
    yield _ffmpeg()
    yield from _isolation()
    yield _gpu(device, _child(_GPUS), driver=os.path.exists(_DRIVER))
    yield _allocator(allocator.jemalloc())
    yield _machine()


def _sqlite() -> Finding:
    found = sqlite3.sqlite_version_info
    safe = any(low <= found < high for low, high in _WAL_SAFE)
    text = f"SQLite {sqlite3.sqlite_version}"
    if not safe:
        text += ", which has the WAL-reset bug; our lock keeps it from happening"
    return Finding("sqlite", Level.OK, text)


def _ffmpeg() -> Finding:
    told = str(_child(_DECODER) or "unknown")
    numbers = told.lstrip("n").split("-")[0].split(".")
    found = tuple(int(number) for number in numbers if number.isdigit())
    if found and found < _FFMPEG_FLOOR:
        floor = ".".join(map(str, _FFMPEG_FLOOR))
        return Finding("ffmpeg", Level.WARN, f"FFmpeg {told} in PyAV", f"Update to {floor}.")
    return Finding("ffmpeg", Level.OK, f"FFmpeg {told} in PyAV")


def _isolation() -> Iterator[Finding]:
    missing = probe().missing()
    for wall in WALLS.values():
        text = f"decode child: {wall}"
        if wall not in missing:
            yield Finding("decoder", Level.OK, text)
        else:
            yield Finding("decoder", Level.WARN, f"{text}: not possible here", _WEAKER)


def _gpu(device: str, usable: object, *, driver: bool) -> Finding:
    """What is there to say of the GPU, of which the engine's library counts `usable`."""
    if isinstance(usable, int) and usable:
        asleep = "; the settings say processor" if device == "cpu" else ""
        return Finding("gpu", Level.OK, f"{usable} usable by the engine{asleep}")
    if device == "cuda":
        text = "the settings want one ([engine] device) and none is usable"
        return Finding("gpu", Level.FAIL, text, f"{_GPU_REMEDY} Or set device to auto.")
    if driver and device != "cpu":
        text = "its driver is here, but the engine cannot use it"
        return Finding("gpu", Level.WARN, text, _GPU_REMEDY)
    return Finding("gpu", Level.OK, "none; transcripts are made on the processor")


def _allocator(jemalloc: str | None) -> Finding:
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


def _child(program: str) -> object:
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    try:
        return json.loads(ran.stdout)
    except ValueError:
        return None
