"""Tokens of one window to segments and words. Times in seconds of the window.

In: what CTranslate2 generated and aligned. Out: nouns.Segment and nouns.Word.

Not here: running the model, or where the window lies in the recording (transcribe).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from appliance.nouns import Segment, Word

_DISAGREE_SECONDS: Final = 0.2
SECONDS_PER_STEP: Final = 0.02  # one step of the decoder's timestamps, and of the encoder
# Marks that never stand alone, of every script faster-whisper's defaults name.
_OPENING: Final = "\"'“¿([{-"
_CLOSING: Final = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - full-width marks are meant


@dataclass(frozen=True, slots=True)
class Phrase:
    """A run of text tokens between two timestamps."""

    start: float
    end: float
    tokens: tuple[int, ...]  # text only


@dataclass(frozen=True, slots=True)
class Scores:
    """How sure the model was of a window."""

    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


def compression_ratio(text: str) -> float:
    """How well the text compresses; above 2.4 it repeats itself (openai-whisper's rule)."""
    data = text.encode("utf-8")
    return len(data) / len(zlib.compress(data))


def phrases(
    tokens: Sequence[int], *, first_timestamp: int, end_of_text: int, seconds: float
) -> list[Phrase]:
    """Cut the tokens of a window at its timestamps; what has no end ends with the window."""
    found: list[Phrase] = []
    text: list[int] = []
    start = 0.0
    for token in tokens:
        if token < end_of_text:
            text.append(token)
        elif token >= first_timestamp:
            at = min((token - first_timestamp) * SECONDS_PER_STEP, seconds)
            if text:
                found.append(Phrase(start, max(start, at), tuple(text)))
                text = []
            start = at
    if text:
        found.append(Phrase(start, max(start, seconds), tuple(text)))
    return found


def words(tokenizer: Any, tokens: Sequence[int], alignment: Any) -> list[tuple[Word, int]]:  # noqa: ANN401
    """Words with their times and how many tokens each took, from one alignment of CTranslate2.

    `alignment` pairs text positions with encoder steps; the step at which the position
    changes is where a token begins.
    """
    spelled, groups = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    begins: dict[int, float] = {}
    for position, step in alignment.alignments:
        begins.setdefault(position, step * SECONDS_PER_STEP)
    bounds = [0]
    for group in groups:
        bounds.append(bounds[-1] + len(group))
    last = max(begins.values(), default=0.0)
    found = []
    for text, (low, high) in zip(spelled[:-1], pairwise(bounds), strict=False):
        chances = alignment.text_token_probs[low:high]
        chance = sum(chances) / len(chances) if chances else 0.0
        start = begins.get(low, last)
        found.append((Word(start, max(start, begins.get(high, last)), text, chance), high - low))
    return list(_with_punctuation(found))


def _with_punctuation(found: list[tuple[Word, int]]) -> Iterator[tuple[Word, int]]:
    """Let an opening mark belong to the word after it and a closing one to the word before."""
    held: list[tuple[Word, int]] = []
    for word, size in found:
        mark = word.word.strip()
        if held and mark and mark in _CLOSING and not word.word.startswith(" "):
            held[-1] = _join(held[-1], (word, size), times_of_first=True)
        elif held and held[-1][0].word.startswith(" ") and held[-1][0].word.strip() in _OPENING:
            held[-1] = _join(held[-1], (word, size), times_of_first=False)
        else:
            held.append((word, size))
    yield from held


def _join(
    one: tuple[Word, int], two: tuple[Word, int], *, times_of_first: bool
) -> tuple[Word, int]:
    (first, size), (second, more) = one, two
    timed = first if times_of_first else second
    text = first.word + second.word
    return Word(timed.start, timed.end, text, timed.probability), size + more


def segments(
    cut: Sequence[Phrase],
    timed: Sequence[tuple[Word, int]],
    decode: Callable[[list[int]], str],
    scores: Scores,
) -> tuple[Segment, ...]:
    """Hand each phrase its words. A phrase with words begins and ends with them."""
    queue = list(timed)
    made: list[Segment] = []
    for phrase in cut:
        left = len(phrase.tokens)
        mine: list[Word] = []
        while queue and left > 0:
            word, size = queue.pop(0)
            left -= size
            if word.word.strip():
                mine.append(_held(word, phrase))
        text = decode(list(phrase.tokens))
        if text.strip():
            made.append(_segment(len(made), phrase, mine, text, scores))
    return tuple(made)


def _held(word: Word, phrase: Phrase) -> Word:
    """Keep a word inside its phrase: cross-attention lets edge words swallow the silence beside.

    Only where the two disagree clearly; faster-whisper prefers the phrase from 0.5 s on.
    """
    start, end = word.start, word.end
    if start < phrase.start - _DISAGREE_SECONDS or start > phrase.end:
        start = phrase.start if start < phrase.start else phrase.end
    if end > phrase.end + _DISAGREE_SECONDS or end < start:
        end = max(phrase.end, start)
    return replace(word, start=start, end=end)


def _segment(
    number: int, phrase: Phrase, mine: Sequence[Word], text: str, scores: Scores
) -> Segment:
    return Segment(
        id=number,
        seek=0,
        start=round(mine[0].start if mine else phrase.start, 3),
        end=round(max(mine[-1].end, mine[0].start) if mine else phrase.end, 3),
        text=text,
        tokens=phrase.tokens,
        temperature=scores.temperature,
        avg_logprob=scores.avg_logprob,
        compression_ratio=scores.compression_ratio,
        no_speech_prob=scores.no_speech_prob,
        words=tuple(mine),
    )
