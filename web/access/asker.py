"""Who comes: a person by their cookie, a program by its key, or nobody.

A key comes in the header `Authorization: Bearer` and nowhere else: what stands in an
address stands in logs. Where a key is sent, no cookie counts. Being on this machine, or
at the other end of the socket, makes nobody somebody.

Not here: what they may do (policy, appliance.rights), letting them in (gate).
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from flask import g, request
from werkzeug import Response

from appliance.accounts import keys, sessions
from appliance.accounts.sessions import SignedIn
from appliance.errors import ApplianceError, KeyRefused
from appliance.rights import NOTHING, Right, Rights, Shares, Sight
from appliance.store.audit import Actor
from appliance.store.keys import Key
from web import db

log = logging.getLogger(__name__)

_FOURTEEN_DAYS: Final = sessions.WHOLE_MS // 1000


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and what they may do."""

    who: str  # as the audit log spells it
    address: str  # of their machine; "" where it is not known
    rights: Rights = NOTHING
    signed_in: SignedIn | None = None
    key: Key | None = None

    @property
    def actor(self) -> Actor:
        """Them, for the audit log."""
        return Actor(self.who, self.address)

    @property
    def is_admin(self) -> bool:
        """Tell whether they may do everything; for what a page offers."""
        return self.rights.may(Right.ADMIN)


def identify() -> Asker:
    """Find out who comes. Raises KeyRefused for a key that opens nothing."""
    where = address()
    if sent := request.headers.get("Authorization"):
        kind, _, text = sent.partition(" ")
        if kind.lower() != "bearer":
            raise KeyRefused
        key = keys.recognise(db.ledger(), text.strip())
        _note(lambda: keys.see(db.ledger(), key))
        return Asker(f"key:{key.name}", where, key.rights, key=key)
    found = sessions.whose(db.ledger(), cookie) if (cookie := secret()) else None
    if found is None:
        return Asker("somebody", where)
    if request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
        # A page that is left open asks by itself; that is nobody who is there.
        _note(lambda: sessions.see(db.ledger(), found.session))
    who = f"user:{found.account.name}"
    return Asker(who, where, found.account.rights, signed_in=found)


def _note(write: Callable[[], None]) -> None:
    """Note when somebody was here; a ledger that takes no note lets them look all the same."""
    try:
        write()
    except ApplianceError as error:
        log.warning("%s", error, extra={"code": error.code})


def asker() -> Asker:
    """Who asks in this request; nobody, where it was not asked."""
    return cast(Asker, g.get("asker") or Asker("somebody", address()))


def person() -> SignedIn:
    """The person who asks, where the policy lets nobody else come."""
    found = asker().signed_in
    assert found is not None  # noqa: S101 - Door.PERSON
    return found


def sees() -> Shares:
    """What the asker may see: rows of some shares, and their own; None: every one."""
    who = asker()
    shares = who.rights.shares(Right.READ)
    return None if shares is None else Sight(shares, who.who)


def address() -> str:
    """The machine that asks. Behind a proxy on our socket, who that says has asked.

    Only a member of the socket's group can connect there. Anywhere else the header is a
    stranger's word and counts for nothing.
    """
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        found = ipaddress.ip_address(request.remote_addr or forwarded)
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


# --- the cookie ---------------------------------------------------------------------------------


def cookie_name() -> str:
    """Behind TLS, a name that no plain-text answer of the network can plant (`__Host-`)."""
    return "__Host-appliance" if request.is_secure else "appliance"


def secret() -> str:
    """What the cookie of this request holds."""
    return request.cookies.get(cookie_name(), "")


def remember(response: Response, session: str) -> Response:
    """Hand the browser the secret of its session. Secure follows how it really came."""
    response.set_cookie(
        cookie_name(),
        session,
        max_age=_FOURTEEN_DAYS,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return response


def forget(response: Response) -> Response:
    """Take it back."""
    response.delete_cookie(cookie_name(), secure=request.is_secure, httponly=True, samesite="Lax")
    return response
