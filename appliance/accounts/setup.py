"""The first admin: whoever sees the console of the box gets a code, and no other way leads in.

There is no default password, and the first visitor is nobody special. A code is good
once, for a day, and only while the box has no admin; making another voids it.

Not here: showing it (cli), who may come to the page that asks for it (web.access).
"""

from __future__ import annotations

from typing import Final

from appliance.accounts import people
from appliance.credentials import tokens
from appliance.errors import CodeWrong, SetUpAlready
from appliance.rights import Role
from appliance.store import accounts, audit, setup_codes
from appliance.store.accounts import Account
from appliance.store.audit import Actor
from appliance.store.ledger import Ledger

_LIFE_MS: Final = 24 * 3600 * 1000


def is_needed(ledger: Ledger) -> bool:
    """Tell whether nobody could let anybody in."""
    return accounts.admins(ledger) == 0


def new_code(ledger: Ledger, actor: Actor) -> str:
    """A code for the console, in place of any before it. Raises SetUpAlready."""
    code = tokens.code()
    with ledger.writing():
        if not is_needed(ledger):
            raise SetUpAlready
        expires_ms = ledger.clock().wall_ms + _LIFE_MS
        setup_codes.put(ledger, tokens.digest(tokens.as_meant(code)), expires_ms=expires_ms)
        audit.add(ledger, actor, "setup-code-made")
    return code


def redeem(ledger: Ledger, code: str, *, name: str, password: str, address: str) -> Account:
    """Make the first admin. Raises CodeWrong, SetUpAlready, NameUnfit, NameTaken, PasswordWeak."""
    _judge(ledger, code)  # before a password is hashed for a stranger
    actor = Actor(f"user:{people.fitting(name)}", address)
    hashed = people.hashed(password, name=name)
    with ledger.writing():
        _judge(ledger, code)  # somebody else may have come first meanwhile
        setup_codes.forget(ledger)
        account = people.enter(ledger, actor, name, hashed, role=Role.ADMIN)
        audit.add(ledger, actor, "set-up", f"user:{account.name}")
    return account


def _judge(ledger: Ledger, code: str) -> None:
    if not is_needed(ledger):
        raise SetUpAlready
    known = setup_codes.digest(ledger, now_ms=ledger.clock().wall_ms)
    if known is None or not tokens.same(tokens.digest(tokens.as_meant(code)), known):
        raise CodeWrong
