"""A word exchanged wherever it stands in a transcript: first to look at, then as one edit.

Not here: replacements that a site asks for in its settings (transcribe.replacing).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from appliance.export.text import one_line
from appliance.nouns import Change, Segment, Transcript
from appliance.revise.alignment import realigned, shown
from appliance.scripts import unspaced

MOST_LETTERS: Final = 10_000  # of one passage, or one edit
_MOST_MORE: Final = 1_000_000  # letters that one exchange may add: a day of speech has as many
_CONTEXT: Final = 40  # characters on either side


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is exchanged for what."""

    heard: str
    written: str  # nothing: it is taken out
    whole_words: bool = True  # of scripts with spaces; others have none to be seen
    match_case: bool = False

    def pattern(self) -> re.Pattern[str]:
        """What is looked for; the spaces between its words may be any. Raises ValueError."""
        heard = one_line(unicodedata.normalize("NFC", self.heard))
        if not heard:
            raise ValueError("there is nothing to look for")
        within = r"\s+".join(re.escape(word) for word in heard.split())
        before = r"(?<!\w)" if self.whole_words and not unspaced(heard[0]) else ""
        after = r"(?!\w)" if self.whole_words and not unspaced(heard[-1]) else ""
        return re.compile(before + within + after, 0 if self.match_case else re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something would be exchanged, with the text around it."""

    segment: int  # its place in the transcript
    start: float  # seconds: when it is heard
    before: str
    found: str
    after: str


def places(transcript: Transcript, exchange: Exchange) -> Iterator[Place]:
    """Every place where it would be done, from the beginning on. Raises ValueError."""
    pattern = exchange.pattern()
    for number, segment in enumerate(transcript.segments):
        text = shown(segment)
        for found in pattern.finditer(text):
            begin, end = found.span()
            yield Place(
                number,
                _heard_at(segment, len("".join(text[:begin].split()))),
                text[max(0, begin - _CONTEXT) : begin],
                found[0],
                text[end : end + _CONTEXT],
            )


def exchanged(transcript: Transcript, exchange: Exchange) -> tuple[Change, ...]:
    """The changes that do it, from the end on: none moves what the next one is about.

    A segment of which nothing is left goes. Raises ValueError, also where a passage, or the whole
    text, would become longer than a text of people is.
    """
    pattern = exchange.pattern()
    changes = []
    room = _MOST_MORE
    for number, segment in enumerate(transcript.segments):
        text = shown(segment)
        found = [place[0] for place in pattern.finditer(text)]
        more = len(found) * len(exchange.written) - sum(map(len, found))
        room -= max(0, more)
        if room < 0 or (more > 0 and len(text) + more > MOST_LETTERS):
            raise ValueError("the text would become too long")
        new = pattern.sub(lambda _: exchange.written, text)
        if one_line(unicodedata.normalize("NFC", new)) != text:
            made = realigned([segment], [new])
            changes.append(Change(transcript.task, number, 1, made))
    return tuple(reversed(changes))


def _heard_at(segment: Segment, letters: int) -> float:
    """When the letter after so many is heard, as far as the words tell."""
    counts = [len("".join(word.word.split())) for word in segment.words]
    for word, until in zip(segment.words, accumulate(counts), strict=True):
        if letters < until:
            return word.start
    return segment.start
