"""What the page may change, above the settings' files: one table for all kinds.

Not here: the tables of before (tables), what is in it (store.choices).
"""

from __future__ import annotations

from typing import Final

CHOICES: Final = """
CREATE TABLE choice (
    n INTEGER PRIMARY KEY AUTOINCREMENT,  -- another one with each change, none given twice
    kind TEXT NOT NULL CHECK (kind IN ('profile', 'vocabulary', 'channel')),
    name TEXT NOT NULL,
    body TEXT NOT NULL,          -- JSON; never a secret
    who TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    UNIQUE (kind, name)
) STRICT
"""
