"""Fitting words into a terminal's columns: widths, cuts, times and lengths people read.

Not here: what is shown (the verbs).
"""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from typing import Final

_WIDE: Final = ("W", "F")
_NARROWEST: Final = 12


def columns() -> int:
    """How many columns there are: the terminal's, 80 where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 80


def width(text: str) -> int:
    """How many columns a text takes; the letters of East Asia take two."""
    return sum(_columns_of(letter) for letter in text)


def _columns_of(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in _WIDE else 1


def padded(text: str, to: int) -> str:
    """The text with blanks up to so many columns."""
    return text + " " * (to - width(text))


def cut(text: str, to: int) -> str:
    """The text in at most so many columns; what is too long loses its middle."""
    to = max(to, _NARROWEST)
    if width(text) <= to:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while width(head) + 1 + width(tail) > to:
        if width(head) > width(tail):
            head = head[:-1]
        else:
            tail = tail[1:]
    return f"{head}…{tail}"


def when(ms: int, now: float | None = None) -> str:
    """The local time of today, the date of any other day."""
    at, today = time.localtime(ms / 1000), time.localtime(now)
    is_today = (at.tm_year, at.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M" if is_today else "%Y-%m-%d", at)


def length(seconds: float | None) -> str:
    """Seconds as m:ss, with hours before them when there are any."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
