"""Times as people and players write them.

Not here: which times a transcript has (units, paragraphs).
"""

from __future__ import annotations


def stamp(ms: int, mark: str) -> str:
    """Write milliseconds as 00:00:01,250, `mark` before the thousandths; hours may pass 99."""
    seconds, ms = divmod(ms, 1000)
    return f"{clock(seconds)}{mark}{ms:03d}"


def clock(seconds: int) -> str:
    """Write whole seconds as 00:00:01; hours may pass 99."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}"
