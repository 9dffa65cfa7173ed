"""The part of a text that one page shows: passages, each with its words and their seconds.

In: what is recorded of a job, as people have revised it, and what the address asks for (task,
from which passage on, or the one that is heard at a second). Out: a Sheet of plain values.

Not here: changing it (texts), how it looks (templates).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import request

from appliance.export.text import clean_text
from appliance.nouns import Segment, Transcript
from appliance.revise.alignment import shown
from appliance.store import revisions
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from web import recall

MOST: Final = 200  # passages of a page
_EARLIER: Final = 3  # shown before the one that was asked for by its second


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word as it is shown, and when it is heard."""

    start: float
    text: str  # with the space before it


@dataclass(frozen=True, slots=True)
class Passage:
    """A segment of the text."""

    number: int  # its place in the transcript
    start: float
    end: float
    words: tuple[Spoken, ...]
    text: str  # as it is edited


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is shown of a text."""

    transcript: Transcript
    tasks: tuple[str, ...]  # the texts there are
    tag: str  # of the revision: an edit has to name it
    passages: tuple[Passage, ...]
    first: int  # place of the first of them
    of: int  # how many there are in all

    @property
    def task(self) -> str:
        """Which text it is."""
        return self.transcript.task

    @property
    def last(self) -> int:
        """The place after the last one shown."""
        return self.first + len(self.passages)

    @property
    def before(self) -> int | None:
        """Where the page before begins."""
        return max(0, self.first - MOST) if self.first else None

    @property
    def after(self) -> int | None:
        """Where the next page begins."""
        return self.last if self.last < self.of else None


def sheet(ledger: Ledger, job: Job) -> Sheet | None:
    """The part of a job's text that the address asks for; None before it has one."""
    newest, texts = recall.newest(ledger, job)
    if not texts:
        return None
    wanted = request.values.get("task")
    transcript = next((one for one in texts if one.task == wanted), texts[0])
    first = _first(transcript.segments)
    shown_here = transcript.segments[first : first + MOST]
    return Sheet(
        transcript,
        tuple(one.task for one in texts),
        revisions.tag_of(job.epoch, newest),
        tuple(passage(first + place, one) for place, one in enumerate(shown_here)),
        first,
        len(transcript.segments),
    )


def _first(segments: Sequence[Segment]) -> int:
    """The place of the first passage of the page that was asked for."""
    if (second := request.values.get("t", type=float)) is not None and second >= 0:
        # Times of segments only grow, but for what models sometimes do: near is good enough.
        heard = bisect_right([one.start for one in segments], second) - 1
        return max(0, heard - _EARLIER)
    wanted = request.values.get("from", 0, type=int)
    return min(max(0, wanted), max(0, len(segments) - 1))


def passage(number: int, segment: Segment) -> Passage:
    """A segment, as it is shown."""
    # What turns the reading direction around is gone from it: a page needs no more.
    words = tuple(Spoken(word.start, clean_text(word.word)) for word in segment.words)
    text = shown(segment)
    whole = words or (Spoken(segment.start, text),)
    return Passage(number, segment.start, segment.end, whole, text)
