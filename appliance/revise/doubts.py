"""What had better be listened to again: the doubtful spans of a transcript, worst first.

A red page helps nobody, so only so many are named. From what the model said of itself: the
probability of each word, and of a whole segment openai-whisper's own thresholds.

Not here: the warning that a whole transcript is unsure (transcribe.assemble).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Final

from appliance.nouns import Segment, Transcript, Word
from appliance.revise.alignment import shown
from appliance.store.ticks import Span

MOST: Final = 50
_UNSURE_WORD: Final = 0.5
# openai-whisper's decoding options: compression_ratio_threshold, logprob_threshold,
# no_speech_threshold.
_REPEATS: Final = 2.4
_UNSURE_SEGMENT: Final = -1.0
_SILENT: Final = 0.6


class Why(enum.StrEnum):
    """What makes a span doubtful."""

    WORDS = "words"  # the model was unsure of these words
    REPETITION = "repetition"  # it may have gone round in circles
    SILENCE = "silence"  # there may have been no speech at all
    SEGMENT = "segment"  # it was unsure of the whole segment


@dataclass(frozen=True, slots=True)
class Doubt:
    """A span to listen to again."""

    segment: int  # its place in the transcript
    start: float  # seconds
    end: float
    text: str
    doubt: float  # 0 to 1, the worst
    why: Why


def doubts(transcript: Transcript, *, most: int = MOST, but: Collection[Span] = ()) -> list[Doubt]:
    """At most so many spans, the worst first, equal ones in the order of the recording. Pure.

    What a person wrote is not among them (revise: probability 1), nor what they have ticked
    off (`but`).
    """
    found = [
        one
        for number, segment in enumerate(transcript.segments)
        for one in _of_segment(number, segment)
        if Span(one.start, one.end, one.text) not in but
    ]
    return sorted(found, key=lambda one: (-one.doubt, one.start, one.segment))[: max(0, most)]


def _of_segment(number: int, segment: Segment) -> Iterator[Doubt]:
    """The segment, where all of it is doubtful; else each run of doubtful words in it."""
    whole = max(_of_all(segment), default=None)
    if whole is not None and shown(segment):
        doubt, why = whole
        yield Doubt(number, segment.start, segment.end, shown(segment), round(doubt, 4), why)
        return
    unsure = groupby(segment.words, key=lambda word: word.probability < _UNSURE_WORD)
    for is_unsure, run in unsure:
        words = list(run)
        text = "".join(word.word for word in words).strip()
        if is_unsure and any(map(str.isalnum, text)):
            yield Doubt(
                number, words[0].start, words[-1].end, text, round(_doubt(words), 4), Why.WORDS
            )


def _of_all(segment: Segment) -> Iterator[tuple[float, Why]]:
    if segment.compression_ratio > _REPEATS:
        yield 1.0 - 0.5 * _REPEATS / segment.compression_ratio, Why.REPETITION
    if segment.no_speech_prob > _SILENT:
        yield segment.no_speech_prob, Why.SILENCE
    if segment.avg_logprob < _UNSURE_SEGMENT:
        yield 1.0 - math.exp(segment.avg_logprob), Why.SEGMENT


def _doubt(words: Sequence[Word]) -> float:
    return 1.0 - fmean(min(max(word.probability, 0.0), 1.0) for word in words)
