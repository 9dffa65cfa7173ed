"""Recordings whose words and times are known: espeak-ng speaks, the waveform is measured.

In: a language, a number and a seed. Out: sound as int16 at 16 kHz with the words
that were spoken and the second at which the voice starts and ends; and clips in
which nobody speaks. The same seed gives the same clips with the same espeak-ng.

Needs numpy and the program espeak-ng (1.51 was used), nothing else.
"""

from __future__ import annotations

import io
import random
import subprocess
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tests.selftest_model.vocabulary import LANGUAGES, WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Sound = NDArray[np.float32]  # one channel at SAMPLE_RATE, full scale is 1.0

SAMPLE_RATE: Final = 16_000  # Hz

VOICES: Final = {
    "en": ("en-us", "en-gb", "en-us+f2", "en-gb+m3", "en-us+m1", "en-us+f4"),
    "de": ("de", "de+f2", "de+m3", "de+f4", "de+m1"),
    "es": ("es", "es-419", "es+f2", "es+m3", "es+f4"),
}

_AUDIBLE: Final = 0.01  # of the utterance's peak: a 10 ms mean above this is voice
_HISS: Final = 0.001  # standard deviation of the noise under a recording: about -60 dB


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording of one person saying some words of the vocabulary, and the truth about it."""

    samples: NDArray[np.int16]  # [n], one channel at SAMPLE_RATE
    language: str
    words: tuple[str, ...]
    start: float  # seconds into the samples at which the voice starts
    end: float  # seconds into the samples at which it has ended


def utterances(
    language: str, count: int, seed: int, *, words: tuple[int, int] = (2, 7)
) -> Iterator[Utterance]:
    """Speak `count` utterances of `words` (fewest, most) words, each with silence around it."""
    dice = random.Random(f"{language} {seed}")
    column = LANGUAGES.index(language)
    for _ in range(count):
        said = tuple(dice.choice(WORDS)[column] for _ in range(dice.randint(*words)))
        voice = speak(
            " ".join(said),
            dice.choice(VOICES[language]),
            words_per_minute=dice.randint(135, 195),
            pitch=dice.randint(30, 70),
        )
        start, end = voiced(voice)
        before, after = dice.uniform(0.3, 2.0), dice.uniform(0.5, 1.5)
        sound = silence(before, voice, after)
        yield Utterance(
            pcm(sound + hiss(len(sound), dice)),
            language,
            said,
            round(before + start, 3),
            round(before + end, 3),
        )


def nonspeech(count: int, seed: int, *, seconds: float = 6.0) -> Iterator[NDArray[np.int16]]:
    """Make `count` clips in which nobody speaks: silence, noise, tones, hum, chords, clicks."""
    dice = random.Random(f"nobody {seed}")
    for number in range(count):
        make = _NOBODY[number % len(_NOBODY)]
        yield pcm(make(round(seconds * SAMPLE_RATE), dice))


def speak(text: str, voice: str, *, words_per_minute: int = 160, pitch: int = 50) -> Sound:
    """Have espeak-ng say `text`; the sound has its own short silence at both ends."""
    said = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "--stdout", text],
        capture_output=True,
        check=True,
    ).stdout
    with wave.open(io.BytesIO(said)) as header:
        rate = header.getframerate()
    # The header went into a pipe, so the length it states is a guess: take what follows "data".
    body = said[said.index(b"data") + 8 :]
    return resample(floats(np.frombuffer(body[: len(body) // 2 * 2], np.int16)), rate)


def resample(sound: Sound, rate: int) -> Sound:
    """Bring `sound` from `rate` Hz to SAMPLE_RATE by cutting its spectrum."""
    length = round(len(sound) * SAMPLE_RATE / rate)
    spectrum = np.fft.rfft(np.pad(sound, (0, len(sound) % 2)))[: length // 2 + 1]
    return (np.fft.irfft(spectrum, length) * (length / len(sound))).astype(np.float32)


def voiced(sound: Sound) -> tuple[float, float]:
    """Measure when the voice starts and ends, in seconds, on sound without noise."""
    loudness = np.convolve(np.abs(sound), np.full(160, 1 / 160), "same")
    heard = np.flatnonzero(loudness > _AUDIBLE * np.abs(sound).max())
    return float(heard[0]) / SAMPLE_RATE, float(heard[-1]) / SAMPLE_RATE


def silence(before: float, sound: Sound, after: float) -> Sound:
    """Put seconds of digital silence around `sound`."""
    return np.pad(sound, (round(before * SAMPLE_RATE), round(after * SAMPLE_RATE)))


def hiss(length: int, dice: random.Random, level: float = _HISS) -> Sound:
    """Make white noise of a standard deviation of `level`."""
    source = np.random.default_rng(dice.getrandbits(32))
    return (level * source.standard_normal(length)).astype(np.float32)


def floats(samples: NDArray[np.int16]) -> Sound:
    """Give 16-bit samples as floats, full scale 1.0."""
    return samples.astype(np.float32) / np.float32(32768)


def pcm(sound: Sound) -> NDArray[np.int16]:
    """Round to 16 bits; what is too loud is clipped."""
    return (np.clip(sound, -1, 1) * 32767).round().astype(np.int16)


def write_wav(path: str, samples: NDArray[np.int16]) -> None:
    """Write one channel of 16-bit samples at SAMPLE_RATE."""
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())


def _seconds(length: int) -> NDArray[np.float64]:
    return np.arange(length) / SAMPLE_RATE


def _silence(length: int, dice: random.Random) -> Sound:
    level = dice.choice((0.0, 1e-4, 5e-4))
    return hiss(length, dice, level)


def _noise(length: int, dice: random.Random) -> Sound:
    """Noise between white and brown."""
    spectrum = np.fft.rfft(hiss(length, dice, 1.0))
    spectrum *= np.maximum(np.arange(len(spectrum)), 20.0) ** -dice.uniform(0.0, 1.0)
    noise = np.fft.irfft(spectrum, length)
    noise *= dice.uniform(0.02, 0.6) / np.abs(noise).max()
    return noise.astype(np.float32)


def _tone(length: int, dice: random.Random) -> Sound:
    """One sine, steady, beeping or gliding."""
    at, pitch = _seconds(length), dice.uniform(80, 3000)
    glide = dice.choice((0.0, 0.0, dice.uniform(-0.08, 0.3)))
    sound = np.sin(2 * np.pi * pitch * (at + glide * at**2 / 2))
    if dice.random() < 0.4:
        sound *= (at * dice.uniform(0.7, 3.0)) % 1.0 < 0.5
    return (sound * dice.uniform(0.02, 0.6) + hiss(length, dice)).astype(np.float32)


def _hum(length: int, dice: random.Random) -> Sound:
    """A mains hum with its harmonics."""
    at, mains = _seconds(length), dice.choice((50, 60))
    sound = sum(np.sin(2 * np.pi * mains * k * at) * dice.random() / k for k in range(1, 9))
    return (sound * dice.uniform(0.02, 0.3) + hiss(length, dice)).astype(np.float32)


def _chords(length: int, dice: random.Random) -> Sound:
    """Chords of plucked notes, one after another, as a simple accompaniment plays them."""
    at, sound = _seconds(length), np.zeros(length)
    beat, root = dice.uniform(0.4, 1.2), dice.uniform(110, 330)
    for number in range(int(length / SAMPLE_RATE / beat) + 1):
        since = at - number * beat
        envelope = np.where(since >= 0, np.exp(-3 * np.maximum(since, 0) / beat), 0)
        step = dice.choice((0, 3, 5, 7, 8, 10))
        for note in (0, dice.choice((3, 4)), 7, 12):
            pitch = root * 2 ** ((step + note) / 12)
            for harmonic in (1, 2, 3):
                sound += envelope * np.sin(2 * np.pi * pitch * harmonic * at) / harmonic**2
    sound *= dice.uniform(0.05, 0.5) / np.abs(sound).max()
    return (sound + hiss(length, dice)).astype(np.float32)


def _clicks(length: int, dice: random.Random) -> Sound:
    """Knocks and keys: short bursts of noise at random times."""
    sound = hiss(length, dice)
    for _ in range(dice.randint(3, 20)):
        burst = dice.randint(80, 1600)
        first = dice.randrange(0, length - burst)
        decay = np.exp(-np.linspace(0, 6, burst))
        sound[first : first + burst] += decay * hiss(burst, dice, dice.uniform(0.02, 0.3))
    return sound.astype(np.float32)


_NOBODY: Final[tuple[Callable[[int, random.Random], Sound], ...]] = (
    _silence,
    _noise,
    _tone,
    _hum,
    _chords,
    _clicks,
)
