"""Recordings made for a test: longer ones out of the bundled samples, silence, noise.

Not here: any test, any stored sound.
"""

from __future__ import annotations

import os
import wave

import numpy as np
import numpy.typing as npt

from tests.line.running import SAMPLES

RATE = 16_000
Samples = npt.NDArray[np.int16]


def sample(name: str = "welcome-english.wav") -> Samples:
    """A bundled sample, 16 kHz mono."""
    with wave.open(os.path.join(SAMPLES, name)) as stream:
        return np.frombuffer(stream.readframes(stream.getnframes()), np.int16)


def long(seconds: float) -> Samples:
    """The English sample again and again."""
    one = sample()
    return np.tile(one, int(np.ceil(seconds * RATE / one.size)))[: int(seconds * RATE)]


def silence(seconds: float) -> Samples:
    """Nothing at all."""
    return np.zeros(int(seconds * RATE), np.int16)


def write(path: str, samples: Samples, *, rate: int = RATE) -> str:
    """Write a mono wav."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wave.open(path, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes(samples.tobytes())
    return path
