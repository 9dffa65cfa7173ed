"""The vector instructions the engine computes with.

CTranslate2 uses AVX-512 on Intel's processors only. AMD's have had it since 2022, and told to
use it the base shape encodes in 0.8 to 0.9 of the CPU and writes its text in the same (int8,
measured on an EPYC). What a processor lacks CTranslate2 refuses at its start, so it is asked.

Not here: how CTranslate2's allocator is chosen (allocator), threads (engine).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_CPUINFO: Final = "/proc/cpuinfo"
_ISA: Final = "CT2_FORCE_CPU_ISA"
_AVX512: Final = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def environment() -> Mapping[str, str]:
    """What the engine's environment needs besides: nothing where CTranslate2 chooses well."""
    if _ISA in os.environ:
        return {}  # whoever says so knows why
    said = _first_processor()
    amd = said.get("vendor_id") == "AuthenticAMD"
    return {_ISA: "AVX512"} if amd and set(said.get("flags", "").split()) >= _AVX512 else {}


def _first_processor() -> dict[str, str]:
    try:
        with open(_CPUINFO, encoding="utf-8") as stream:
            lines = stream.read().partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    said = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in said}
