"""The engine's instructions: AVX-512 on AMD's processors that have all of it, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from appliance import instructions, weights

AMD = "AuthenticAMD"
ALL = "fpu avx2 avx512f avx512cd avx512bw avx512dq avx512vl"


@pytest.mark.parametrize(
    ("vendor", "flags", "told"),
    [
        (AMD, ALL, {"CT2_FORCE_CPU_ISA": "AVX512"}),
        (AMD, ALL.replace(" avx512vl", ""), {}),
        (AMD, "fpu avx2", {}),
        ("GenuineIntel", ALL, {}),
    ],
)
def test_amd_is_told_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor: str, flags: str, told: dict[str, str]
) -> None:
    monkeypatch.delenv("CT2_FORCE_CPU_ISA", raising=False)
    cpuinfo = tmp_path / "cpuinfo"
    one = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\n\n"
    cpuinfo.write_text(one + one.replace(flags, "fpu"))
    monkeypatch.setattr(instructions, "_CPUINFO", str(cpuinfo))
    assert instructions.environment() == told


def test_a_kernel_that_says_nothing_and_a_person_who_does_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instructions, "_CPUINFO", str(tmp_path / "none"))
    monkeypatch.delenv("CT2_FORCE_CPU_ISA", raising=False)
    assert instructions.environment() == {}
    monkeypatch.undo()
    monkeypatch.setenv("CT2_FORCE_CPU_ISA", "GENERIC")
    assert instructions.environment() == {}


HEAR = """
import sys, ctranslate2, numpy as np
model = ctranslate2.models.Whisper(sys.argv[1], compute_type="int8")
mel = np.zeros((1, model.n_mels, 3000), np.float32)
model.encode(ctranslate2.StorageView.from_array(mel))
"""


def hears(told: Mapping[str, str]) -> bool:
    """Whether the self-test model encodes a window in a process that is told so."""
    folder = weights.find(weights.SELFTEST, "").path
    command = [sys.executable, "-c", HEAR, folder]
    return subprocess.run(command, env={**os.environ, **told}).returncode == 0


def test_ctranslate2_takes_what_this_processor_is_told() -> None:
    assert hears(instructions.environment())
    assert not hears({"CT2_FORCE_CPU_ISA": "nonsense"})
