"""The cuts, windows and log-mel of the whole-file library, without the whole file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from faster_whisper import vad
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor

from appliance import windows
from appliance.nouns import SAMPLE_RATE
from tests.media import sounds

Samples = npt.NDArray[np.float32]

MINUTES = 5


@functools.cache
def meeting() -> sounds.Sound:
    return sounds.meeting(MINUTES * 60)


@functools.cache
def endless() -> sounds.Sound:
    """Somebody who does not stop to breathe."""
    spoken = sounds.say("and then and then and then " * 60, speed=300)
    return spoken[np.abs(spoken) > 40]


def as_float(sound: sounds.Sound) -> Samples:
    return sound.astype(np.float32) / np.float32(32_768)


def blocks(sound: sounds.Sound, size: int) -> Iterator[sounds.Sound]:
    return (sound[at : at + size] for at in range(0, len(sound), size))


def oracle(sound: sounds.Sound) -> list[dict[str, int]]:
    """What faster-whisper's batched pipeline cuts when it holds the whole recording."""
    options = vad.VadOptions(max_speech_duration_s=30, min_silence_duration_ms=160)
    found: list[dict[str, int]] = vad.get_speech_timestamps(as_float(sound), options)
    return found


def cuts(sound: sounds.Sound, size: int) -> list[dict[str, int]]:
    return [
        {"start": cut.start, "end": cut.start + len(cut.sound)}
        for cut in windows.speech(blocks(sound, size))
    ]


def test_the_detector_says_bit_for_bit_what_it_says_about_the_whole_recording() -> None:
    sound = as_float(meeting())
    sound = sound[: len(sound) // windows.CHUNK * windows.CHUNK]
    whole = vad.get_vad_model()(np.pad(sound, (0, windows.CHUNK))).ravel()[:-1]
    detector = windows.VoiceDetector()
    size = 313 * windows.CHUNK
    parts = [detector.judge(sound[at : at + size]) for at in range(0, len(sound), size)]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("size", [320_000, 16_001])
def test_the_cuts_do_not_depend_on_where_blocks_end(size: int) -> None:
    expected = oracle(meeting())
    assert len(expected) > 30
    assert cuts(meeting(), size) == expected


@pytest.mark.parametrize(
    "length",
    [
        1,
        511,
        512,
        513,
        1_024,
        16_000,
        300_000,
        300_032,
        300_033,
        300_500,
        300_543,
        300_544,
        480_001,
    ],
)
def test_the_cuts_are_the_same_wherever_the_recording_stops(length: int) -> None:
    sound = meeting()[:length]
    assert cuts(sound, 32_000) == oracle(sound)


def test_speech_without_a_pause_is_split_where_the_library_splits_it() -> None:
    expected = oracle(endless())
    assert max(cut["end"] - cut["start"] for cut in expected) > 20 * SAMPLE_RATE
    assert cuts(endless(), 320_000) == expected


def test_windows_without_a_gap_hold_what_the_library_packs_together() -> None:
    packed, _ = vad.collect_chunks(as_float(meeting()), oracle(meeting()), max_duration=30)
    whole = (replace(cut, gaps=()) for cut in windows.speech(blocks(meeting(), 320_000)))
    ours = list(windows.pack(whole))
    assert [window.index for window, _ in ours] == list(range(len(packed)))
    for expected, (window, sound) in zip(packed, ours, strict=True):
        assert np.array_equal(sound, expected)
        assert window.seconds == pytest.approx(len(expected) / SAMPLE_RATE)


def test_fuller_windows_hold_every_sample_of_the_cuts_once_and_are_fewer() -> None:
    packed, _ = vad.collect_chunks(as_float(meeting()), oracle(meeting()), max_duration=30)
    cuts = list(windows.speech(blocks(meeting(), 320_000)))
    ours = list(windows.windows(blocks(meeting(), 320_000)))
    assert len(ours) < len(packed)
    assert max(len(sound) for _, sound in ours) <= windows.LIMIT
    heard = np.concatenate([sound for _, sound in ours])
    assert np.array_equal(heard, np.concatenate([cut.sound for cut in cuts]))
    spoken = [(piece.speech_start, piece.speech_end) for win, _ in ours for piece in win.pieces]
    assert spoken == sorted(spoken)


def test_a_window_that_ends_inside_a_speech_ends_where_nobody_speaks() -> None:
    sound = as_float(meeting())
    likely = windows.VoiceDetector().judge(sound[: len(sound) // windows.CHUNK * windows.CHUNK])
    ends = {cut.start + len(cut.sound) for cut in windows.speech(blocks(meeting(), 320_000))}
    inside = [
        round(window.pieces[-1].end * SAMPLE_RATE)
        for window, _ in windows.windows(blocks(meeting(), 320_000))
        if round(window.pieces[-1].end * SAMPLE_RATE) not in ends
    ]
    assert inside
    for end in inside:
        around = likely[end // windows.CHUNK - 1 : end // windows.CHUNK + 1]
        assert (around < windows.LOUD).all()


def a_cut(*gaps: tuple[int, int], seconds: int = 20) -> windows.Cut:
    """Speech from 0.4 s on to 0.4 s before its end; gaps in seconds."""
    length = seconds * SAMPLE_RATE
    sound = np.arange(length, dtype=np.float32)
    told = tuple((quiet * SAMPLE_RATE, loud * SAMPLE_RATE) for quiet, loud in gaps)
    return windows.Cut(0, windows.MARGIN, length - windows.MARGIN, sound, told)


def test_a_split_takes_the_longest_of_the_last_gaps_that_fit_and_shares_nothing() -> None:
    cut = a_cut((2, 8), (11, 13), (14, 15), (17, 18))
    parts = cut.split(16 * SAMPLE_RATE)
    assert parts is not None
    head, tail = parts
    assert (head.speech_end, tail.speech_start) == (11 * SAMPLE_RATE, 13 * SAMPLE_RATE)
    assert tail.start == 12 * SAMPLE_RATE == len(head.sound)
    assert np.array_equal(np.concatenate([head.sound, tail.sound]), cut.sound)
    assert head.gaps == cut.gaps[:1]
    assert tail.gaps == cut.gaps[2:]


def test_nothing_is_split_where_no_gap_fits_or_hardly_a_word_would_be_left() -> None:
    assert a_cut((11, 13)).split(11 * SAMPLE_RATE) is None
    assert a_cut((1, 2), (19, 20)).split(20 * SAMPLE_RATE) is None
    assert a_cut().split(20 * SAMPLE_RATE) is None


def test_every_piece_lies_on_samples_and_encloses_its_speech() -> None:
    for window, _ in windows.windows(blocks(meeting(), 320_000), start=2.5):
        for piece in window.pieces:
            assert 2.5 <= piece.start <= piece.speech_start < piece.speech_end <= piece.end
            samples = (piece.start - 2.5) * SAMPLE_RATE
            assert samples == pytest.approx(round(samples), abs=1e-6)


def test_blocks_of_floats_are_cut_like_blocks_of_integers() -> None:
    sound = meeting()[: 60 * SAMPLE_RATE]
    from_floats = windows.speech(as_float(block) for block in blocks(sound, 50_000))
    for one, other in zip(windows.speech(blocks(sound, 50_000)), from_floats, strict=True):
        assert np.array_equal(one.sound, other.sound)


def test_a_window_is_handed_out_before_the_recording_ends() -> None:
    heard = 0

    def listening() -> Iterator[sounds.Sound]:
        nonlocal heard
        for block in blocks(meeting(), 320_000):
            heard += len(block)
            yield block

    next(windows.windows(listening()))
    assert heard <= 80 * SAMPLE_RATE


def test_without_detection_every_30_seconds_are_a_window() -> None:
    sound = meeting()[: 70 * SAMPLE_RATE + 5]
    ours = list(windows.windows(blocks(sound, 123_456), vad=False))
    assert [round(window.seconds, 3) for window, _ in ours] == [30.0, 30.0, 10.0]
    assert np.array_equal(np.concatenate([part for _, part in ours]), as_float(sound))


@pytest.mark.parametrize("vad_on", [True, False])
def test_no_sound_gives_no_windows(vad_on: bool) -> None:
    assert list(windows.windows(iter([]), vad=vad_on)) == []


def test_silence_and_noise_give_no_windows() -> None:
    assert list(windows.windows([sounds.silence(40), sounds.noise(40)])) == []


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("length", [480_000, 479_999, 33_333, 200, 1])
def test_log_mel_is_what_the_pipeline_feeds_the_encoder(mels: int, length: int) -> None:
    sound = as_float(meeting())[100_000 : 100_000 + length]
    expected = pad_or_trim(FeatureExtractor(feature_size=mels)(sound)[..., :-1])
    ours = windows.log_mel(sound, mels)
    assert ours.dtype == np.float32
    assert ours.shape == (mels, 3_000)
    assert np.array_equal(ours, expected)


def test_only_what_a_later_cut_may_need_is_kept() -> None:
    most = 0
    cutter = windows._Cutter()
    quiet_minute = np.zeros(SAMPLE_RATE * 60, np.int16)
    for _ in range(15):
        list(cutter.hear(quiet_minute))
        most = max(most, len(cutter._tape._kept))
    assert most <= 2 * SAMPLE_RATE
