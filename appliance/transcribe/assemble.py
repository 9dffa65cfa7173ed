"""What was heard, back on the recording's time line, and what a reader should know of it.

Times of the window become times of the recording; words at the edge of a stretch of
speech begin and end with the speech, which the voice detector hears better than
cross-attention does. The quality gate adds warnings, it invents nothing.

Not here: talking to the engine (relay), rendering (export).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from appliance.nouns import (
    SEVERAL,
    Notice,
    Piece,
    Provenance,
    Replacement,
    Segment,
    Transcript,
    Window,
    Word,
)
from appliance.transcribe.checkpoint import Kept
from appliance.transcribe.relay import Outcome
from appliance.transcribe.replacing import Replacer
from appliance.weights import SELFTEST
from appliance.wire import Ended

_SNAP_SECONDS: Final = 0.6  # how far an edge word may be moved to meet the edge of its speech
_PAUSE_SECONDS: Final = 1.0  # a segment never spans a longer one
_UNSURE_WORD: Final = 0.3
_UNSURE_SHARE: Final = 0.3  # of the words, above which the reader is told
_UNSURE_LANGUAGE: Final = 0.5
_REPEATS: Final = 2.4  # compression ratio, openai-whisper's rule
_SAME_TEXT_RUN: Final = 4  # equal segments in a row


def assemble(
    outcome: Outcome,
    task: str,
    provenance: Provenance,
    replacements: Sequence[Replacement] = (),
) -> Transcript:
    """Make the transcript of one task."""
    several = provenance.options.get("language") == SEVERAL
    replacer = Replacer(replacements)
    segments = tuple(
        dataclasses.replace(segment, id=number)
        for number, segment in enumerate(
            replacer.segments(_segments(outcome, task, several=several))
        )
    )
    return Transcript(
        task=task,
        language=outcome.language,
        language_probability=round(outcome.probability, 4),
        duration=round(outcome.ended.seconds, 3),
        model=outcome.welcome.model,
        segments=segments,
        warnings=tuple(_warnings(outcome, segments, provenance.options.get("language"))),
        provenance=provenance,
    )


def so_far(kept: Iterable[Kept], task: str) -> Iterator[Segment]:
    """What a job that still runs has heard, as its transcript will have it."""
    number = 0
    for one in kept:
        for heard in one.answers:
            for segment in heard.segments if heard.task == task else ():
                if segment.text.strip():
                    for part in _placed(segment, one.window):
                        yield dataclasses.replace(part, id=number)
                        number += 1


def _segments(outcome: Outcome, task: str, *, several: bool) -> Iterator[Segment]:
    for window in outcome.windows:
        heard = outcome.heard[window.index, task]
        for segment in heard.segments:
            if segment.text.strip():
                spoken = heard.language if several else None
                yield from _placed(dataclasses.replace(segment, language=spoken), window)


def _placed(segment: Segment, window: Window) -> Iterator[Segment]:
    """Move a segment onto the recording; where silence was left out inside it, it parts."""
    seek = round(window.start * 100)
    if not segment.words:
        piece, begins = window.piece_at((segment.start + segment.end) / 2)
        start, end = _clamped(segment.start, segment.end, piece, begins)
        yield dataclasses.replace(segment, seek=seek, start=start, end=end)
        return
    words = _placed_words(segment.words, window)
    parts = list(_parted(words))
    for part in parts:
        yield dataclasses.replace(
            segment,
            seek=seek,
            start=part[0].start,
            end=part[-1].end,
            text=segment.text if len(parts) == 1 else "".join(word.word for word in part),
            tokens=segment.tokens if len(parts) == 1 else (),
            words=tuple(part),
        )


def _clamped(start: float, end: float, piece: Piece, begins: float) -> tuple[float, float]:
    low = min(max(piece.start + start - begins, piece.start), piece.end)
    return round(low, 3), round(min(max(piece.start + end - begins, low), piece.end), 3)


def _placed_words(words: Sequence[Word], window: Window) -> list[Word]:
    """Words on the recording's time line, in order, inside the stretch of speech they belong to."""
    located = [(*window.piece_at((word.start + word.end) / 2), word) for word in words]
    placed: list[Word] = []
    for piece, group in groupby(located, key=lambda item: item[0]):
        mine = []
        for _, begins, word in group:
            start, end = _clamped(word.start, word.end, piece, begins)
            mine.append(dataclasses.replace(word, start=start, end=end))
        placed.extend(_snapped(mine, piece))
    return _in_order(placed)


def _in_order(words: Sequence[Word]) -> list[Word]:
    """Words that never overlap: a word begins when the one before it has ended, or later."""
    ordered: list[Word] = []
    earliest = 0.0
    for word in words:
        start = max(word.start, earliest)
        ordered.append(dataclasses.replace(word, start=start, end=max(word.end, start)))
        earliest = ordered[-1].end
    return ordered


def _snapped(words: list[Word], piece: Piece) -> list[Word]:
    """Let the first and last word of a stretch of speech begin and end with it."""
    first, last = words[0], words[-1]
    if abs(first.start - piece.speech_start) <= _SNAP_SECONDS and piece.speech_start < first.end:
        words[0] = dataclasses.replace(first, start=round(piece.speech_start, 3))
    last = words[-1]
    if abs(last.end - piece.speech_end) <= _SNAP_SECONDS and piece.speech_end > last.start:
        words[-1] = dataclasses.replace(last, end=round(piece.speech_end, 3))
    return words


def _parted(words: Sequence[Word]) -> Iterator[list[Word]]:
    part: list[Word] = []
    for word in words:
        if part and word.start - part[-1].end > _PAUSE_SECONDS:
            yield part
            part = []
        part.append(word)
    if part:
        yield part


def _warnings(
    outcome: Outcome, segments: Sequence[Segment], asked_language: object
) -> Iterator[Notice]:
    if outcome.welcome.model == SELFTEST:
        yield Notice("warning.selftest-model")
    if not outcome.welcome.multilingual and asked_language not in (None, SEVERAL, "en"):
        facts = {"model": outcome.welcome.model, "language": str(asked_language)}
        yield Notice("warning.english-only", facts)
    if outcome.welcome.fallback:
        yield Notice("warning.cpu-fallback")
    yield from _damages(outcome.ended)
    if redone := sum(heard.redone for heard in outcome.heard.values()):
        yield Notice("warning.short-input-redone", {"count": redone})
    if full := sum(heard.full for heard in outcome.heard.values()):
        yield Notice("warning.text-cut", {"count": full})
    if not segments:
        yield Notice("warning.no-speech")
        return
    if outcome.probability < _UNSURE_LANGUAGE:
        percent = round(100 * outcome.probability)
        yield Notice("warning.language-unsure", {"language": outcome.language, "percent": percent})
    if share := _unsure_share(segments):
        yield Notice("warning.low-confidence", {"percent": round(100 * share)})
    if (at := _repetition(segments)) is not None:
        yield Notice("warning.repetition", {"at": _clock(at)})


def _damages(ended: Ended) -> Iterator[Notice]:
    """What was wrong with the file, as its decoder saw it."""
    if ended.damaged:
        yield Notice("warning.decode-errors", {"count": ended.damaged})
    if ended.missing > 0:
        yield Notice("warning.missing-seconds", {"seconds": round(ended.missing, 1)})
    if ended.blank > 0:
        yield Notice("warning.blank-end", {"seconds": round(ended.blank, 1)})
    if ended.broken_off:
        yield Notice("warning.broken-off")
    if ended.behind:
        yield Notice("warning.more-behind", {"megabytes": round(ended.behind / 1e6, 1)})


def _unsure_share(segments: Sequence[Segment]) -> float:
    chances = [word.probability for segment in segments for word in segment.words]
    share = sum(chance < _UNSURE_WORD for chance in chances) / len(chances) if chances else 0.0
    return share if share > _UNSURE_SHARE else 0.0


def _repetition(segments: Sequence[Segment]) -> float | None:
    """Where the model began to repeat itself, if it did."""
    for segment in segments:
        if segment.compression_ratio > _REPEATS:
            return segment.start
    for _text, run in groupby(segments, key=lambda segment: segment.text.strip()):
        same = list(run)
        if len(same) >= _SAME_TEXT_RUN:
            return same[0].start
    return None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"
