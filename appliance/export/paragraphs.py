"""A transcript as paragraphs to read, for the formats that are pages and not subtitles.

Not here: how a page writes a paragraph (txt, docx, md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.export.text import joint, spoken
from appliance.export.units import LATEST
from appliance.nouns import Transcript

PAUSE: Final = 2.0  # seconds of silence that end a paragraph
LONG: Final = 600  # characters: the next end of a sentence ends the paragraph
TOO_LONG: Final = 1_200  # characters: the next end of a segment does
_SENTENCE_ENDS: Final = tuple(".?!…。？！؟۔।\"'”’»)」』")  # noqa: RUF001 of every script


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text that belongs together."""

    start: int  # whole seconds from the start of the recording
    text: str


def paragraphs(transcript: Transcript) -> Iterator[Paragraph]:
    """Join segments until somebody pauses, or a sentence ends and the paragraph is long."""
    text, start, heard = "", 0.0, 0.0
    for segment in transcript.segments:
        words = spoken(segment)
        if not words:
            continue
        begin = _within(segment.start, heard)
        if text and (begin - heard >= PAUSE or _full(text)):
            yield Paragraph(int(start), text)
            text = ""
        if not text:
            start = begin
        text += joint(text, words) + words
        heard = _within(segment.end, begin)
    if text:
        yield Paragraph(int(start), text)


def _full(text: str) -> bool:
    return len(text) >= TOO_LONG or (len(text) >= LONG and text.endswith(_SENTENCE_ENDS))


def _within(second: float, earliest: float) -> float:
    return max(earliest, second) if second < LATEST else earliest
