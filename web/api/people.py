"""Accounts, sessions, keys and the audit log, for admins of every share.

A person gives the password again first; a program needs a key of scope admin for every share.
A password or key that is made is told once.

Not here: their rules (appliance.accounts), the same as pages (access).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from flask import Response, abort
from pydantic import BaseModel, Field

from appliance.accounts import keys, people, sessions
from appliance.errors import RequestUnfit
from appliance.report import shown
from appliance.rights import EVERY, Right, Role
from appliance.store import accounts, audit
from appliance.store import keys as key_rows
from appliance.store import sessions as session_rows
from appliance.store.accounts import Account
from appliance.store.keys import Key
from web import db, words
from web.access.asker import asker
from web.api.asked import BeforeQuery, KeyBody, NamePath, NumberPath, UserBody, UserPatch
from web.api.document import part, problems, told

bp = part("people", "Accounts, sessions, keys and the audit log.")


# --- accounts -----------------------------------------------------------------------------------


class UserRow(BaseModel):
    """An account."""

    id: int
    name: str
    role: Role
    grants: dict[str, Role] = Field(description="By share; * is every one, those to come too.")
    handed: bool = Field(description="Somebody else knows the password; it is to be changed.")
    created_at: str


class UserPage(BaseModel):
    """Everybody."""

    users: list[UserRow]


class HandedRow(BaseModel):
    """An account whose password was made here: told once, changed by its owner."""

    user: UserRow
    password: str


_CONFLICT: Final = problems(HTTPStatus.CONFLICT)


@bp.get("/users", responses={200: UserPage})
def users() -> Response:
    """Everybody."""
    return told(UserPage(users=[_user_row(one) for one in accounts.listing(db.ledger())]))


@bp.post("/users", responses={201: HandedRow, **_CONFLICT})
def add_user(body: UserBody) -> Response:
    """Somebody new, with a password to hand over."""
    _known(body.grants)
    account, password = people.add(
        db.ledger(), asker().actor, body.name, None, role=body.role, grants=body.grants
    )
    return told(HandedRow(user=_user_row(account), password=password), HTTPStatus.CREATED)


@bp.get("/users/<int:number>", responses={200: UserRow})
def one_user(path: NumberPath) -> Response:
    """One account."""
    return told(_user_row(_account(path.number)))


@bp.patch("/users/<int:number>", responses={200: UserRow, **_CONFLICT})
def change_user(path: NumberPath, body: UserPatch) -> Response:
    """Another role, other shares; that person signs in again."""
    account = _account(path.number)
    _known({} if body.grants is None else body.grants)
    people.change(
        db.ledger(),
        asker().actor,
        account,
        role=body.role or account.role,
        grants=account.grants if body.grants is None else body.grants,
    )
    return told(_user_row(_account(path.number)))


@bp.post("/users/<int:number>/password", responses={200: HandedRow})
def reset_password(path: NumberPath) -> Response:
    """A password to hand over, in the old one's place; every session of theirs ends."""
    account = _account(path.number)
    password = people.reset(db.ledger(), asker().actor, account)
    return told(HandedRow(user=_user_row(_account(path.number)), password=password))


@bp.delete("/users/<int:number>", responses={200: UserPage, **_CONFLICT})
def remove_user(path: NumberPath) -> Response:
    """Forget an account; every session of theirs ends."""
    people.remove(db.ledger(), asker().actor, _account(path.number))
    return told(UserPage(users=[_user_row(one) for one in accounts.listing(db.ledger())]))


def _account(number: int) -> Account:
    return accounts.get(db.ledger(), number) or abort(404)


def _known(shares: Iterable[str]) -> None:
    """Raise RequestUnfit for a share that this box does not have."""
    there = {EVERY, *(one.name for one in db.settings().share)}
    for name in shares:
        if name not in there:
            raise RequestUnfit(where="shares", why=f"there is no {shown(name[:100])}")


def _user_row(one: Account) -> UserRow:
    return UserRow(
        id=one.id,
        name=one.name,
        role=one.role,
        grants=dict(one.grants),
        handed=one.handed,
        created_at=words.iso(one.created_ms),
    )


# --- sessions -----------------------------------------------------------------------------------


class SessionRow(BaseModel):
    """A browser in which somebody is signed in."""

    id: int
    user: str | None
    address: str
    browser: str
    began_at: str
    seen_at: str


class SessionPage(BaseModel):
    """Who is signed in, and where."""

    sessions: list[SessionRow]


@bp.get("/sessions", responses={200: SessionPage})
def all_sessions() -> Response:
    """Who is signed in, and where."""
    return told(_sessions())


@bp.delete("/sessions/<int:number>", responses={200: SessionPage})
def end_session(path: NumberPath) -> Response:
    """Sign somebody's browser out."""
    found = session_rows.get(db.ledger(), path.number) or abort(404)
    owner = accounts.get(db.ledger(), found.account) or abort(404)
    sessions.end(db.ledger(), asker().actor, found, of=owner.name)
    return told(_sessions())


def _sessions() -> SessionPage:
    ledger = db.ledger()
    names = {one.id: one.name for one in accounts.listing(ledger)}
    now = ledger.clock().wall_ms
    return SessionPage(
        sessions=[
            SessionRow(
                id=one.id,
                user=names.get(one.account),
                address=one.address,
                browser=shown(one.browser),
                began_at=words.iso(one.began_ms),
                seen_at=words.iso(one.seen_ms),
            )
            for one in session_rows.listing(ledger)
            if sessions.is_alive(one, now)
        ]
    )


# --- keys ---------------------------------------------------------------------------------------


class KeyRow(BaseModel):
    """A key of a program; the part that opens something is not kept."""

    name: str
    purpose: str
    scopes: list[Right]
    shares: list[str]
    made_by: str
    open: bool
    created_at: str
    expires_at: str | None
    used_at: str | None
    revoked_at: str | None
    successor: str | None


class KeyPage(BaseModel):
    """Every key there ever was."""

    keys: list[KeyRow]


class MadeRow(BaseModel):
    """A key that was made here."""

    key: str = Field(description="The whole of it, told once.")


@bp.get("/keys", responses={200: KeyPage})
def all_keys() -> Response:
    """Every key there ever was."""
    return told(_keys())


@bp.post("/keys", responses={201: MadeRow})
def make_key(body: KeyBody) -> Response:
    """A new key."""
    _known(body.shares)
    text = keys.make(
        db.ledger(),
        asker().actor,
        purpose=body.purpose,
        scopes=body.scopes,
        shares=body.shares,
        days=body.days,
    )
    return told(MadeRow(key=text), HTTPStatus.CREATED)


@bp.post("/keys/<name>/rotate", responses={201: MadeRow})
def rotate_key(path: NamePath) -> Response:
    """A key in the place of this one, which opens the same for 24 hours more."""
    return told(MadeRow(key=keys.rotate(db.ledger(), asker().actor, path.name)), HTTPStatus.CREATED)


@bp.delete("/keys/<name>", responses={200: KeyPage})
def revoke_key(path: NamePath) -> Response:
    """Let a key open nothing any more, at once."""
    keys.revoke(db.ledger(), asker().actor, path.name)
    return told(_keys())


def _keys() -> KeyPage:
    now = db.ledger().clock().wall_ms
    return KeyPage(keys=[_key_row(one, now) for one in key_rows.listing(db.ledger())])


def _key_row(one: Key, now_ms: int) -> KeyRow:
    return KeyRow(
        name=one.name,
        purpose=shown(one.purpose),
        scopes=list(one.scopes),
        shares=list(one.shares),
        made_by=one.who,
        open=one.is_open(now_ms),
        created_at=words.iso(one.created_ms),
        expires_at=_at(one.expires_ms),
        used_at=_at(one.used_ms),
        revoked_at=_at(one.revoked_ms),
        successor=one.successor,
    )


def _at(ms: int | None) -> str | None:
    return None if ms is None else words.iso(ms)


# --- the audit log ------------------------------------------------------------------------------


class DeedRow(BaseModel):
    """An entry of the audit log."""

    n: int
    at: str
    who: str
    address: str
    did: str
    about: str
    detail: dict[str, Any]
    hash: str


class DeedPage(BaseModel):
    """Entries, the newest first."""

    entries: list[DeedRow]
    next_before: int | None = Field(description="Where the next page begins; null: this was all.")


@bp.get("/audit", responses={200: DeedPage})
def deeds(query: BeforeQuery) -> Response:
    """Who did what, the newest first."""
    found = audit.page(db.ledger(), before=query.before, limit=query.limit + 1)
    entries = [
        DeedRow(
            n=one.n,
            at=words.iso(one.at_ms),
            who=one.who,
            address=one.address,
            did=one.did,
            about=shown(one.about),
            detail=json.loads(one.detail),
            hash=one.hash,
        )
        for one in found[: query.limit]
    ]
    more = len(found) > query.limit
    return told(DeedPage(entries=entries, next_before=entries[-1].n if more else None))
