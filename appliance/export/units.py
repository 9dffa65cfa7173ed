"""The smallest pieces of speech that a subtitle line never splits, and when each is heard.

In: a transcript as the model left it, with times that may overlap, run backwards, stand
still or be missing. Out: units in the order of the text, whose starts only ever grow.
The text is the truth: a word time may be moved, a word never.

Not here: which units make a cue (cues), where a line had better end (phrases).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.export.text import (
    attached,
    clean_text,
    columns,
    joint,
    opening,
    spoken,
    tokens,
)
from appliance.nouns import Segment, Transcript
from appliance.scripts import unspaced

FASTEST_MS: Final = 5  # a column: faster than anybody speaks, so the times are wrong
LONGEST_MS: Final = 2_000  # no word lasts longer: what follows is silence the model swallowed
SLOWEST_MS: Final = 150  # a column: a long word may last longer than that
LATEST: Final = 10_000_000.0  # seconds: no recording is longer, a time beyond it is none

_IDEOGRAPHS: Final = "\u2e80"  # from here on a line may end anywhere, before it only between words

_Heard = tuple[str, float, float, bool, bool, int]  # a Unit before its times are in order


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of text that stays on one line, and when it is heard."""

    text: str
    start: int  # ms from the start of the recording
    end: int  # ms; never after the start of the next unit
    columns: int  # at least 1
    spaced: bool  # a space stands before it
    whole: bool  # it begins where a word begins, as far as anybody knows
    segment: int  # position of its segment in the transcript


class _Clock:
    """When each letter of a segment is heard: its words' times, or its own spread evenly."""

    def __init__(self, segment: Segment, text: str) -> None:
        self._begins: list[int] = []  # per span: its first letter
        self._spans: list[tuple[int, float, float]] = []  # letters, start, end
        words = [(_letters(clean_text(w.word)), w.start, w.end) for w in segment.words]
        if "".join(letters for letters, _, _ in words) != _letters(text):
            words = [(_letters(text), segment.start, segment.end)]
        total = 0
        for letters, start, end in words:
            if letters:
                start, end = _inside(start, segment), _inside(end, segment)
                self._begins.append(total)
                self._spans.append((len(letters), start, max(start, end)))
                total += len(letters)

    def at(self, letter: int) -> float:
        """Say when a letter begins, in seconds."""
        return self._second(letter, bisect_right(self._begins, letter) - 1)

    def until(self, letter: int) -> float:
        """Say when the text before a letter ends, in seconds."""
        return self._second(letter, bisect_right(self._begins, letter - 1) - 1)

    def begins_word(self, letter: int) -> bool:
        """Tell whether one of the model's words begins with this letter."""
        return self._begins[bisect_right(self._begins, letter) - 1] == letter

    def _second(self, letter: int, span: int) -> float:
        count, start, end = self._spans[span]
        return start + (end - start) * (letter - self._begins[span]) / count


def units(transcript: Transcript, line: int) -> list[Unit]:
    """Cut a whole transcript into units; `line` is how many columns a line holds."""
    heard = list(_heard(transcript, line))
    starts = _growing(heard)
    return [
        Unit(text, start, _end(start, end, room, wide), wide, spaced, whole, segment)
        for (text, _, end, spaced, whole, segment), (start, wide), (room, _) in zip(
            heard, starts, [*starts[1:], (None, 0)], strict=False
        )
    ]


def _heard(transcript: Transcript, line: int) -> Iterator[_Heard]:
    before = ""
    for index, segment in enumerate(transcript.segments):
        text = spoken(segment)
        if not text:
            continue
        clock = _Clock(segment, text)
        spaced = joint(before, text) == " "
        position = 0
        for token in tokens(text):
            for piece in _pieces(token, position, clock, line):
                after = position + len(piece)
                whole = spaced or clock.begins_word(position)
                yield piece, clock.at(position), clock.until(after), spaced, whole, index
                position, spaced = after, False
            spaced = True
        before = text


def _growing(heard: Sequence[_Heard]) -> list[tuple[int, int]]:
    """Give every piece a start in ms after the one before it, and its width."""
    starts = []
    floor = 0
    for text, second, *_ in heard:
        start = max(floor, _ms(second, instead=floor))
        wide = max(1, columns(text))
        starts.append((start, wide))
        floor = start + FASTEST_MS * wide
    return starts


def _end(start: int, second: float, room: int | None, wide: int) -> int:
    believable = start + max(LONGEST_MS, SLOWEST_MS * wide)
    end = max(start, min(believable, _ms(second, instead=believable)))
    return end if room is None else min(end, room)


def _ms(second: float, *, instead: int) -> int:
    """Round to ms; what is no time of any recording becomes `instead`."""
    return round(second * 1000) if abs(second) < LATEST else instead


def _pieces(token: str, position: int, clock: _Clock, line: int) -> Iterator[str]:
    """Split a token of a script without spaces; any other token stays whole, however long."""
    begin = 0
    for here in range(1, len(token)):
        before, after = token[here - 1], token[here]
        if _may_part(before, after) and (
            max(before, after) >= _IDEOGRAPHS
            or clock.begins_word(position + here)
            or columns(token[begin : here + 1]) > line
        ):
            yield token[begin:here]
            begin = here
    yield token[begin:]


def _may_part(before: str, after: str) -> bool:
    if not (unspaced(before) or unspaced(after)):
        return False
    return not (attached(after) or opening(before))


def _letters(text: str) -> str:
    return "".join(tokens(text))


def _inside(second: float, segment: Segment) -> float:
    """Keep a word's time within its segment, where the segment has a length."""
    if not segment.start < segment.end:
        return second
    return min(max(second, segment.start), segment.end)
