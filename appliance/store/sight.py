"""Which rows somebody may see, as a condition of a question: those of some shares, or all.

What is out of sight is not there: it is left out in SQL, so that neither a list nor a
count nor a page's end tells of it.

Not here: who may see which share (rights).
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.rights import Shares, Sight


def within(shares: Shares, column: str = "share") -> tuple[str, list[object]]:
    """A condition and its values; None: every share, and the question is as fast as without."""
    if shares is None:
        return "TRUE", []
    named = shares.shares if isinstance(shares, Sight) else shares
    if not named:
        return "FALSE", []
    return f"{column} IN ({', '.join('?' * len(named))})", [*sorted(named)]


def of_jobs(shares: Shares, *, walking: bool = False) -> tuple[str, list[object]]:
    """The same of rows of `job`, in which also stands who has sent the recording.

    `walking`: rows come in the order of the question, and each is only asked whether it is
    seen. SQLite would fetch all that are seen by an index instead, and sort them.
    """
    mark = "+" if walking else ""  # of a column that no index is looked up by
    seen, values = within(shares, f"{mark}job.share")
    if not isinstance(shares, Sight):
        return seen, values
    return f"({seen} OR {mark}job.submitter = ?)", [*values, shares.own]


def apart(shares: Shares) -> Iterator[tuple[str, str, list[object]]]:
    """The same in parts that have no row in common, each of which an index answers.

    Of each: by which column it is looked up, its condition on rows of `job`, the values.
    """
    seen, values = within(shares, "job.share")
    yield "share", seen, values
    if isinstance(shares, Sight):
        yield "submitter", f"job.submitter = ? AND NOT ({seen})", [shares.own, *values]
