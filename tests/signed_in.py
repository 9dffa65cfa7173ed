"""Somebody who is signed in, or a program with a key, without going through the pages.

Not here: any test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Flask
from flask.testing import FlaskClient

from appliance.accounts import keys, people, sessions
from appliance.rights import EVERY, Right, Role
from appliance.store import accounts
from appliance.store.accounts import Account
from appliance.store.audit import Actor
from appliance.store.ledger import Ledger

TEST = Actor("cli:test")
NO_HASH = "no password leads to this"


def account(
    ledger: Ledger,
    name: str = "anna",
    role: Role = Role.ADMIN,
    grants: Mapping[str, Role] | None = None,
) -> Account:
    """An account that nobody can sign in to with a password; it may be there already."""
    if known := accounts.named(ledger, name):
        return known
    return people.enter(ledger, TEST, name, NO_HASH, role=role, grants=grants)


def secret(ledger: Ledger, of: Account) -> str:
    """A session of theirs: what its cookie holds."""
    return sessions.begin(ledger, of, address="127.0.0.1", browser="a test")


def cookie(
    ledger: Ledger,
    name: str = "anna",
    role: Role = Role.ADMIN,
    grants: Mapping[str, Role] | None = None,
) -> dict[str, str]:
    """The header that a new person's browser sends."""
    return {"Cookie": f"appliance={secret(ledger, account(ledger, name, role, grants))}"}


def key(ledger: Ledger, *scopes: Right, shares: Sequence[str] = (EVERY,)) -> dict[str, str]:
    """The header that a program sends."""
    text = keys.make(ledger, TEST, purpose="a test", scopes=scopes, shares=shares, days=1)
    return {"Authorization": f"Bearer {text}"}


def client(app: Flask, ledger: Ledger, name: str = "anna") -> FlaskClient:
    """Asks the pages as an admin, under whatever name of the box. Use it as a context manager."""
    asking = app.test_client(use_cookies=False)
    asking.environ_base["HTTP_COOKIE"] = cookie(ledger, name)["Cookie"]
    return asking
