"""What a bench ran on: seconds mean nothing without it.

Not here: what was measured.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from typing import Final

import psutil

from appliance import __version__, allocator

_LIBRARIES: Final = ("faster-whisper", "ctranslate2", "onnxruntime", "av", "numpy")


def describe() -> dict[str, str]:
    """The machine, what runs on it, and how busy it was before we began."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": platform.release().split("-", maxsplit=1)[0],
        "python": platform.python_version(),
        "allocator": "jemalloc" if allocator.jemalloc() else "glibc",
        "appliance": f"{__version__} ({_commit()})",
        "load before": f"{os.getloadavg()[0]:.1f}",
        **{name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as told:
        names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"
