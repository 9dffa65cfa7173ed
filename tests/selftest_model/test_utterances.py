"""The truth that comes with a synthetic recording is the truth of its waveform."""

from __future__ import annotations

import itertools

import numpy as np

from tests.selftest_model.utterances import (
    SAMPLE_RATE,
    floats,
    nonspeech,
    resample,
    silence,
    utterances,
    voiced,
)
from tests.selftest_model.vocabulary import LANGUAGES, WORDS


def tone(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A sine of 440 Hz at half of full scale."""
    at = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)


def test_the_voice_is_found_where_it_was_put() -> None:
    start, end = voiced(silence(0.7, tone(1.2), 0.4))
    assert abs(start - 0.7) < 0.01
    assert abs(end - 1.9) < 0.01


def test_a_tone_keeps_its_pitch_when_resampled() -> None:
    there = resample(tone(1.0, rate=22_050), 22_050)
    middle = slice(1000, -1000)  # the ends ring, as any steep filter's do
    assert len(there) == SAMPLE_RATE
    assert np.abs(there - tone(1.0))[middle].max() < 0.01


def test_one_seed_gives_the_same_clips_and_another_does_not() -> None:
    def clips(seed: int) -> list[bytes]:
        return [samples.tobytes() for samples in nonspeech(6, seed, seconds=1.0)]

    assert clips(1) == clips(1)
    assert clips(1)[1:] != clips(2)[1:]


def test_an_utterance_is_quiet_outside_its_times_and_loud_inside() -> None:
    for language in LANGUAGES:
        column = [row[LANGUAGES.index(language)] for row in WORDS]
        for one in utterances(language, 2, seed=3):
            sound = floats(one.samples)
            before, after = round(one.start * SAMPLE_RATE), round(one.end * SAMPLE_RATE)
            outside = np.concatenate([sound[: before - 160], sound[after + 160 :]])
            assert set(one.words) <= set(column)
            assert np.abs(sound[before:after]).max() > 10 * np.abs(outside).max()


def test_no_word_is_written_twice_in_a_language() -> None:
    for column in zip(*WORDS, strict=True):
        assert not [a for a, b in itertools.pairwise(sorted(column)) if a == b]
