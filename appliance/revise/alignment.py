"""New text for old words: what was not changed keeps its times, what was shares a stretch.

In: the segments of a stretch, and the texts that shall stand there. Out: a segment for each
text. The rule:

- A word is the same when its letters are, whatever its case or the punctuation around it. It
  keeps its times and its probability; one that is spelt the same stays the same to the bit.
- Words that stand where others stood share the time of those, in proportion to their letters.
- Words put in between two others share the gap between them, which may be none.
- What a person wrote is certain: probability 1.

In scripts without spaces a word is a character, with the punctuation that leans on it. One
text keeps the times of the stretch; several part where their words do.

Not here: which segments, who asked, and writing it down (the package).
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import accumulate, pairwise
from typing import Final

from appliance.export.text import clean_text, one_line, opening, spoken, tokens
from appliance.nouns import Segment, Word
from appliance.scripts import unspaced

_MOST_PAIRS: Final = 1_000_000  # comparing is quadratic at its worst: beyond it nothing is the same


@dataclass(frozen=True, slots=True)
class _Atom:
    """The smallest piece of text that has a time of its own."""

    spelled: str  # with the space before it
    key: str  # equal keys are the same spoken word
    owner: int  # of an old one: its word; of a new one: its text

    @property
    def weight(self) -> int:
        return max(1, len(self.key))


def shown(segment: Segment) -> str:
    """The text of a segment as people read and edit it: one line, composed (NFC)."""
    return unicodedata.normalize("NFC", spoken(segment))


def realigned(segments: Sequence[Segment], texts: Sequence[str]) -> tuple[Segment, ...]:
    """Put texts in the place of segments (at least one), a segment for each that has letters.

    Their ids are those of the segments they came from.
    """
    lines = [line for line in (one_line(unicodedata.normalize("NFC", t)) for t in texts) if line]
    if not lines:
        return ()
    start = segments[0].start
    end = max(start, segments[-1].end)
    if any(segment.words for segment in segments):
        old = [word for segment in segments for word in _words_of(segment)]
        timed = _retimed(old, lines, start, end)
        spans = _between(timed, start, end)
    else:
        timed = [()] * len(lines)
        spans = _shares([max(1, len(line)) for line in lines], start, end)
    parts = []
    for number, (line, words, (begins, ends)) in enumerate(zip(lines, timed, spans, strict=True)):
        origin = segments[min(number, len(segments) - 1)]
        text = "".join(word.word for word in words) or _first_spelled(line)
        heard = len(lines) == len(segments) == 1 and text == origin.text
        made = replace(origin, start=begins, end=ends, text=text, words=tuple(words))
        parts.append(made if heard else replace(made, tokens=()))
    return tuple(parts)


def _words_of(segment: Segment) -> Sequence[Word]:
    """The segment's words; where it alone has none, its text spread evenly over its time."""
    if segment.words:
        return segment.words
    atoms = list(_atoms(shown(segment), 0))
    chance = math.exp(min(0.0, segment.avg_logprob))
    spans = _shares([one.weight for one in atoms], segment.start, max(segment.start, segment.end))
    return [Word(*span, one.spelled, chance) for one, span in zip(atoms, spans, strict=True)]


# --- which words are the same -------------------------------------------------------------------


def _atoms(text: str, owner: int) -> Iterator[_Atom]:
    for number, token in enumerate(tokens(text)):
        space = " " if number or not unspaced(token[0]) else ""
        for piece in _pieces(token):
            yield _Atom(space + piece, _key(piece), owner)
            space = ""


def _pieces(token: str) -> Iterator[str]:
    begin = 0
    for here in range(1, len(token)):
        before, after = token[here - 1], token[here]
        if (unspaced(before) or unspaced(after)) and (
            opening(after) or (after.isalnum() and not opening(before))
        ):
            yield token[begin:here]
            begin = here
    yield token[begin:]


def _key(piece: str) -> str:
    composed = unicodedata.normalize("NFC", piece)
    letters = (c for c in composed if c.isalnum() or unicodedata.category(c).startswith("M"))
    return "".join(letters).casefold() or piece


def _same(old: Sequence[_Atom], new: Sequence[_Atom]) -> dict[int, int]:
    """Which old atom is which new one, by their places; both only ever grow."""
    ours, theirs = [one.key for one in old], [one.key for one in new]
    head = 0
    while head < min(len(ours), len(theirs)) and ours[head] == theirs[head]:
        head += 1
    tail = 0
    while tail < min(len(ours), len(theirs)) - head and ours[-1 - tail] == theirs[-1 - tail]:
        tail += 1
    same = {n: n for n in range(head)}
    middle = ours[head : len(ours) - tail], theirs[head : len(theirs) - tail]
    if len(middle[0]) * len(middle[1]) <= _MOST_PAIRS:
        for found in SequenceMatcher(None, *middle, autojunk=False).get_matching_blocks():
            same |= {head + found.a + n: head + found.b + n for n in range(found.size)}
    return same | {len(ours) - n: len(theirs) - n for n in range(tail, 0, -1)}


def _kept(old: Sequence[_Atom], new: Sequence[_Atom]) -> dict[int, tuple[int, int]]:
    """By the first of its new atoms: each old word that stayed whole, and how many they are."""
    same = _same(old, new)
    kept = {}
    here = 0
    while here < len(old):
        after = here
        while after < len(old) and old[after].owner == old[here].owner:
            after += 1
        places = [same.get(n) for n in range(here, after)]
        first = places[0]
        if first is not None and places == list(range(first, first + len(places))):
            whole = {new[n].owner for n in range(first, first + len(places))}
            if len(whole) == 1:
                kept[first] = (old[here].owner, len(places))
        here = after
    return kept


# --- when they are heard ------------------------------------------------------------------------


def _retimed(
    old: Sequence[Word], lines: Sequence[str], start: float, end: float
) -> list[tuple[Word, ...]]:
    """The words of each line."""
    before = [atom for n, word in enumerate(old) for atom in _atoms(clean_text(word.word), n)]
    new = [atom for n, line in enumerate(lines) for atom in _atoms(line, n)]
    kept = _kept(before, new)
    timed: list[list[Word]] = [[] for _ in lines]
    fresh: list[_Atom] = []
    last = -1  # the old word that was kept last
    here = 0
    while here <= len(new):
        owner, size = kept.get(here, (len(old), 1))
        if here < len(new) and here not in kept:
            fresh.append(new[here])
        else:
            for atom, (begins, ends) in _placed(fresh, old, last, owner, start, end):
                timed[atom.owner].append(Word(begins, ends, atom.spelled, 1.0))
            fresh = []
            if here < len(new):
                into = timed[new[here].owner]
                spelled = "".join(atom.spelled for atom in new[here : here + size])
                into.append(_spelled(old[owner], spelled, is_first=not into))
                last = owner
        here += size
    return [tuple(words) for words in timed]


def _spelled(word: Word, spelled: str, *, is_first: bool) -> Word:
    """An old word as it is written now; before the first of a segment a space means nothing."""
    composed = unicodedata.normalize("NFC", word.word)
    if composed == spelled or (is_first and composed.strip() == spelled.strip()):
        return word
    return replace(word, word=spelled)


def _placed(
    fresh: Sequence[_Atom], old: Sequence[Word], last: int, following: int, start: float, end: float
) -> Iterator[tuple[_Atom, tuple[float, float]]]:
    """Times for new words that stand between two old ones that were kept."""
    if not fresh:
        return
    earliest = old[last].end if last >= 0 else min(start, old[0].start if old else start)
    latest = old[following].start if following < len(old) else max(end, old[-1].end if old else end)
    gone = old[last + 1 : following]
    begins = gone[0].start if gone else (earliest if last >= 0 else start)
    ends = gone[-1].end if gone else (latest if following < len(old) else end)
    begins = min(max(begins, earliest), max(latest, earliest))
    ends = max(begins, min(ends, latest))
    yield from zip(fresh, _shares([one.weight for one in fresh], begins, ends), strict=True)


def _shares(weights: Sequence[int], start: float, end: float) -> list[tuple[float, float]]:
    """A stretch of time, shared out; in milliseconds but for its ends."""
    whole = sum(weights)
    inner = [
        min(max(round(start + (end - start) * part / whole, 3), start), end)
        for part in accumulate(weights[:-1])
    ]
    edges = [start, *inner, end]
    return list(pairwise(edges)) if weights else []


def _between(
    timed: Sequence[Sequence[Word]], start: float, end: float
) -> list[tuple[float, float]]:
    """When each of several segments begins and ends: the first and last as the stretch does."""
    begins = [start, *(words[0].start for words in timed[1:])]
    ends = [*(words[-1].end for words in timed[:-1]), end]
    return [(a, max(a, b)) for a, b in zip(begins, ends, strict=True)]


def _first_spelled(line: str) -> str:
    return line if unspaced(line[0]) else f" {line}"
