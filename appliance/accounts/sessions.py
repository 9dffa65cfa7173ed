"""Signing in, and what keeps a session alive: twelve hours without a look, fourteen days in all.

The cookie holds 256 random bits and means nothing by itself; the row decides. It is made
anew whenever the password is given, so that a cookie planted before is worth nothing.

Not here: the cookie (web.access), how often somebody may try (web.access.throttle).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from appliance.credentials import passwords, tokens
from appliance.errors import SignInWrong
from appliance.store import accounts, audit
from appliance.store import sessions as rows
from appliance.store.accounts import Account
from appliance.store.audit import Actor
from appliance.store.ledger import Ledger
from appliance.store.sessions import Session

IDLE_MS: Final = 12 * 3600 * 1000
WHOLE_MS: Final = 14 * 24 * 3600 * 1000
_PROVEN_MS: Final = 10 * 60 * 1000  # for so long a password that was given counts as just given
_SEEN_MS: Final = 5 * 60 * 1000  # finer than that nobody needs to know when somebody was here
_MOST_BROWSER: Final = 200  # characters


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that is alive, and whose it is."""

    session: Session
    account: Account


def sign_in(ledger: Ledger, name: str, password: str, *, address: str, browser: str) -> str:
    """Begin a session; the cookie's secret. Raises SignInWrong, whatever it was that is wrong."""
    account = accounts.named(ledger, name.strip().lower())
    if not passwords.matches(password, account.password if account else None) or account is None:
        # The name of nobody is not written down: people type their password there.
        about = f"user:{account.name}" if account else "nobody"
        audit.add(ledger, Actor("somebody", address), "sign-in-failed", about)
        raise SignInWrong
    if passwords.is_outdated(account.password):
        again = passwords.hashed(password)
        with ledger.writing():
            if not accounts.is_unchanged(ledger, account):
                raise SignInWrong
            accounts.set_password(ledger, account.id, again, handed=account.handed)
        account = replace(account, password=again)
    return begin(ledger, account, address=address, browser=browser)


def begin(
    ledger: Ledger, account: Account, *, address: str, browser: str, instead: int | None = None
) -> str:
    """A session for somebody who has just given the password; `instead` of which one ends.

    Judging one takes a while: raises SignInWrong where it is another by now, or that session
    has been ended.
    """
    secret = tokens.session()
    now = ledger.clock().wall_ms
    with ledger.writing():
        if not accounts.is_unchanged(ledger, account):
            raise SignInWrong
        if instead is not None and not rows.end(ledger, instead):
            raise SignInWrong
        rows.expire(ledger, seen_before_ms=now - IDLE_MS, began_before_ms=now - WHOLE_MS)
        shown = browser[:_MOST_BROWSER]
        rows.add(ledger, tokens.digest(secret), account.id, address=address, browser=shown)
        audit.add(ledger, Actor(f"user:{account.name}", address), "signed-in")
    return secret


def confirm(ledger: Ledger, who: SignedIn, password: str, *, address: str, browser: str) -> str:
    """Give the password once more: a new session in the old one's place. Raises SignInWrong."""
    if not passwords.matches(password, who.account.password):
        actor = Actor(f"user:{who.account.name}", address)
        audit.add(ledger, actor, "sign-in-failed", actor.who)
        raise SignInWrong
    return begin(ledger, who.account, address=address, browser=browser, instead=who.session.id)


def whose(ledger: Ledger, secret: str) -> SignedIn | None:
    """Who comes with that cookie; None when its session has ended or never was."""
    session = rows.found(ledger, tokens.digest(secret))
    if session is None or not is_alive(session, ledger.clock().wall_ms):
        return None
    account = accounts.get(ledger, session.account)
    return None if account is None else SignedIn(session, account)


def is_alive(session: Session, now_ms: int) -> bool:
    """Tell whether a session still counts."""
    return now_ms - session.seen_ms < IDLE_MS and now_ms - session.began_ms < WHOLE_MS


def is_proven(session: Session, now_ms: int) -> bool:
    """Tell whether the password was given a moment ago, as for changing accounts and keys."""
    return 0 <= now_ms - session.proven_ms < _PROVEN_MS


def see(ledger: Ledger, session: Session) -> None:
    """Note that its person is there, every few minutes: a look at a page is no write."""
    if ledger.clock().wall_ms - session.seen_ms >= _SEEN_MS:
        rows.see(ledger, session.id)


def end(ledger: Ledger, actor: Actor, session: Session, *, of: str) -> None:
    """End a session of the account named `of`."""
    with ledger.writing():
        if rows.end(ledger, session.id):
            audit.add(ledger, actor, "signed-out", f"user:{of}")


def end_all(ledger: Ledger, actor: Actor, account: Account, *, but: int | None = None) -> int:
    """End every session of an account, except one; say how many."""
    with ledger.writing():
        count = rows.end_all(ledger, account.id, but=but)
        audit.add(ledger, actor, "signed-out-everywhere", f"user:{account.name}", sessions=count)
    return count
