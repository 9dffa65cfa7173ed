"""Who is signed in, where: a row a session, found by the digest of its cookie.

Not here: how long a session lives (accounts.sessions), its secret (credentials.tokens).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's browser, from signing in until it ends."""

    id: int
    account: int
    began_ms: int
    seen_ms: int
    proven_ms: int  # when the password was last given
    address: str
    browser: str


_SELECT = "SELECT id, account, began_ms, seen_ms, proven_ms, address, browser FROM session"


def add(ledger: Ledger, digest: str, account: int, *, address: str, browser: str) -> int:
    """A new session whose password was given just now; its number."""
    now = ledger.clock().wall_ms
    with ledger.writing() as db:
        return int(
            db.execute(
                "INSERT INTO session"
                " (digest, account, began_ms, seen_ms, proven_ms, address, browser)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [digest, account, now, now, now, address, browser],
            ).lastrowid
            or 0
        )


def found(ledger: Ledger, digest: str) -> Session | None:
    """The session behind a cookie, however old."""
    row = ledger.row(f"{_SELECT} WHERE digest = ?", [digest])
    return None if row is None else Session(**row)


def get(ledger: Ledger, number: int) -> Session | None:
    """The session of that number."""
    row = ledger.row(f"{_SELECT} WHERE id = ?", [number])
    return None if row is None else Session(**row)


def listing(ledger: Ledger, account: int | None = None) -> Iterator[Session]:
    """Every session, or one person's; the one that was seen last first."""
    where, values = ("", []) if account is None else (" WHERE account = ?", [account])
    for row in ledger.rows(f"{_SELECT}{where} ORDER BY seen_ms DESC, id DESC", values):
        yield Session(**row)


def see(ledger: Ledger, number: int) -> None:
    """Note that its person is still there."""
    with ledger.writing() as db:
        db.execute("UPDATE session SET seen_ms = ? WHERE id = ?", [ledger.clock().wall_ms, number])


def end(ledger: Ledger, number: int) -> bool:
    """End one; say whether it was there."""
    with ledger.writing() as db:
        return db.execute("DELETE FROM session WHERE id = ?", [number]).rowcount == 1


def end_all(ledger: Ledger, account: int, *, but: int | None = None) -> int:
    """End every session of a person except one; say how many."""
    with ledger.writing() as db:
        return int(
            db.execute(
                "DELETE FROM session WHERE account = ? AND id IS NOT ?", [account, but]
            ).rowcount
        )


def expire(ledger: Ledger, *, seen_before_ms: int, began_before_ms: int) -> None:
    """Forget those that are too old."""
    with ledger.writing() as db:
        db.execute(
            "DELETE FROM session WHERE seen_ms < ? OR began_ms < ?",
            [seen_before_ms, began_before_ms],
        )
