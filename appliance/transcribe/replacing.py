"""The spellings people want: words the model wrote, exchanged for others. The same every time.

A replacement is of whole words, of any case, and of several words too; where two fit, the
longer one does. The new word has the time of the old ones, and what is not replaced stays
as it was, to the last space.

Not here: what the model should expect to hear (the vocabulary: engine).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from appliance.nouns import Replacement, Segment, Word
from appliance.scripts import unspaced


class Replacer:
    """A list of replacements, ready for use."""

    def __init__(self, replacements: Sequence[Replacement]) -> None:
        longest_first = sorted(replacements, key=lambda one: -len(one.heard))
        # A group each says which one was found: cases fold in more ways than a key could.
        either = "|".join(f"({_pattern(one.heard)})" for one in longest_first)
        self._written = [one.written for one in longest_first]
        self._pattern = re.compile(either, re.IGNORECASE) if either else None

    def segments(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """Exchange words in every segment."""
        for segment in segments:
            yield self._segment(segment) if self._pattern else segment

    def _segment(self, segment: Segment) -> Segment:
        if not segment.words:
            return replace(segment, text=self.text(segment.text))
        words = tuple(self._words(segment.words))
        if words == segment.words:
            return segment
        return replace(segment, words=words, text="".join(word.word for word in words))

    def text(self, text: str) -> str:
        """Exchange words in a text."""
        if self._pattern is None:
            return text
        return self._pattern.sub(self._instead, text)

    def _instead(self, found: re.Match[str]) -> str:
        return self._written[(found.lastindex or 1) - 1]

    def _words(self, words: Sequence[Word]) -> Iterator[Word]:
        """The words, those that one replacement spans joined into one.

        What is found is looked for in the whole text: a word is often a part of one; what stands
        beside it says whether it is (Whisper parts Chinese by characters).
        """
        assert self._pattern is not None  # noqa: S101 - the caller looked
        text = "".join(word.word for word in words)
        found = deque(self._pattern.finditer(text))
        group: list[Word] = []
        written, at, read = "", 0, 0
        for word in words:
            group.append(word)
            at += len(word.word)
            while found and found[0].end() <= at:
                one = found.popleft()
                written += text[read : one.start()] + self._instead(one)
                read = one.end()
            if not found or found[0].start() >= at:
                yield _joined(group, written + text[read:at])
                group, written, read = [], "", at


def _joined(group: Sequence[Word], text: str) -> Word:
    first = group[0]
    if text == first.word:
        return first
    chance = fmean(word.probability for word in group)
    return Word(first.start, group[-1].end, text, chance)


def _pattern(heard: str) -> str:
    """Whole words, where a script has spaces between them; those may be any."""
    before = "" if unspaced(heard[0]) else r"(?<!\w)"
    after = "" if unspaced(heard[-1]) else r"(?!\w)"
    return before + r"\s+".join(re.escape(word) for word in heard.split()) + after
