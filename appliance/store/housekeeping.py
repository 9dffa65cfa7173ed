"""What was deleted by which rule and when: a line a rule and run, never changed.

Not here: deciding what goes (retention), deleting a row (its own table's file).
"""

from __future__ import annotations

from appliance.store.ledger import Ledger

WHOLE: str = "whole"  # a run through every rule


def record(ledger: Ledger, rule: str, *, files: int, size: int) -> None:
    """Note that a rule was gone through, and what it removed: `files` of `size` bytes together."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO housekeeping (rule, files, bytes, at_ms) VALUES (?, ?, ?, ?)",
            [rule, files, size, ledger.clock().wall_ms],
        )


def last(ledger: Ledger, rule: str = WHOLE) -> int | None:
    """When a rule was last gone through (wall clock, ms); None: never."""
    row = ledger.row("SELECT max(at_ms) AS at_ms FROM housekeeping WHERE rule = ?", [rule])
    return row["at_ms"] if row else None


def expire(ledger: Ledger, *, before_ms: int) -> None:
    """Drop lines that are older; the last of each rule stays."""
    with ledger.writing() as db:
        db.execute(
            "DELETE FROM housekeeping WHERE at_ms < ? AND id NOT IN"
            " (SELECT max(id) FROM housekeeping GROUP BY rule)",
            [before_ms],
        )
