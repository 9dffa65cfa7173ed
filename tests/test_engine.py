"""The engine against bare faster-whisper, and windows of several recordings in one batch."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel

from appliance import weights
from appliance.engine import phrases
from appliance.engine.hearing import Answer, Ask, Hearing
from appliance.engine.model import Model
from appliance.errors import ModelMissing
from appliance.nouns import Word
from appliance.windows import log_mel
from tests.line.sounds import RATE, sample

SAMPLES = ("welcome-english.wav", "besprechung-deutsch.wav", "reunion-espanol.wav")
LANGUAGES = ("en", "de", "es")


def floats(name: str) -> npt.NDArray[np.float32]:
    return (sample(name) / 32768).astype(np.float32)


def ask(sound: npt.NDArray[np.float32], language: str | None, **more: object) -> Ask:
    tasks = ("transcribe",)
    return Ask(log_mel(sound, 80), sound.size / RATE, tasks, language, **more)  # type: ignore[arg-type]


def hear(model: Model, asks: list[Ask], frames: int = 3000) -> list[list[Answer]]:
    """Hear windows in as many turns as they need; the first holds all of them."""
    hearings = [Hearing(one, frames=frames) for one in asks]
    left = hearings
    while left:
        model.turn(left)
        again = [one for one in left if one.next_turn()]
        left = [one for one in again if (one.frames, one.step) == (again[0].frames, again[0].step)]
        assert len(left) == len(again)
    return [model.answers(one) for one in hearings]


def tokens(answers: list[Answer]) -> list[int]:
    return [token for segment in answers[0].segments for token in segment.tokens]


def spoken(answers: list[list[Answer]]) -> list[list[Word]]:
    """The words of each window."""
    return [[word for segment in a[0].segments for word in segment.words] for a in answers]


@pytest.fixture(scope="module")
def model() -> Model:
    folder = weights.find(weights.SELFTEST, "/nowhere")
    return Model(folder, device="cpu", compute_type="int8", threads=1)


@pytest.fixture(scope="module")
def bare() -> BatchedInferencePipeline:
    folder = weights.find(weights.SELFTEST, "/nowhere").path
    whisper = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)
    return BatchedInferencePipeline(whisper)


@pytest.mark.parametrize(("name", "language"), list(zip(SAMPLES, LANGUAGES, strict=True)))
def test_a_window_gives_the_tokens_bare_faster_whisper_gives(
    model: Model, bare: BatchedInferencePipeline, name: str, language: str
) -> None:
    sound = floats(name)
    clip = [{"start": 0.0, "end": sound.size / RATE}]
    segments, _ = bare.transcribe(
        sound, language=language, clip_timestamps=clip, without_timestamps=False, batch_size=1
    )
    end = model._tokenizer(language, "transcribe").eot
    theirs = [token for segment in segments for token in segment.tokens if token < end]
    assert tokens(hear(model, [ask(sound, language)])[0]) == theirs
    assert theirs


def test_windows_of_several_recordings_share_a_batch_and_change_nothing(model: Model) -> None:
    asks = [ask(floats(name), None) for name in SAMPLES] + [
        ask(floats(name)[: 3 * RATE], language)
        for name, language in zip(SAMPLES, LANGUAGES, strict=True)
    ]
    alone = [hear(model, [one])[0] for one in asks]
    together = hear(model, asks)
    assert [tokens(answers) for answers in together] == [tokens(answers) for answers in alone]
    assert [answers[0].language for answers in together[:3]] == list(LANGUAGES)
    for one, other in zip(spoken(together), spoken(alone), strict=True):
        assert [word.word for word in one] == [word.word for word in other]
        for mine, theirs in zip(one, other, strict=True):  # sums in another order differ a little
            assert mine.start == pytest.approx(theirs.start, abs=0.05)
            assert mine.probability == pytest.approx(theirs.probability, abs=0.01)


@pytest.mark.parametrize("frames", [1_000, 1_300, 1_600, 2_000])
def test_a_shortened_input_that_is_no_good_is_heard_again_in_full(
    model: Model, frames: int
) -> None:
    """What comes out is good either way: the same as at full length, or near it."""
    asks = [
        ask(floats(name)[: (frames - 300) * 160], language)
        for name, language in zip(SAMPLES, LANGUAGES, strict=True)
    ]
    full = [tokens(answers) for answers in hear(model, asks)]
    for one, whole in zip(asks, full, strict=True):
        answers = hear(model, [one], frames=frames)[0]
        if answers[0].redone:
            assert tokens(answers) == whole
        assert all(s.compression_ratio < 2.4 for s in answers[0].segments)


def test_both_tasks_come_out_of_one_turn(model: Model) -> None:
    one = ask(floats(SAMPLES[1]), "de")
    both = Ask(one.mel, one.seconds, ("transcribe", "translate"), "de")
    heard = hear(model, [both])[0]
    assert [answer.task for answer in heard] == ["transcribe", "translate"]
    assert tokens(heard) == tokens(hear(model, [one])[0])


NAMES = tuple(f"Wojciechowski-Schmidt {number}" for number in range(200))
PROMPT = "Protokoll der Sitzung des Ausschusses für Schöpfungshöhe und Übergabe. " * 12


@pytest.mark.parametrize(
    ("names", "prompt"),
    [(NAMES, PROMPT[:800]), (NAMES, None), ((), PROMPT), (NAMES[:3], PROMPT), (NAMES, "Board.")],
)
def test_what_a_model_is_told_leaves_room_for_what_it_writes(
    model: Model, names: tuple[str, ...], prompt: str | None
) -> None:
    one = ask(floats(SAMPLES[0]), "en", vocabulary=names, initial_prompt=prompt)
    assert model.prompt_length(one) <= 225  # CTranslate2 then lets a text have its half of 448
    before, words = model._told(prompt, names)
    assert words == names[: len(words)]
    assert bool(words) == bool(names)
    assert bool(before) == bool(prompt)
    hear(model, [one])


def test_a_vocabulary_and_a_prompt_that_fit_are_told_whole(model: Model) -> None:
    before, words = model._told("Minutes of the board.", NAMES[:4])
    assert words == NAMES[:4]
    assert before == model._tokenizer("en", "transcribe").encode(" Minutes of the board.")


@pytest.mark.parametrize("language", ["yue", "xx"])
def test_a_language_the_model_has_no_word_for_shares_a_turn_and_is_found_out(
    model: Model, language: str
) -> None:
    asks = [ask(floats(SAMPLES[0]), "en"), ask(floats(SAMPLES[1]), language)]
    (english,), (german,) = hear(model, asks)
    assert (english.language, german.language) == ("en", "de")


def test_words_lie_in_order_inside_the_window(model: Model) -> None:
    for name, language in zip(SAMPLES, LANGUAGES, strict=True):
        sound = floats(name)
        words = [
            word
            for segment in hear(model, [ask(sound, language)])[0][0].segments
            for word in segment.words
        ]
        assert words
        assert all(0 <= word.start <= word.end <= sound.size / RATE + 0.1 for word in words)
        assert [word.start for word in words] == sorted(word.start for word in words)
        assert all(0 <= word.probability <= 1 for word in words)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_a_ring_full_of_nonsense_harms_no_neighbour(model: Model, value: float) -> None:
    good = ask(floats(SAMPLES[0]), "en")
    bad = Ask(np.full_like(good.mel, value), good.seconds, good.tasks, "en")
    assert tokens(hear(model, [bad, good])[1]) == tokens(hear(model, [good])[0])


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_a_window_without_speech_has_no_words(model: Model, kind: str) -> None:
    level = 0.0 if kind == "silence" else 0.01
    sound = (np.random.default_rng(1).normal(0, 1, 10 * RATE) * level).astype(np.float32)
    words = [w for s in hear(model, [ask(sound, "en")])[0][0].segments for w in s.words]
    assert len(words) <= 1, words  # the voice detector sends no such window


# --- phrases ------------------------------------------------------------------------------------


def cut(tokens: list[int], seconds: float = 10.0) -> list[tuple[float, float, tuple[int, ...]]]:
    found = phrases.phrases(tokens, first_timestamp=1000, end_of_text=500, seconds=seconds)
    return [(phrase.start, phrase.end, phrase.tokens) for phrase in found]


def test_timestamps_cut_a_window_into_phrases() -> None:
    assert cut([1000, 1, 2, 1050, 1060, 3, 1100]) == [(0.0, 1.0, (1, 2)), (1.2, 2.0, (3,))]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], []),
        ([1, 2], [(0.0, 10.0, (1, 2))]),
        ([1000, 1], [(0.0, 10.0, (1,))]),
        ([1050, 1, 1000], [(1.0, 1.0, (1,))]),
        ([1000, 1, 1900], [(0.0, 10.0, (1,))]),
        ([1000, 1000, 1000], []),
        ([1000, 600, 1, 1050], [(0.0, 1.0, (1,))]),
    ],
)
def test_odd_timestamps_never_leave_the_window(
    found: list[int], expected: list[tuple[float, float, tuple[int, ...]]]
) -> None:
    assert cut(found) == expected


def test_a_text_that_repeats_itself_compresses_well() -> None:
    assert phrases.compression_ratio("thank you " * 50) > 2.4
    assert phrases.compression_ratio("six different words stand in here") < 2.4


def test_a_model_that_is_not_there_is_told_to_who_asks() -> None:
    with pytest.raises(ModelMissing):
        weights.find("large-v3", os.path.dirname(__file__))
