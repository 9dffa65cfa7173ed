"""What we know of each share beyond its settings: marker, adoption, health, last scan.

Not here: looking at the share (watch), deciding whether it is well (health).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.store import sightings
from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A share as the ledger remembers it."""

    name: str
    marker: str | None = None  # what its .transcribe-id must hold
    existing: str | None = None  # what was decided about old files: ignore | process
    adopted_ms: int | None = None  # None: nothing runs yet
    old_files: int = 0  # recordings found before adoption
    state: str = "unknown"  # unknown | online | offline | suspect
    why: str | None = None
    scanned_ms: int | None = None
    method: str | None = field(default=None)
    rescan_ms: int | None = None  # when somebody asked for a scan that has not begun


def get(ledger: Ledger, name: str) -> ShareRow:
    """What is known of a share; a blank row for one never seen."""
    row = ledger.row("SELECT * FROM share WHERE name = ?", [name])
    return ShareRow(name) if row is None else ShareRow(**row)


def listing(ledger: Ledger) -> Iterator[ShareRow]:
    """Every share ever seen."""
    for row in ledger.rows("SELECT * FROM share ORDER BY name"):
        yield ShareRow(**row)


def adopt(ledger: Ledger, name: str, *, marker: str | None, existing: str) -> None:
    """Let jobs of this share run; `existing` says what becomes of the files already there.

    The next scan counts as the first one: what it finds was there before. A share adopted
    before with `ignore` may be adopted again with `process`: its old files are new then.
    """
    decided = {"marker": marker, "existing": existing, "adopted_ms": ledger.clock().wall_ms}
    with ledger.writing():
        _set(ledger, name, {**decided, "scanned_ms": None, "old_files": 0})
        sightings.forget_ignored(ledger, name, why="not-adopted")
        if existing == "process":
            sightings.forget_ignored(ledger, name, why="old-file")


def seen(
    ledger: Ledger, name: str, *, state: str, why: str | None = None, method: str | None = None
) -> None:
    """Note how the share is; without `method`, how we find files there stays as it was."""
    found = {} if method is None else {"method": method}
    _set(ledger, name, {"state": state, "why": why, **found})


def scanned(ledger: Ledger, name: str, *, old_files: int) -> None:
    """Note a finished scan, and how many recordings were there before adoption."""
    _set(ledger, name, {"scanned_ms": ledger.clock().wall_ms, "old_files": old_files})


def ask_for_scan(ledger: Ledger, name: str) -> None:
    """Ask the watch for a full scan, soon."""
    _set(ledger, name, {"rescan_ms": ledger.clock().wall_ms})


def scan_begins(ledger: Ledger, name: str) -> None:
    """Note that what was asked for is under way."""
    _set(ledger, name, {"rescan_ms": None})


def _set(ledger: Ledger, name: str, columns: dict[str, object]) -> None:
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    sets = ", ".join(f"{column} = excluded.{column}" for column in columns)
    with ledger.writing() as db:
        db.execute(
            f"INSERT INTO share (name, {names}) VALUES (?, {marks})"
            f" ON CONFLICT (name) DO UPDATE SET {sets}",
            [name, *columns.values()],
        )
