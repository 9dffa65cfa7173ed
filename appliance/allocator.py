"""The memory allocator the engine runs with.

CTranslate2 takes and returns large buffers with every operation. glibc hands each back to
the kernel, and fetching them again was 29 to 49 % of the encoder's time on a processor;
jemalloc, told to keep what it has, heard 1.5 to 1.9 times as much (measured, int8).

Not here: starting the engine (cli).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import Final

PACKAGE: Final = "libjemalloc2"
_PLACES: Final = ("/usr/lib/*/libjemalloc.so.2", "/usr/lib/libjemalloc.so.2")
_CONF: Final = "dirty_decay_ms:-1,muzzy_decay_ms:-1,narenas:4,oversize_threshold:0"


def jemalloc() -> str | None:
    """Where the library lies, if it is installed."""
    return next((file for place in _PLACES for file in sorted(glob.glob(place))), None)


def environment() -> Mapping[str, str]:
    """What the engine's environment needs besides: nothing where there is no jemalloc."""
    library = jemalloc()
    if library is None or "LD_PRELOAD" in os.environ:
        return {}
    return {"LD_PRELOAD": library, "MALLOC_CONF": _CONF}
