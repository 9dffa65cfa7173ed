"""What people have chosen on the page or over the API, in the place of what the files say.

A row for each profile, vocabulary and channel, and none for what only the files know. Its
number is another one with each change and is never given twice, so that two numbers tell
whether anything has changed.

Not here: what a choice may say, and how it is laid over the files (appliance.choices).
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.store.ledger import Ledger, Row


class Kind(enum.StrEnum):
    """What can be chosen."""

    PROFILE = "profile"
    VOCABULARY = "vocabulary"  # of the profile of that name
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of them."""

    n: int
    kind: Kind
    name: str
    body: Mapping[str, Any]
    who: str
    at_ms: int


def state(ledger: Ledger) -> tuple[int, int]:
    """Two numbers that no other set of choices has: compare them instead of reading them all."""
    row = ledger.row("SELECT coalesce(max(n), 0) AS newest, count(*) AS many FROM choice") or {}
    return row["newest"], row["many"]


def listing(ledger: Ledger) -> list[Choice]:
    """All of them, by name."""
    return [_choice(row) for row in ledger.rows("SELECT * FROM choice ORDER BY kind, name")]


def get(ledger: Ledger, kind: Kind, name: str) -> Choice | None:
    """What was chosen under that name."""
    row = ledger.row("SELECT * FROM choice WHERE kind = ? AND name = ?", [kind, name])
    return None if row is None else _choice(row)


def put(ledger: Ledger, kind: Kind, name: str, body: Mapping[str, Any], who: str) -> None:
    """Write a choice down in the place of the one before, in the caller's transaction."""
    with ledger.writing() as db:
        drop(ledger, kind, name)
        db.execute(
            "INSERT INTO choice (kind, name, body, who, at_ms) VALUES (?, ?, ?, ?, ?)",
            [kind, name, json.dumps(body, sort_keys=True), who, ledger.clock().wall_ms],
        )


def drop(ledger: Ledger, kind: Kind, name: str) -> bool:
    """Take a choice back; says whether there was one."""
    with ledger.writing() as db:
        gone = db.execute("DELETE FROM choice WHERE kind = ? AND name = ?", [kind, name])
        return gone.rowcount > 0


def _choice(row: Row) -> Choice:
    return Choice(**{**row, "kind": Kind(row["kind"]), "body": json.loads(row["body"])})
