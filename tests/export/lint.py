"""A second opinion on subtitles: which rules they break though the speech did not force it.

Written from docs/exports.md alone and sharing nothing with the code that cuts. A rule
counts as broken needlessly when another way to cut the same stretch of speech breaks
fewer; that other way is searched for here.

Not here: reading a file (the readers are other people's libraries).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from appliance.nouns import Segment, Transcript

ARTICLES = {
    "en": {"the", "a", "an"},
    "de": {"der", "die", "das", "ein", "eine"},
    "fr": {"le", "la", "les", "un", "une", "des"},
}
Score = tuple[int, int]  # limits broken, cues that end in an article


@dataclass(frozen=True)
class Limits:
    """The numbers of one table in docs/exports.md."""

    columns: int
    per_second: float
    lines: int = 2
    shortest: int = 834
    longest: int = 7000
    gap: int = 83
    close: int = 500
    pause: int = 1000


STANDARD = Limits(42, 20.0)
CJK = Limits(32, 18.0)


@dataclass(frozen=True)
class Shown:
    """A cue as somebody else's library read it."""

    start: int  # ms
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """Text that a line must not split."""

    text: str
    start: int
    end: int
    wide: int
    space: bool


def wide(text: str) -> int:
    """Columns a text takes on the screen."""
    total = 0
    for character in text:
        if unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            total += 1 + (unicodedata.east_asian_width(character) in "WF")
    return total


def plain(text: str) -> str:
    """What is left of a text when all that cannot be written is gone."""
    kept = ""
    for character in text:
        point = ord(character)
        if character in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029":
            kept += " "
        elif not (
            unicodedata.category(character) in ("Cc", "Cs")
            or point & 0xFFFE == 0xFFFE
            or 0xFDD0 <= point <= 0xFDEF
            or 0x202A <= point <= 0x202E
            or 0x2066 <= point <= 0x2069
            or character == "\ufeff"
        ):
            kept += character
    return kept


def text_of(segment: Segment) -> str:
    """What a segment says, single spaces between its words."""
    said = plain(segment.text)
    if not said.strip():
        said = plain("".join(word.word for word in segment.words))
    return " ".join(token for token in said.split(" ") if token.strip())


def _bare(text: str) -> str:
    return text.replace(" ", "")


def _letters(segment: Segment, said: str) -> list[tuple[float, float, bool]]:
    """Begin and end of every letter, and whether a word of the model begins with it."""
    words = [(_bare(plain(w.word)), w.start, w.end) for w in segment.words]
    if "".join(letters for letters, _, _ in words) != _bare(said):
        words = [(_bare(said), segment.start, segment.end)]
    times = []
    for letters, start, end in words:
        if segment.start < segment.end:
            start = min(max(start, segment.start), segment.end)
            end = min(max(end, segment.start), segment.end)
        end = max(start, end)
        for i in range(len(letters)):
            share = (end - start) * i / len(letters), (end - start) * (i + 1) / len(letters)
            times.append((start + share[0], start + share[1], i == 0))
    return times


def _no_spaces(character: str) -> bool:
    name = unicodedata.name(character, "")
    point = ord(character)
    return name.startswith(("CJK", "HIRAGANA", "KATAKANA", "THAI", "IDEOGRAPHIC")) or (
        (0x3001 <= point <= 0x303F or 0xFF01 <= point <= 0xFF65) and not character.isalnum()
    )


def _splits(said: str, at: int, *, wanted: bool) -> bool:
    """Tell whether a line may end before letter `at` of an unbroken run of letters.

    In Thai only where it is wanted: between words, or where a line is full.
    """
    before, after = said[at - 1], said[at]
    if not (_no_spaces(before) or _no_spaces(after)):
        return False
    if unicodedata.category(after)[0] == "M" or unicodedata.category(after) in (
        "Cf",
        "Lm",
        "Pd",
        "Pe",
        "Pf",
        "Po",
    ):
        return False
    if "LETTER SMALL" in unicodedata.name(after, "") or unicodedata.category(before) in (
        "Ps",
        "Pi",
    ):
        return False
    return wanted or before >= "\u2e80" or after >= "\u2e80"


def heard(transcript: Transcript, columns: int) -> list[Heard]:
    """Every piece of the speech in the order of the text, with times that only grow."""
    raw: list[tuple[str, float, float, bool]] = []
    last = ""
    for segment in transcript.segments:
        said = text_of(segment)
        times = iter(_letters(segment, said))
        space = bool(last) and not (_no_spaces(last) and _no_spaces(said[:1] or " "))
        for token in filter(None, said.split(" ")):
            for i, character in enumerate(token):
                start, end, word = next(times)
                full = i > 0 and wide(raw[-1][0] + character) > columns
                if i == 0 or _splits(token, i, wanted=word or full):
                    raw.append((character, start, end, space and i == 0))
                else:
                    text, first, _, spaced = raw[-1]
                    raw[-1] = (text + character, first, end, spaced)
            space = True
        last = said[-1:] or last
    return _in_order(raw)


def _in_order(raw: Sequence[tuple[str, float, float, bool]]) -> list[Heard]:
    starts = []
    free = 0
    for text, start, _, _ in raw:
        starts.append(max(free, round(start * 1000)))
        free = starts[-1] + 5 * max(1, wide(text))
    pieces = []
    for (text, _, end, space), start, after in zip(
        raw, starts, [*starts[1:], 10**18], strict=False
    ):
        columns = max(1, wide(text))
        until = min(round(end * 1000), start + max(2000, 150 * columns), after)
        pieces.append(Heard(text, start, max(start, until), columns, space))
    return pieces


def needless(transcript: Transcript, cues: Sequence[Shown], limits: Limits) -> list[str]:
    """Name every broken rule that another cut of the same speech would have kept."""
    pieces = heard(transcript, limits.columns)
    found: list[str] = []
    parts = list(_matched(pieces, cues))
    if "".join(_bare(p.text) for part in parts for p in part) != "".join(
        _bare(p.text) for p in pieces
    ):
        return ["the text is not the text that was spoken"]
    follows: list[float] = [*(cue.start for cue in cues[1:]), float("inf")]
    for cue, part, following in zip(cues, parts, follows, strict=False):
        found += [f"{cue}: {what}" for what in _never(cue, part, following, transcript, limits)]
    return found + list(_beaten(pieces, parts, cues, follows, transcript, limits))


def _matched(pieces: Sequence[Heard], cues: Sequence[Shown]) -> Iterator[list[Heard]]:
    """Deal the pieces to the cues whose letters they are."""
    at = 0
    for cue in cues:
        missing = _bare("".join(cue.lines))
        part = []
        while missing and at < len(pieces) and missing.startswith(pieces[at].text):
            missing = missing.removeprefix(pieces[at].text)
            part.append(pieces[at])
            at += 1
        yield part


def _never(
    cue: Shown, part: Sequence[Heard], following: float, transcript: Transcript, limits: Limits
) -> Iterator[str]:
    """Rules that no speech ever forces anybody to break."""
    if not cue.start < cue.end <= following:
        yield "it shows for no time, or into the next one"
    if not part or cue.start != part[0].start:
        yield "it does not begin with its first word"
        return
    if len(cue.lines) > limits.lines or not all(line.strip() for line in cue.lines):
        yield "too many lines, or an empty one"
    if any(wide(line) > limits.columns and not _single(line, part) for line in cue.lines):
        yield "a line is too long"
    if len(cue.lines) > 1 and _total(part) <= limits.columns:
        yield "two lines though one would do"
    if cue.end - cue.start > limits.longest:
        yield "it shows too long"
    latest = min(following - limits.gap, cue.start + limits.longest)
    if cue.end < min(part[-1].end, latest) - 1:
        yield "it goes before its last word is spoken"
    if len(part) > 1 and part[-1].end - cue.start > limits.longest:
        yield "it goes while its words are still spoken"
    if any(b.start - a.end >= limits.pause for a, b in pairwise(part)):
        yield "it spans a pause"
    if (
        len(cue.lines) == 2
        and _leans(cue.lines[0].split()[-1], transcript)
        and _better(part, transcript, limits)
    ):
        yield "its first line ends in an article"


def _single(line: str, part: Sequence[Heard]) -> bool:
    return any(piece.text == line for piece in part)


def _total(part: Sequence[Heard]) -> int:
    return sum(piece.wide for piece in part) + sum(piece.space for piece in part[1:])


def _leans(text: str, transcript: Transcript) -> bool:
    return text.lower() in ARTICLES.get(transcript.text_language, ())


def _better(part: Sequence[Heard], transcript: Transcript, limits: Limits) -> bool:
    """Look for a place for the line break that fits and follows no article."""
    for i in range(1, len(part)):
        halves = part[:i], part[i:]
        fit = all(_total(half) <= limits.columns or len(half) == 1 for half in halves)
        if fit and not _leans(part[i - 1].text, transcript):
            return True
    return False


def _limits_broken(start: int, end: float, columns: int, following: float, limits: Limits) -> int:
    shown, gap = end - start, following - end
    return (
        (shown < limits.shortest)
        + (columns > limits.per_second * shown / 1000)
        + (gap < limits.gap or limits.gap < gap < limits.close)
    )


def _beaten(
    pieces: Sequence[Heard],
    parts: Sequence[Sequence[Heard]],
    cues: Sequence[Shown],
    follows: Sequence[float],
    transcript: Transcript,
    limits: Limits,
) -> Iterator[str]:
    """Compare every stretch of speech with the best way there is to cut it."""
    scores: dict[int, list[int]] = {}
    begins = _stretches(pieces, limits)
    at = 0
    for cue, part, following in zip(cues, parts, follows, strict=False):
        stretch = max(begin for begin in begins if begin <= at)
        score = scores.setdefault(stretch, [0, 0])
        score[0] += _limits_broken(cue.start, cue.end, _total(part), following, limits)
        at += len(part)
        score[1] += at not in begins and at < len(pieces) and _leans(part[-1].text, transcript)
    for begin, score in scores.items():
        if any(score):
            end = min((b for b in begins if b > begin), default=len(pieces))
            best = _best(pieces, begin, end, transcript, limits)
            if tuple(score) > best:
                yield f"{pieces[begin].start} ms: {score} where {best} was possible"


def _stretches(pieces: Sequence[Heard], limits: Limits) -> list[int]:
    pauses = (
        i for i in range(1, len(pieces)) if pieces[i].start - pieces[i - 1].end >= limits.pause
    )
    return [0, *pauses]


def _best(
    pieces: Sequence[Heard], begin: int, end: int, transcript: Transcript, limits: Limits
) -> Score:
    """Find the fewest broken rules of any way to cut pieces[begin:end], last cue first."""
    table: dict[int, Score] = {end: (0, 0)}
    for first in range(end - 1, begin - 1, -1):
        options = []
        for last, columns in _fitting(pieces, first, end, limits):
            following = pieces[last + 1].start if last + 1 < len(pieces) else float("inf")
            hard = _fewest(pieces[first].start, pieces[last].end, columns, following, limits)
            soft = last + 1 < end and _leans(pieces[last].text, transcript)
            after = table[last + 1]
            options.append((hard + after[0], soft + after[1]))
        table[first] = min(options)
    return table[begin]


def _fitting(
    pieces: Sequence[Heard], first: int, end: int, limits: Limits
) -> Iterator[tuple[int, int]]:
    """Every last piece of a cue that begins with `first`, and the columns of that cue."""
    lines, line, columns = 1, 0, 0
    for last in range(first, end):
        piece = pieces[last]
        space = piece.space and last > first
        if last > first and pieces[last].end - pieces[first].start > limits.longest:
            return
        if line and line + space + piece.wide > limits.columns:
            lines, line = lines + 1, piece.wide
            if lines > limits.lines:
                return
        else:
            line += space + piece.wide
        columns += space + piece.wide
        yield last, columns


def _fewest(start: int, spoken: int, columns: int, following: float, limits: Limits) -> int:
    """Broken limits of a cue that goes at the best moment for it."""
    latest = min(following - limits.gap, start + limits.longest)
    if latest <= start:
        return _limits_broken(start, start + 1, columns, following, limits)
    moments = [latest]
    if spoken <= following - limits.close <= latest:
        moments.append(following - limits.close)
    return min(_limits_broken(start, moment, columns, following, limits) for moment in moments)
