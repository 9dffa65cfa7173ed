"""What filling windows up to a breath does to words: the self-test model on long talk.

Phrases with short rests, the truth from the synthesis; the same cuts are packed whole, as
faster-whisper packs them, and filled up (docs/decisions/0039). The model knows a hundred words and
is weak on windows of many phrases: the difference is what counts, not how much is wrong.

Not here: short recordings, of which each is one window (words).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from faster_whisper import WhisperModel

from appliance import weights, windows
from appliance.cli.models import distance
from tests.proof import Figure
from tests.selftest_model import utterances as speech
from tests.selftest_model.vocabulary import LANGUAGES, WORDS

SEED: Final = 5
WORSE: Final = 2.0  # percentage points of all words: two talks of one kind differ by more
_BLOCK: Final = 20 * speech.SAMPLE_RATE
_WORDS: Final = (2, 6)  # of a phrase
_SHORT_REST: Final = (0.03, 0.2)  # seconds; nine of ten
_LONG_REST: Final = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class Talk:
    """Somebody who hardly stops."""

    language: str
    samples: np.ndarray[Any, np.dtype[np.int16]]
    words: list[str]


def run(*, minutes: float = 8.0) -> list[Figure]:
    """Hear `minutes` of talk in each language twice; compare what is wrong."""
    folder = weights.find(weights.SELFTEST, "").path
    model = WhisperModel(folder, device="cpu", compute_type="int8")
    talks = [_talk(language, minutes) for language in LANGUAGES]
    words = sum(len(talk.words) for talk in talks)
    wrong, made = {True: 0, False: 0}, {True: 0, False: 0}
    each = []
    for talk in talks:
        for filled in (False, True):
            heard, count = _heard(model, talk, filled=filled)
            errors = distance(talk.words, heard)
            wrong[filled] += errors
            made[filled] += count
            kind = "filled up" if filled else "whole cuts"
            share = 100 * errors / len(talk.words)
            each.append(Figure(f"{talk.language}, {kind}", f"{share:.1f} %", "-", met=True))
    more = 100 * (wrong[True] - wrong[False]) / words
    told = f"{more:+.1f} points of {words} words"
    fewer = f"{made[True]} for {made[False]}"
    return [
        *each,
        Figure("words wrong, more than with whole cuts", told, f"<= {WORSE}", more <= WORSE),
        Figure("windows", fewer, "fewer", made[True] < made[False]),
    ]


def _talk(language: str, minutes: float) -> Talk:
    dice, column = random.Random(SEED), LANGUAGES.index(language)
    sound: list[speech.Sound] = []
    words: list[str] = []
    length = 0
    while length < minutes * 60 * speech.SAMPLE_RATE:
        said = [dice.choice(WORDS)[column] for _ in range(dice.randint(*_WORDS))]
        pace = dice.randint(140, 180)
        voice = speech.speak(" ".join(said), speech.VOICES[language][0], words_per_minute=pace)
        start, end = (round(at * speech.SAMPLE_RATE) for at in speech.voiced(voice))
        rest = dice.uniform(*(_SHORT_REST if dice.random() < 0.9 else _LONG_REST))
        phrase = speech.silence(0.0, voice[start:end], rest)
        sound.append(phrase)
        words += said
        length += len(phrase)
    whole = np.concatenate(sound)
    return Talk(language, speech.pcm(whole + speech.hiss(len(whole), dice)), words)


def _heard(model: WhisperModel, talk: Talk, *, filled: bool) -> tuple[list[str], int]:
    """Words of all windows, and how many windows there are."""
    samples = talk.samples
    cuts: Iterable[windows.Cut] = windows.speech(
        samples[at : at + _BLOCK] for at in range(0, len(samples), _BLOCK)
    )
    packed = list(windows.pack(cuts if filled else _whole(cuts)))
    heard: list[str] = []
    for _, sound in packed:
        segments, _ = model.transcribe(
            sound, language=talk.language, condition_on_previous_text=False, temperature=0
        )
        heard += " ".join(segment.text for segment in segments).split()
    return heard, len(packed)


def _whole(cuts: Iterable[windows.Cut]) -> Iterator[windows.Cut]:
    return (replace(cut, gaps=()) for cut in cuts)
