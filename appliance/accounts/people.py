"""Accounts: adding, changing and removing them, and their passwords.

Whatever makes an account weaker or stronger ends its sessions: nobody keeps rights that
were taken, and a stolen cookie is worth nothing once the password is another.

Not here: signing in (sessions), the first admin (setup).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from appliance.credentials import passwords
from appliance.errors import LastAdmin, NameTaken, NameUnfit, NoSuchAccount, SignInWrong
from appliance.rights import Role
from appliance.store import accounts, audit, sessions, uploads
from appliance.store.accounts import Account
from appliance.store.audit import Actor
from appliance.store.ledger import Ledger

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def fitting(name: str) -> str:
    """A name as accounts are named: small letters. Raises NameUnfit."""
    small = name.strip().lower()
    if not _NAME.fullmatch(small):
        raise NameUnfit(name=name[:63] or "Nothing")
    return small


def hashed(password: str, *, name: str) -> str:
    """The hash of a password that is good enough. Raises PasswordWeak."""
    passwords.accept(password, name=name.strip())
    return passwords.hashed(password)


def add(
    ledger: Ledger,
    actor: Actor,
    name: str,
    password: str | None,
    *,
    role: Role,
    grants: Mapping[str, Role],
) -> tuple[Account, str]:
    """A new account, and its password: one to hand over where none was given.

    A password that somebody else knows has to be changed before anything else is done.
    Raises NameUnfit, NameTaken, PasswordWeak.
    """
    given = password if password is not None else passwords.one_to_hand_over()
    known = hashed(given, name=name) if password is not None else passwords.hashed(given)
    handed = password is None
    account = enter(ledger, actor, name, known, role=role, grants=grants, handed=handed)
    return account, given


def enter(
    ledger: Ledger,
    actor: Actor,
    name: str,
    known: str,
    *,
    role: Role,
    grants: Mapping[str, Role] | None = None,
    handed: bool = False,
) -> Account:
    """An account whose password is hashed already. Raises NameUnfit, NameTaken."""
    name = fitting(name)
    with ledger.writing():
        if accounts.named(ledger, name) is not None:
            raise NameTaken(name=name)
        number = accounts.add(ledger, name, password=known, role=role, handed=handed)
        accounts.allow(ledger, number, role, grants or {})
        audit.add(
            ledger, actor, "account-added", f"user:{name}", role=role, shares=dict(grants or {})
        )
        return _there(accounts.get(ledger, number), name)


def change(
    ledger: Ledger, actor: Actor, account: Account, *, role: Role, grants: Mapping[str, Role]
) -> Account:
    """Give an account another role or other shares; it signs in again. Raises LastAdmin."""
    with ledger.writing():
        before = _there(accounts.get(ledger, account.id), account.name)
        if (before.role, before.grants) == (role, grants):
            return before
        if role is not Role.ADMIN:
            _keep_an_admin(ledger, before)
        accounts.allow(ledger, account.id, role, grants)
        sessions.end_all(ledger, account.id)
        audit.add(
            ledger, actor, "account-changed", f"user:{before.name}", role=role, shares=dict(grants)
        )
        return _there(accounts.get(ledger, account.id), account.name)


def remove(ledger: Ledger, actor: Actor, account: Account) -> None:
    """Forget an account. What it sent is nobody's then, and whoever gets the name sees none of it.

    Raises LastAdmin, NoSuchAccount.
    """
    with ledger.writing():
        before = _there(accounts.get(ledger, account.id), account.name)
        _keep_an_admin(ledger, before)
        accounts.remove(ledger, before.id)
        uploads.disown(ledger, f"user:{before.name}")
        audit.add(ledger, actor, "account-removed", f"user:{before.name}")


def reset(ledger: Ledger, actor: Actor, account: Account, password: str | None = None) -> str:
    """Set another password and end every session; the password that is now good.

    Without one, one to hand over is made, which has to be changed. Raises PasswordWeak.
    """
    given = password if password is not None else passwords.one_to_hand_over()
    if password is not None:
        passwords.accept(given, name=account.name)
    known = passwords.hashed(given)
    with ledger.writing():
        accounts.set_password(ledger, account.id, known, handed=password is None)
        sessions.end_all(ledger, account.id)
        audit.add(ledger, actor, "password-reset", f"user:{account.name}")
    return given


def change_password(
    ledger: Ledger, actor: Actor, account: Account, *, old: str, new: str, session: int
) -> Account:
    """Change one's own password; every other session ends. The account as it is then.

    Raises SignInWrong where the old one is wrong, PasswordWeak.
    """
    if not passwords.matches(old, account.password):
        raise SignInWrong
    known = hashed(new, name=account.name)
    with ledger.writing():
        if not accounts.is_unchanged(ledger, account):  # an admin has set another meanwhile
            raise SignInWrong
        accounts.set_password(ledger, account.id, known, handed=False)
        sessions.end_all(ledger, account.id, but=session)
        audit.add(ledger, actor, "password-changed", f"user:{account.name}")
        return _there(accounts.get(ledger, account.id), account.name)


def _keep_an_admin(ledger: Ledger, account: Account) -> None:
    if account.role is Role.ADMIN and accounts.admins(ledger) == 1:
        raise LastAdmin(name=account.name)


def _there(account: Account | None, name: str) -> Account:
    if account is None:
        raise NoSuchAccount(name=name)
    return account
