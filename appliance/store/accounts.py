"""People who may sign in, and in which shares they may do what.

Not here: judging passwords (credentials), what a role allows (rights), their sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.rights import Rights, Role, of_person
from appliance.store.ledger import Ledger, Row


@dataclass(frozen=True, slots=True)
class Account:
    """A person, as the ledger knew them when it was asked."""

    id: int
    name: str
    password: str  # its argon2 hash
    role: Role
    handed: bool  # somebody else chose the password
    created_ms: int
    password_ms: int
    grants: Mapping[str, Role]  # by share

    @property
    def rights(self) -> Rights:
        """What this person may do."""
        return of_person(self.role, self.grants)


def get(ledger: Ledger, number: int) -> Account | None:
    """The account of that number."""
    row = ledger.row("SELECT * FROM account WHERE id = ?", [number])
    return None if row is None else _account(ledger, row)


def named(ledger: Ledger, name: str) -> Account | None:
    """The account of that name."""
    row = ledger.row("SELECT * FROM account WHERE name = ?", [name])
    return None if row is None else _account(ledger, row)


def listing(ledger: Ledger) -> Iterator[Account]:
    """Everybody, by name."""
    for row in list(ledger.rows("SELECT * FROM account ORDER BY name")):
        yield _account(ledger, row)


def admins(ledger: Ledger) -> int:
    """How many admins there are."""
    row = ledger.row("SELECT count(*) AS n FROM account WHERE role = ?", [Role.ADMIN])
    return int(row["n"]) if row else 0


def add(ledger: Ledger, name: str, *, password: str, role: Role, handed: bool) -> int:
    """A new account without any share; its number."""
    now = ledger.clock().wall_ms
    with ledger.writing() as db:
        return int(
            db.execute(
                "INSERT INTO account (name, password, role, handed, created_ms, password_ms)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [name, password, role, int(handed), now, now],
            ).lastrowid
            or 0
        )


def is_unchanged(ledger: Ledger, account: Account) -> bool:
    """Tell whether the password is the one that was judged; in a transaction it stays so."""
    now = get(ledger, account.id)
    return now is not None and now.password == account.password


def set_password(ledger: Ledger, number: int, password: str, *, handed: bool) -> None:
    """Put another hash in the old one's place."""
    with ledger.writing() as db:
        db.execute(
            "UPDATE account SET password = ?, handed = ?, password_ms = ? WHERE id = ?",
            [password, int(handed), ledger.clock().wall_ms, number],
        )


def allow(ledger: Ledger, number: int, role: Role, grants: Mapping[str, Role]) -> None:
    """Say what an account may do, in place of all that was said before."""
    with ledger.writing() as db:
        db.execute("UPDATE account SET role = ? WHERE id = ?", [role, number])
        db.execute("DELETE FROM allowed WHERE account = ?", [number])
        db.conn.executemany(
            "INSERT INTO allowed (account, share, role) VALUES (?, ?, ?)",
            [(number, share, here) for share, here in grants.items()],
        )


def remove(ledger: Ledger, number: int) -> None:
    """Forget an account, and with it its grants and its sessions."""
    with ledger.writing() as db:
        db.execute("DELETE FROM account WHERE id = ?", [number])


def _account(ledger: Ledger, row: Row) -> Account:
    grants = {
        one["share"]: Role(one["role"])
        for one in ledger.rows(
            "SELECT share, role FROM allowed WHERE account = ? ORDER BY share", [row["id"]]
        )
    }
    return Account(
        **(row | {"role": Role(row["role"]), "handed": bool(row["handed"])}), grants=grants
    )
