"""Keys of programs: the part that may be shown, and a digest of the part that may not.

A key is never deleted: who looks into the audit log must find what it was.

Not here: the form of a key (credentials.keys), what a scope allows (rights).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.rights import Right, Rights, of_key
from appliance.store.ledger import Ledger, Row


@dataclass(frozen=True, slots=True)
class Key:
    """A key, as the ledger knew it when it was asked."""

    id: int
    name: str
    digest: str
    purpose: str
    scopes: tuple[Right, ...]
    shares: tuple[str, ...]
    who: str  # made it
    created_ms: int
    expires_ms: int | None  # None: never
    used_ms: int | None
    revoked_ms: int | None
    successor: str | None

    @property
    def rights(self) -> Rights:
        """What a program with this key may do."""
        return of_key(self.scopes, self.shares)

    def is_open(self, now_ms: int) -> bool:
        """Tell whether it opens anything at that moment."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


def add(
    ledger: Ledger,
    name: str,
    digest: str,
    *,
    purpose: str,
    scopes: Sequence[Right],
    shares: Sequence[str],
    who: str,
    expires_ms: int | None,
) -> None:
    """Keep a new key."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO key (name, digest, purpose, scopes, shares, who, created_ms, expires_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(name, digest, purpose, json.dumps(list(scopes)), json.dumps(list(shares))),
                *(who, ledger.clock().wall_ms, expires_ms),
            ],
        )


def named(ledger: Ledger, name: str) -> Key | None:
    """The key of that name, whether or not it still opens anything."""
    row = ledger.row("SELECT * FROM key WHERE name = ?", [name])
    return None if row is None else _key(row)


def listing(ledger: Ledger) -> Iterator[Key]:
    """Every key there ever was, the newest first."""
    for row in ledger.rows("SELECT * FROM key ORDER BY id DESC"):
        yield _key(row)


def used(ledger: Ledger, number: int) -> None:
    """Note that a program came with it."""
    with ledger.writing() as db:
        db.execute("UPDATE key SET used_ms = ? WHERE id = ?", [ledger.clock().wall_ms, number])


def revoke(ledger: Ledger, number: int) -> None:
    """Let it open nothing any more."""
    with ledger.writing() as db:
        db.execute("UPDATE key SET revoked_ms = ? WHERE id = ?", [ledger.clock().wall_ms, number])


def succeed(ledger: Ledger, number: int, *, successor: str, expires_ms: int) -> None:
    """Name the key that takes its place, and until when it still opens what it did."""
    with ledger.writing() as db:
        db.execute(
            "UPDATE key SET successor = ?, expires_ms = min(?, coalesce(expires_ms, ?))"
            " WHERE id = ?",
            [successor, expires_ms, expires_ms, number],
        )


def _key(row: Row) -> Key:
    lists = {
        "scopes": tuple(Right(one) for one in json.loads(row["scopes"])),
        "shares": tuple(json.loads(row["shares"])),
    }
    return Key(**(row | lists))
