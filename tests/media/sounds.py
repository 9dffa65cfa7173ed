"""What can be heard in test recordings, as int16 at 16 kHz, mono. Equal calls, equal sound."""

from __future__ import annotations

import functools
import io
import random
import shutil
import subprocess
import wave

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.int16]

RATE = 16_000
_WORDS = (
    "please send the minutes to everybody before noon because the budget for next year "
    "has to be decided on Thursday and nobody wants another meeting about old kitchen chairs"
)


def silence(seconds: float) -> Sound:
    """Nothing at all."""
    return np.zeros(int(seconds * RATE), np.int16)


def noise(seconds: float, *, loudness: float = 60.0) -> Sound:
    """What a bad microphone hears in an empty room."""
    samples = np.random.default_rng(7).normal(0, loudness, int(seconds * RATE))
    return np.clip(samples, -32_768, 32_767).astype(np.int16)


@functools.cache
def say(text: str, *, speed: int = 160, voice: str = "en") -> Sound:
    """Let the synthesiser speak. It is a program of the system, and no test can do without."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise RuntimeError("these tests need the program espeak-ng (apt install espeak-ng)")
    argv = [program, "--stdout", "-s", str(speed), "-v", voice, text]
    spoken = subprocess.run(argv, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(10**9), np.int16)
    times = np.arange(0, len(samples), rate / RATE)
    resampled: Sound = np.interp(times, np.arange(len(samples)), samples).astype(np.int16)
    return resampled


@functools.cache
def meeting(seconds: float, *, seed: int = 1) -> Sound:
    """People talk, in bursts from a word to a minute, with pauses from a breath to seconds."""
    choose = random.Random(seed)
    parts, length = [], 0
    while length < seconds * RATE:
        text = " ".join(choose.choices(_WORDS.split(), k=choose.choice([1, 3, 8, 20, 45, 120])))
        pause = choose.choice([500, 2_000, 3_000, 6_000, 12_000, 20_000, 60_000])
        parts += [say(text, speed=choose.choice([120, 160, 220, 300])), np.zeros(pause, np.int16)]
        length += len(parts[-2]) + pause
    talk = np.concatenate(parts)[: int(seconds * RATE)].astype(np.int32)
    mixed: Sound = np.clip(talk + noise(seconds), -32_768, 32_767).astype(np.int16)
    return mixed
