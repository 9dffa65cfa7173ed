"""Subtitles: which words show together, on which lines, from when to when.

In: a transcript and the name of a set of rules. Out: cues in order that never overlap and
read back as exactly the words of the transcript. Of all ways to cut the speech between
two pauses we take one that breaks the fewest rules, and of those the one that reads best.

Not here: what a rule set is called in the settings, the bytes of a format (srt, vtt).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from appliance.export.layout import Layout
from appliance.export.phrases import SENTENCE, endings
from appliance.export.text import columns, spoken
from appliance.export.units import Unit, units
from appliance.nouns import Transcript

VERSION: Final = 1  # of the rules: it grows when the same transcript would be cut otherwise

_BROKEN = 1e9  # a broken rule outweighs every question of taste
_ANOTHER_CUE = 14.0
_SENTENCE_INSIDE = 3.0
_PAUSE_INSIDE = 0.01  # a ms
_MEAGRE = 24  # columns: a cue with less flickers by
_HURRY = 0.01  # a ms too short to read


@dataclass(frozen=True, slots=True)
class Rules:
    """What a viewer can read. Columns: an East Asian wide character takes two."""

    columns: int  # a line
    lines: int  # a cue
    speed: float  # columns a second
    shortest: int = 834  # ms: 5/6 s
    longest: int = 7_000  # ms
    gap: int = 83  # ms between two cues: 2 frames at 24 a second
    close: int = 500  # ms: a gap below this is closed down to `gap`
    pause: int = 1_000  # ms of silence that no cue spans
    by_segment: bool = False  # one cue per segment of the model, whatever its length

    def until(self, start: int, end: int, width: int, following: float) -> int:
        """Say when a cue goes, in ms, were the next one to begin at `following`.

        It stays after its words until it can be read, and never into the next cue.
        """
        room = following - self.gap
        latest = start + self.longest
        wanted = max(end, start + self.shortest, start + math.ceil(width * 1000 / self.speed))
        if following - min(wanted, latest) < self.close:
            wanted = max(wanted, math.ceil(room))
        goes = min(wanted, room, latest)
        if self.gap < following - goes < self.close and end <= following - self.close:
            goes = following - self.close  # too long to be closed up, so it leaves a clear gap
        return max(int(goes), start + 1)

    def broken(self, shown: int, width: int, gap: float) -> int:
        """Count the rules a cue breaks: shown for so many ms, so many ms before the next one."""
        return (
            (shown < self.shortest)
            + (width * 1000 > self.speed * shown)
            + (gap < self.gap)
            + (self.gap < gap < self.close)
        )


RULES: Final[Mapping[str, Rules]] = {
    "standard": Rules(columns=42, lines=2, speed=20.0),
    "cjk": Rules(columns=32, lines=2, speed=18.0),
    "none": Rules(
        columns=2**31, lines=1, speed=math.inf, longest=2**62, gap=0, close=0, by_segment=True
    ),
}


@dataclass(frozen=True, slots=True)
class Cue:
    """Lines that show together. Times are whole ms: what both formats can write."""

    start: int  # ms from the start of the recording
    end: int  # ms, after the start and never after the next cue's start
    lines: tuple[str, ...]


def rules_for(transcript: Transcript, name: str) -> Rules:
    """Find the rules of a name; "standard" becomes "cjk" where most of the text is wide."""
    if name == "standard":
        texts = [spoken(segment) for segment in transcript.segments]
        letters = sum(len(text) - text.count(" ") for text in texts)
        wide = sum(columns(text) - len(text) for text in texts)  # a combining mark counts against
        if wide * 2 > letters:
            return RULES["cjk"]
    return RULES[name]


def cut(transcript: Transcript, rules: Rules) -> Iterator[Cue]:
    """Cut a transcript into cues."""
    heard = units(transcript, rules.columns)
    stretches = list(_by_segment(heard) if rules.by_segment else _by_pause(heard, rules.pause))
    following = [float(stretch[0].start) for stretch in stretches[1:]]
    for stretch, start in zip(stretches, [*following, math.inf], strict=False):
        yield from _cues(stretch, start, rules, transcript.text_language)


def _by_segment(heard: Sequence[Unit]) -> Iterator[list[Unit]]:
    for _, stretch in groupby(heard, key=lambda unit: unit.segment):
        yield list(stretch)


def _by_pause(heard: Sequence[Unit], pause: int) -> Iterator[list[Unit]]:
    stretch: list[Unit] = []
    for unit in heard:
        if stretch and unit.start - stretch[-1].end >= pause:
            yield stretch
            stretch = []
        stretch.append(unit)
    if stretch:
        yield stretch


def _cues(stretch: Sequence[Unit], following: float, rules: Rules, language: str) -> Iterator[Cue]:
    prices = endings(stretch, language)
    layout = Layout(stretch, prices, rules.columns)
    starts = [*(float(unit.start) for unit in stretch), following]
    lasts = (
        [len(stretch) - 1]
        if rules.by_segment
        else _cheapest(stretch, starts, layout, prices, rules)
    )
    first = 0
    for last in lasts:
        start, width = stretch[first].start, layout.width(first, last)
        end = rules.until(start, stretch[last].end, width, starts[last + 1])
        yield Cue(start, end, layout.wrap(first, last, rules.lines))
        first = last + 1


def _cheapest(
    stretch: Sequence[Unit],
    starts: Sequence[float],
    layout: Layout,
    prices: Sequence[float],
    rules: Rules,
) -> list[int]:
    """Find the last unit of every cue on the cheapest way through the stretch."""
    count = len(stretch)
    inside = _inside(stretch, prices)
    best = [0.0] + [math.inf] * count  # cost of cutting everything before a unit
    origin = [0] * (count + 1)  # the first unit of the last cue on the way there
    for first in range(count):
        start = stretch[first].start
        for last in range(first, layout.reach(first, rules.lines) + 1):
            if last > first and stretch[last].end - start > rules.longest:
                break
            cost = best[first] + prices[last] + inside[last] - inside[first]
            if cost + _ANOTHER_CUE >= best[last + 1]:
                continue  # a cue costs that much at least: most ways end here
            cost += _cost(
                start, stretch[last].end, layout.width(first, last), starts[last + 1], rules
            )
            if cost < best[last + 1]:
                best[last + 1], origin[last + 1] = cost, first
    lasts = []
    while count:
        lasts.append(count - 1)
        count = origin[count]
    return lasts[::-1]


def _cost(start: int, end: int, width: int, following: float, rules: Rules) -> float:
    shown = rules.until(start, end, width, following) - start
    hurry = max(0.0, width * 1000 / rules.speed - shown)
    broken = rules.broken(shown, width, following - start - shown)
    return _BROKEN * broken + _ANOTHER_CUE + max(0, _MEAGRE - width) / 2 + _HURRY * hurry


def _inside(stretch: Sequence[Unit], prices: Sequence[float]) -> list[float]:
    """Add up what it costs to keep a cue going past each unit; of two, the difference counts."""
    total = 0.0
    totals = [total]
    for unit, after, price in zip(stretch, stretch[1:], prices, strict=False):
        total += _PAUSE_INSIDE * (after.start - unit.end) + _SENTENCE_INSIDE * (price == SENTENCE)
        totals.append(total)
    return totals
