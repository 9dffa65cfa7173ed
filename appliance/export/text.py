"""The text of a transcript, fit to be written anywhere.

In: what a model or a file name says, which may be anything. Out: characters that XML,
WebVTT, SubRip, JSON and Markdown can all carry, and how wide they stand on a screen.

Not here: where a line may end (phrases), what a single format escapes (its own module).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from appliance.nouns import Segment
from appliance.scripts import unspaced

_SPACES: Final = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]")
_UNFIT: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # controls
    "\ud800-\udfff"  # halves of a character
    "\u202a-\u202e\u2066-\u2069"  # turn the reading direction of what follows
    "\ufeff\ufdd0-\ufdef"
    + "".join(
        chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)
    )
    + "]"
)
_BREAKABLE: Final = re.compile(r"[^\S\u00a0\u2007\u202f]+")  # a no-break space breaks no line


def clean_text(text: str) -> str:
    """Drop what some format cannot carry; a line break of any kind becomes a space."""
    if text.isascii() and text.isprintable():  # most words of half the world: nothing to drop
        return text
    return _UNFIT.sub("", _SPACES.sub(" ", text))


def one_line(text: str) -> str:
    """Clean a text, and leave single spaces between its words and none around it."""
    return " ".join(tokens(clean_text(text)))


def tokens(text: str) -> list[str]:
    """Split where a line may always end; what nobody could see is no token."""
    return [token.strip() for token in _BREAKABLE.split(text) if token.strip()]


def spoken(segment: Segment) -> str:
    """Read a segment: its text, or its words where it has no text of its own."""
    return one_line(segment.text) or one_line("".join(word.word for word in segment.words))


def joint(before: str, after: str) -> str:
    """Say what stands between two texts that follow each other: a space, or nothing.

    Chinese, Japanese and Thai, among others, put no space between words.
    """
    if not before or not after or (unspaced(before[-1]) and unspaced(after[0])):
        return ""
    return " "


@lru_cache(maxsize=8192)
def attached(character: str) -> bool:
    """Tell whether the character leans on the one before it and never begins a line.

    Combining marks do, closing punctuation, and in Japanese small kana and repeat marks.
    """
    if unicodedata.category(character) in {"Mn", "Mc", "Me", "Cf", "Lm", "Pd", "Pe", "Pf", "Po"}:
        return True
    return "LETTER SMALL" in unicodedata.name(character, "") and character > "\u3000"


def opening(character: str) -> bool:
    """Tell whether the character is a bracket or quotation mark that never ends a line."""
    return unicodedata.category(character) in {"Ps", "Pi"}


def columns(text: str) -> int:
    """Measure a text in columns: 2 for an East Asian wide character, 0 for a combining one."""
    return len(text) if text.isascii() else sum(map(_width, text))


@lru_cache(maxsize=8192)
def _width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
