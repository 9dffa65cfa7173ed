"""The one set-up code there may be, as a digest.

Not here: making and comparing it (credentials.tokens), what it is good for (accounts.setup).
"""

from __future__ import annotations

from appliance.store.ledger import Ledger


def put(ledger: Ledger, digest: str, *, expires_ms: int) -> None:
    """Put a code in the place of the one before."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO setup_code (id, digest, expires_ms) VALUES (1, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET digest = excluded.digest,"
            " expires_ms = excluded.expires_ms",
            [digest, expires_ms],
        )


def digest(ledger: Ledger, *, now_ms: int) -> str | None:
    """The digest of the code that is good at that moment, if one is."""
    row = ledger.row("SELECT digest FROM setup_code WHERE expires_ms > ?", [now_ms])
    return None if row is None else str(row["digest"])


def forget(ledger: Ledger) -> None:
    """Let no code be good any more."""
    with ledger.writing() as db:
        db.execute("DELETE FROM setup_code")
