"""Measure a model on the bar: python -m tests.selftest_model.evaluate FOLDER SEED COUNT.

As the engine hears: VAD cuts a recording at speech, the stretches of speech are
laid one after another into windows of at most 30 s, a batch of windows is encoded
once, the language is asked of the encoder's output, text comes with timestamps
from a beam of five, word times from `align`. The truth comes from `utterances`.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer as Writer
from faster_whisper.vad import VadOptions, get_speech_timestamps
from tokenizers import Tokenizer

from tests.selftest_model.utterances import SAMPLE_RATE, floats, nonspeech, utterances
from tests.selftest_model.vocabulary import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

FRAMES: Final = 3000
CLOSE: Final = 0.3  # seconds
_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model made of one window; times in seconds from the window's start."""

    language: str
    segments: list[tuple[float, float, str]]
    words: list[tuple[float, float, str]]
    no_speech: float
    logprob: float


class Ear:
    """A model folder, decoded as the engine decodes."""

    def __init__(
        self, folder: str, *, timed: bool = True, beam: int = 5, clamp: bool = True
    ) -> None:
        self._model = ctranslate2.models.Whisper(folder, compute_type="int8", intra_threads=2)
        self._extract = FeatureExtractor()
        self._tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self._timed, self._beam, self._clamp = timed, beam, clamp

    def hear(
        self,
        sounds: Sequence[NDArray[np.float32]],
        language: str | None = None,
        task: str = "transcribe",
    ) -> list[Heard]:
        """Transcribe windows of at most 30 s each."""
        heard = []
        for first in range(0, len(sounds), _BATCH):
            heard += self._batch(sounds[first : first + _BATCH], language, task)
        return heard

    def _batch(
        self, sounds: Sequence[NDArray[np.float32]], language: str | None, task: str
    ) -> list[Heard]:
        mels = [self._extract(sound)[:, :-1][:, :FRAMES] for sound in sounds]
        lengths = [mel.shape[1] for mel in mels]
        padded = [np.pad(mel, ((0, 0), (0, FRAMES - mel.shape[1]))) for mel in mels]
        encoded = self._model.encode(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(np.stack(padded), np.float32))
        )
        found = [best[0][0].strip("<|>") for best in self._model.detect_language(encoded)]
        writers = [
            Writer(self._tokenizer, multilingual=True, language=language or name, task=task)
            for name in found
        ]
        prompts = [
            [*writer.sot_sequence, *([] if self._timed else [writer.no_timestamps])]
            for writer in writers
        ]
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=self._beam,
            max_length=448,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=[],
            max_initial_timestamp_index=50,
        )
        heard = []
        for row, (result, writer) in enumerate(zip(results, writers, strict=True)):
            tokens = result.sequences_ids[0]
            one = ctranslate2.StorageView.from_array(np.array(encoded)[row : row + 1])
            segments = _segments(writer, tokens, lengths[row] / 100)
            words = self._words(writer, tokens, one, lengths[row])
            heard.append(
                Heard(
                    found[row],
                    segments,
                    _within(segments, words) if self._clamp else words,
                    result.no_speech_prob,
                    result.scores[0],
                )
            )
        return heard

    def _words(
        self, writer: Writer, tokens: list[int], encoded: Any, frames: int
    ) -> list[tuple[float, float, str]]:
        text = [token for token in tokens if token < writer.eot]
        if not text:
            return []
        aligned = self._model.align(
            encoded, writer.sot_sequence, [text], [frames], median_filter_width=7
        )[0]
        rows, steps = np.array(aligned.alignments).T
        starts = steps[np.pad(np.diff(rows), (1, 0), constant_values=1).astype(bool)] / 50
        words, spelt = writer.split_to_word_tokens([*text, writer.eot])
        edges = np.cumsum([0] + [len(one) for one in spelt[:-1]])
        return [
            (float(starts[first]), float(starts[last]), word)
            for word, first, last in zip(words, edges[:-1], edges[1:], strict=False)
        ]


def _segments(writer: Writer, tokens: list[int], length: float) -> list[tuple[float, float, str]]:
    """Cut tokens at their timestamps; what lacks an end ends with the window."""
    segments: list[tuple[float, float, str]] = []
    start, text = 0.0, list[int]()
    for token in tokens:
        if token < writer.timestamp_begin:
            text.append(token)
            continue
        at = (token - writer.timestamp_begin) * 0.02
        if text:
            segments.append((start, at, writer.decode(text)))
            text = []
        start = at
    if text:
        segments.append((start, length, writer.decode(text)))
    return segments


@dataclass(frozen=True, slots=True)
class Packed:
    """Stretches of speech laid one after another, and where each was cut."""

    sound: NDArray[np.float32]
    places: list[tuple[int, int]]  # samples: in the window, in the recording

    def at(self, seconds: float) -> float:
        """Translate a time in the window to one in the recording."""
        here, there = max(one for one in self.places if one[0] <= seconds * SAMPLE_RATE)
        return seconds + (there - here) / SAMPLE_RATE


def _within(
    segments: Sequence[tuple[float, float, str]], words: Sequence[tuple[float, float, str]]
) -> list[tuple[float, float, str]]:
    """Hold every word inside the segment whose text it is part of."""
    held, left = [], iter(words)
    for start, end, text in segments:
        for _ in text.split():
            a, b, word = next(left)
            held.append((min(max(a, start), end), min(max(b, start), end), word))
    return held


def windows(sound: NDArray[np.float32]) -> list[Packed]:
    """Cut at speech and lay the stretches one after another, at most 30 s each."""
    spans = get_speech_timestamps(sound, VadOptions(min_silence_duration_ms=500))
    cut: list[list[tuple[int, int]]] = []  # samples: from, to
    for span in spans:
        length = span["end"] - span["start"]
        if not cut or sum(b - a for a, b in cut[-1]) + length > 30 * SAMPLE_RATE:
            cut.append([])
        cut[-1].append((span["start"], min(span["end"], span["start"] + 30 * SAMPLE_RATE)))
    packed = []
    for stretches in cut:
        lengths = [b - a for a, b in stretches]
        firsts = [sum(lengths[:number]) for number in range(len(lengths))]
        packed.append(
            Packed(
                np.concatenate([sound[a:b] for a, b in stretches]),
                [(first, a) for first, (a, _) in zip(firsts, stretches, strict=True)],
            )
        )
    return packed


def errors(truth: Sequence[str], heard: Sequence[str]) -> int:
    """Count the word insertions, deletions and substitutions between two texts."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(truth, 1):
        before, row = row, [number]
        for place, other in enumerate(heard, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (word != other)))
    return row[-1]


def plain(text: Iterable[str]) -> list[str]:
    """Give lower-case words."""
    return " ".join(text).lower().split()


def memos(ear: Ear, language: str, count: int, seed: int) -> dict[str, float]:
    """One utterance to a recording, as a short memo is heard."""
    said = list(utterances(language, count, seed))
    cut = [windows(floats(one.samples)) for one in said]
    heard = iter(ear.hear([window.sound for some in cut for window in some]))
    told = [[(window, next(heard)) for window in some] for some in cut]
    wrong = sum(
        errors(plain(truth.words), plain(text for _, one in some for *_, text in one.segments))
        for truth, some in zip(said, told, strict=True)
    )
    everything = [one for some in told for _, one in some]
    return {
        "wer": wrong / sum(len(one.words) for one in said),
        "language": float(np.mean([one.language == language for one in everything])),
        **_times([(one.start, one.end) for one in said], told),
        "taken for silence": float(np.mean([one.no_speech > 0.6 for one in everything])),
    }


def meeting(ear: Ear, language: str, count: int, seed: int) -> dict[str, float]:
    """One long recording of all utterances, packed into full windows."""
    said = list(utterances(language, count, seed))
    begins = np.cumsum([0] + [len(one.samples) for one in said[:-1]]) / SAMPLE_RATE
    cut = windows(floats(np.concatenate([one.samples for one in said])))
    heard = ear.hear([window.sound for window in cut])
    truth = plain(word for one in said for word in one.words)
    text = plain(text for one in heard for *_, text in one.segments)
    told = list(zip(cut, heard, strict=True))
    spoken = [(begin + one.start, begin + one.end) for begin, one in zip(begins, said, strict=True)]
    return {
        "wer": errors(truth, text) / len(truth),
        "language": float(np.mean([one.language == language for one in heard])),
        **_times(spoken, [told] * len(said)),
        "windows": len(heard),
    }


def _times(
    spoken: list[tuple[float, float]], told: Sequence[Sequence[tuple[Packed, Heard]]]
) -> dict[str, float]:
    """Give the share of utterances with a boundary heard within CLOSE of each true one."""
    near: dict[str, list[bool]] = {}
    for (start, end), some in zip(spoken, told, strict=True):
        for name, kind in (("segment", "segments"), ("word", "words")):
            spans = [
                (window.at(span[0]), window.at(span[1]))
                for window, one in some
                for span in getattr(one, kind)
            ]
            near.setdefault(f"{name} start", []).append(_any(start, [a for a, _ in spans]))
            near.setdefault(f"{name} end", []).append(_any(end, [b for _, b in spans]))
    return {name: float(np.mean(hits)) for name, hits in near.items()}


def _any(truth: float, heard: Sequence[float]) -> bool:
    return any(abs(one - truth) <= CLOSE for one in heard)


def nobody(ear: Ear, count: int, seed: int) -> dict[str, float]:
    """Clips without speech, with VAD and without."""
    sounds = [floats(samples) for samples in nonspeech(count, seed)]
    after_vad = [window.sound for sound in sounds for window in windows(sound)]
    raw = ear.hear(sounds)
    return {
        "words after VAD": sum(len(plain(t for *_, t in h.segments)) for h in ear.hear(after_vad)),
        "clips VAD let through": len(after_vad),
        "no-speech probability above 0.6": float(np.mean([h.no_speech > 0.6 for h in raw])),
        "empty without VAD": float(np.mean([not h.segments for h in raw])),
    }


def samples(ear: Ear, folder: str) -> dict[str, float]:
    """The recordings that ride in the product."""
    marks = {}
    with open(glob.glob(os.path.join(folder, "*.json"))[0], encoding="utf-8") as file:
        for sample in json.load(file):
            with wave.open(os.path.join(folder, sample["file"])) as recording:
                sound = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
            heard = ear.hear([window.sound for window in windows(floats(sound))])
            text = plain(text for one in heard for *_, text in one.segments)
            marks[sample["file"]] = errors(plain(sample["words"]), text) / len(sample["words"])
    return marks


def _say(name: str, marks: dict[str, float]) -> None:
    line = "  ".join(f"{mark} {value:.3g}" for mark, value in marks.items())
    sys.stdout.write(f"{name:12} {line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--untimed", action="store_true", help="decode without timestamps")
    parser.add_argument(
        "--raw-words", action="store_true", help="leave words as `align` gives them"
    )
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--samples", help="folder with recordings and samples.json")
    asked = parser.parse_args()
    ear = Ear(asked.folder, timed=not asked.untimed, beam=asked.beam, clamp=not asked.raw_words)
    for language in LANGUAGES:
        _say(f"{language} memos", memos(ear, language, asked.count, asked.seed))
        _say(f"{language} meeting", meeting(ear, language, asked.count, asked.seed + 1))
    _say("nobody", nobody(ear, 40, asked.seed))
    if asked.samples:
        _say("samples", samples(ear, asked.samples))


if __name__ == "__main__":
    main()
