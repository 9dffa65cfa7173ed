"""What a reader should know before trusting a transcript.

In: the warnings of a transcript. Out: their sentences from the catalogue, for the top of
a text, and the two that must also be seen by somebody who only plays the subtitles.

Not here: when a warning is given (transcribe), its wording (errors).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.errors import WARNINGS
from appliance.export.cues import Cue, Rules, cut
from appliance.export.text import one_line
from appliance.nouns import Detail, Transcript

SHOWN: Final[Mapping[str, str]] = {  # at most 32 columns: one line under any rules
    "warning.selftest-model": "[Self-test, no real transcript]",
    "warning.no-speech": "[No speech was found]",
}
_SHOWN_MS: Final = 3_000


@dataclass(frozen=True, slots=True)
class Note:
    """A warning in words."""

    code: str
    message: str
    hint: str
    detail: Detail  # the facts in the sentence


def notes(transcript: Transcript) -> Iterator[Note]:
    """Put a transcript's warnings in words; one we do not know stands as its code."""
    for notice in transcript.warnings:
        caution = WARNINGS.get(notice.code)
        if caution is None:
            yield Note(one_line(notice.code), one_line(notice.code), "", notice.detail)
        else:
            told = one_line(caution.sentence(notice.detail))
            yield Note(notice.code, told, caution.hint, notice.detail)


def subtitles(transcript: Transcript, rules: Rules) -> list[Cue]:
    """Cut a transcript into cues, and show what a viewer must know where nobody speaks.

    That is before the first word, else in the first silence with room for it, else after
    the last word: it never covers what is said and never delays it.
    """
    cues = list(cut(transcript, rules))
    codes = {notice.code for notice in transcript.warnings}
    lines = tuple(text for code, text in SHOWN.items() if code in codes)
    if lines:
        place, cue = _announcement(lines, cues, rules)
        cues.insert(place, cue)
    return cues


def _announcement(lines: tuple[str, ...], cues: list[Cue], rules: Rules) -> tuple[int, Cue]:
    start = 0
    for place, following in enumerate(cues):
        end = rules.until(start, start + _SHOWN_MS, 0, following.start)
        if not rules.broken(end - start, 0, following.start - end):
            return place, Cue(start, end, lines)
        start = following.end + rules.gap
    return len(cues), Cue(start, start + _SHOWN_MS, lines)
