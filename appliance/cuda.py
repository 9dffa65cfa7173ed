"""The libraries of CUDA that the engine computes with on a GPU, and where they lie.

pip puts them below site-packages, where the system's loader does not look, and CTranslate2 asks
for them by name when it first computes: the error most reported of faster-whisper (#516, #885,
#1080, #1182). A library that a process has opened by its path is found by its name from then on.

Not here: what there is to say of a GPU (doctor), computing (engine).
"""

from __future__ import annotations

import ctypes
import functools
import glob
import os
import sysconfig
from collections.abc import Mapping, Sequence
from typing import Final

# A library comes after what it needs itself. cuDNN only in older wheels of CTranslate2.
NEEDED: Final = ("libcuda.so.1", "libcublasLt.so.12", "libcublas.so.12")
WELCOME: Final = ("libcudnn.so.9",)


def lying() -> Mapping[str, str]:
    """Libraries that pip has brought: name → path."""
    folder = sysconfig.get_paths()["purelib"]
    found = glob.glob(os.path.join(folder, "nvidia", "*", "lib", "lib*.so.*"))
    return {os.path.basename(file): file for file in found}


def open_all(names: Sequence[str], there: Mapping[str, str]) -> dict[str, str | None]:
    """Open libraries for the rest of this process: pip's by its path where it has brought one
    that opens, else whatever the loader finds.

    Name → None, or what the loader says of one that does not open.
    """
    return {name: _opened(name, there.get(name)) for name in names}


@functools.cache
def lacking() -> str | None:
    """Open what a GPU is computed with, before the first turn asks for it by name; the library
    that does not open, None where each does.
    """
    said = open_all(NEEDED, lying())
    return next((name for name, why in said.items() if why is not None), None)


def _opened(name: str, path: str | None) -> str | None:
    said = ""
    for one in (path, name):
        try:
            if one is not None:
                ctypes.CDLL(one)
                return None
        except OSError as error:
            said = said or str(error)
    return said
