"""Synthesise the training corpus: python -m tests.selftest_model.synthesise COUNT SEED FILE.

In: the vocabulary. Out: a `Corpus` in FILE: utterances as raw log-mel with the
frame at which every word starts, as espeak-ng itself reports it, and clips in
which nobody speaks. The library of espeak-ng is called directly, because the
program does not tell when a word begins.

Not here: putting utterances into windows (windows).
"""

from __future__ import annotations

import ctypes
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

from tests.selftest_model.corpus import Corpus, Spoken, write
from tests.selftest_model.utterances import (
    SAMPLE_RATE,
    VOICES,
    floats,
    nonspeech,
    resample,
    voiced,
)
from tests.selftest_model.vocabulary import LANGUAGES, NUMBERS, WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.selftest_model.utterances import Sound

HOP: Final = 160  # samples, so a frame is 10 ms
_PROCESSES: Final = 2


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # character, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_SYNCHRONOUS: Final = 2  # espeak_AUDIO_OUTPUT
_WORD: Final = 1  # espeak_EVENT_TYPE
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_UTF8: Final = 1


class Voice:
    """espeak-ng as a library; one per process."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL("libespeak-ng.so.1")
        self._sample_rate = self._lib.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        self._chunks: list[NDArray[np.int16]] = []
        self._starts: dict[int, int] = {}  # character in the text: ms
        self._hear = _CALLBACK(self._heard)  # kept: the library holds no reference
        self._lib.espeak_SetSynthCallback(self._hear)

    def _heard(self, samples: object, count: int, events: object) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].type:  # type: ignore[index]
            event = events[number]  # type: ignore[index]
            if event.type == _WORD:
                self._starts.setdefault(event.text_position - 1, event.audio_position)
            number += 1
        return 0

    def say(
        self, words: list[str], voice: str, words_per_minute: int, pitch: int
    ) -> tuple[Sound, list[float]]:
        """Speak; give the sound and the second at which each word starts."""
        self._chunks, self._starts = [], {}
        text = " ".join(words).encode()
        self._lib.espeak_SetVoiceByName(voice.encode())
        self._lib.espeak_SetParameter(_RATE, words_per_minute, 0)
        self._lib.espeak_SetParameter(_PITCH, pitch, 0)
        self._lib.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
        sound = floats(np.concatenate(self._chunks))
        places = np.cumsum([0] + [len(word) + 1 for word in words[:-1]])
        known = [self._starts.get(int(place)) for place in places]
        if None in known:  # it read two words as one: rare, and not worth a guess
            return sound, []
        return resample(sound, self._sample_rate), [ms / 1000 for ms in known if ms is not None]


def raw_log_mel(sound: Sound) -> NDArray[np.float32]:
    """Give log10 of mel power, [80, frames], as faster-whisper does before it clips and scales."""
    extract = FeatureExtractor()
    window = np.hanning(extract.n_fft + 1)[:-1].astype(np.float32)
    padded = np.pad(sound, (0, HOP))
    spectrum = extract.stft(
        padded, extract.n_fft, extract.hop_length, window=window, return_complex=True
    )
    power = np.abs(spectrum[..., :-1]) ** 2
    mel: NDArray[np.float32] = np.log10(np.maximum(extract.mel_filters @ power, 1e-10))
    return mel.astype(np.float32)


def _some(count_and_seed: tuple[int, int]) -> list[Spoken]:
    count, seed = count_and_seed
    dice, voice = random.Random(seed), Voice()
    some: list[Spoken] = []
    while len(some) < count:
        language = dice.randrange(3)
        rows = range(len(WORDS) if dice.random() < 0.85 else len(NUMBERS))
        words = tuple(dice.choice(rows) for _ in range(dice.choice((1, 2, 2, 3, 3, 4, 5, 6, 7, 8))))
        sound, starts = voice.say(
            [WORDS[word][language] for word in words],
            dice.choice(VOICES[LANGUAGES[language]]),
            dice.randint(130, 200),
            dice.randint(25, 75),
        )
        if not starts or not sound.any():
            sys.stderr.write(f"left out: {words}\n")
            continue
        start, end = voiced(sound)
        cut = sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        bounds = (0.0, *(100 * max(0.0, at - start) for at in starts[1:]), 100 * (end - start))
        some.append(Spoken(raw_log_mel(cut).astype(np.float16), language, words, bounds))
    return some


def main(count: int, seed: int, path: str) -> None:
    """Write a corpus of `count` utterances and a tenth as many clips of nobody."""
    shares = [(min(500, count - first), seed * 1000 + first) for first in range(0, count, 500)]
    with ProcessPoolExecutor(_PROCESSES) as pool:
        spoken = [one for some in pool.map(_some, shares) for one in some]
    nobody = [
        raw_log_mel(floats(samples)).astype(np.float16)
        for samples in nonspeech(max(12, min(600, count // 10)), seed * 1000 + 999)
    ]
    by_language = tuple([one for one in spoken if one.language == column] for column in range(3))
    write(Corpus(by_language, nobody), path)
    hours = sum(one.bounds[-1] for one in spoken) / 360_000
    sys.stdout.write(f"{len(spoken)} utterances, {hours:.1f} h\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
