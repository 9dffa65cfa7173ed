"""What was deleted by which rule and when: a line a rule and run, never changed.

Not here: deciding what goes (retention), deleting a row (its own table's file).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from appliance.store.ledger import Ledger

WHOLE: Final = "whole"  # a run through every rule
_DOUBTED: Final = "clock-doubted"  # a run that removed nothing, because the clock had leapt
_DAY_MS: Final = 86_400_000
_LEAP_MS: Final = 60 * _DAY_MS  # between two runs, of which there is one each day
_BELIEVED_AGAIN_MS: Final = 7 * _DAY_MS


def record(ledger: Ledger, rule: str, *, files: int, size: int) -> None:
    """Note that a rule was gone through, and what it removed: `files` of `size` bytes together."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO housekeeping (rule, files, bytes, at_ms) VALUES (?, ?, ?, ?)",
            [rule, files, size, ledger.clock().wall_ms],
        )


def last(ledger: Ledger, rule: str = WHOLE) -> int | None:
    """When a rule was last gone through (wall clock, ms); None: never."""
    row = ledger.row(
        "SELECT at_ms FROM housekeeping WHERE rule = ? ORDER BY id DESC LIMIT 1", [rule]
    )
    return row["at_ms"] if row else None


def leap_ms(ledger: Ledger) -> int:
    """By how much the wall clock has leapt since the last run; 0 where it is to be believed.

    One that was off for months is believed again when it went on for a week.
    """
    now, before = ledger.clock().wall_ms, last(ledger)
    if before is None or abs(now - before) <= _LEAP_MS:
        return 0
    rows = ledger.rows(
        "SELECT at_ms FROM housekeeping WHERE rule = ? AND id >"
        " (SELECT max(id) FROM housekeeping WHERE rule = ?) ORDER BY id",
        [_DOUBTED, WHOLE],
    )
    looks = [*(row["at_ms"] for row in rows), now]
    since = looks[0]
    for one, other in pairwise(looks):
        since = since if 0 <= other - one <= _LEAP_MS else other
    return 0 if now - since >= _BELIEVED_AGAIN_MS else abs(now - before)


def doubt(ledger: Ledger) -> None:
    """Note that a run has left everything where it was."""
    record(ledger, _DOUBTED, files=0, size=0)


def expire(ledger: Ledger, *, before_ms: int) -> None:
    """Drop lines that are older; the last of each rule stays."""
    with ledger.writing() as db:
        db.execute(
            "DELETE FROM housekeeping WHERE at_ms < ? AND id NOT IN"
            " (SELECT max(id) FROM housekeeping GROUP BY rule)",
            [before_ms],
        )
