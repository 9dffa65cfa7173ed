"""Which rows somebody may see, as a condition of a question: those of some shares, or all.

What is out of sight is not there: it is left out in SQL, so that neither a list nor a
count nor a page's end tells of it.

Not here: who may see which share (rights).
"""

from __future__ import annotations

from appliance.rights import Shares


def within(shares: Shares, column: str = "share") -> tuple[str, list[object]]:
    """A condition and its values; None: every share, and the question is as fast as without."""
    if shares is None:
        return "TRUE", []
    if not shares:
        return "FALSE", []
    return f"{column} IN ({', '.join('?' * len(shares))})", [*sorted(shares)]
