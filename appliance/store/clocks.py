"""The latest hour that was ever written down, and whether the clock is believed to be behind it.

Not here: telling anybody (health).
"""

from __future__ import annotations

from typing import Final

from appliance.store.ledger import Ledger, Moment

EVERY_MS: Final = 300_000  # between two notes
TOLERANCE_MS: Final = 600_000  # a clock that is set right now and then
BELIEVED_AGAIN_SECONDS: Final = 86_400.0


def behind_ms(ledger: Ledger, now: Moment) -> int:
    """By how much the wall clock is behind what was written last; 0 where it is not."""
    row = ledger.row("SELECT wall_ms FROM clock")
    behind = 0 if row is None else row["wall_ms"] - now.wall_ms
    return behind if behind > TOLERANCE_MS else 0


def note(ledger: Ledger, now: Moment) -> None:
    """Write the hour down, now and then. One that went back is not, until it lasted for a day."""
    row = ledger.row("SELECT wall_ms, doubt_bt, boot_id FROM clock")
    if row is None or now.wall_ms - row["wall_ms"] > EVERY_MS:
        _write(ledger, now.wall_ms, None, None)
    elif row["wall_ms"] - now.wall_ms > TOLERANCE_MS:
        if row["doubt_bt"] is None or row["boot_id"] != now.boot_id:
            _write(ledger, row["wall_ms"], now.boot_s, now.boot_id)
        elif now.boot_s - row["doubt_bt"] > BELIEVED_AGAIN_SECONDS:
            _write(ledger, now.wall_ms, None, None)
    elif row["doubt_bt"] is not None:
        _write(ledger, row["wall_ms"], None, None)


def _write(ledger: Ledger, wall_ms: int, doubt_bt: float | None, boot_id: str | None) -> None:
    with ledger.writing() as db:
        db.execute("DELETE FROM clock")
        db.execute("INSERT INTO clock VALUES (?, ?, ?)", [wall_ms, doubt_bt, boot_id])
