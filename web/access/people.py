"""Accounts and sessions, for admins.

Not here: one's own (mine), what a role allows (appliance.rights).
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.accounts import people, sessions
from appliance.errors import AccessError
from appliance.rights import EVERY, GRANTED, Role
from appliance.store import accounts
from appliance.store import sessions as rows
from appliance.store.accounts import Account
from web import db
from web.access.asker import asker
from web.access.entry import field
from web.failures import status_of

bp = Blueprint("people", __name__, url_prefix="/admin")

_DONE: Final = {
    "changed": "Changed. That person signs in again.",
    "removed": "That account is gone, and signed out everywhere.",
    "session": "That session was signed out.",
}


def shares_there_are() -> list[str]:
    """What may be granted: every share, then each by its name."""
    return [EVERY, *(one.name for one in db.settings().watched)]


@bp.get("/users")
def listing() -> ResponseReturnValue:
    """Everybody."""
    return _everybody(None)


def _everybody(error: AccessError | None) -> ResponseReturnValue:
    page = render_template(
        "access/people.html",
        people=list(accounts.listing(db.ledger())),
        roles=list(Role),
        granted=GRANTED,
        shares=shares_there_are(),
        error=error,
        name=field("name"),
        done=_DONE.get(request.args.get("done", "")),
    )
    return page, status_of(error)


@bp.post("/users")
def add() -> ResponseReturnValue:
    """Somebody new, with a password to hand over: shown once, and changed by its owner."""
    try:
        account, password = people.add(
            db.ledger(), asker().actor, field("name"), None, role=_role(), grants=_grants()
        )
    except AccessError as error:
        return _everybody(error)
    return _handed(account, password)


@bp.get("/users/<int:number>")
def one(number: int) -> ResponseReturnValue:
    """One account, to be changed."""
    return _one(_account(number), None)


def _one(account: Account, error: AccessError | None) -> ResponseReturnValue:
    page = render_template(
        "access/person.html",
        account=account,
        roles=list(Role),
        granted=GRANTED,
        shares=list(dict.fromkeys((*shares_there_are(), *account.grants))),
        error=error,
    )
    return page, status_of(error)


@bp.post("/users/<int:number>")
def change(number: int) -> ResponseReturnValue:
    """Another role, other shares."""
    account = _account(number)
    try:
        people.change(db.ledger(), asker().actor, account, role=_role(), grants=_grants())
    except AccessError as error:
        return _one(account, error)
    return redirect(url_for("people.listing", done="changed"), 303)


@bp.post("/users/<int:number>/password")
def reset(number: int) -> ResponseReturnValue:
    """A password to hand over, in the old one's place."""
    account = _account(number)
    return _handed(account, people.reset(db.ledger(), asker().actor, account))


@bp.post("/users/<int:number>/remove")
def remove(number: int) -> ResponseReturnValue:
    """Forget an account."""
    account = _account(number)
    try:
        people.remove(db.ledger(), asker().actor, account)
    except AccessError as error:
        return _one(account, error)
    return redirect(url_for("people.listing", done="removed"), 303)


@bp.get("/sessions", endpoint="sessions")
def signed_in() -> ResponseReturnValue:
    """Who is signed in, and where."""
    names = {account.id: account.name for account in accounts.listing(db.ledger())}
    now = db.ledger().clock().wall_ms
    alive = [one for one in rows.listing(db.ledger()) if sessions.is_alive(one, now)]
    return render_template(
        "access/sessions.html",
        sessions=alive,
        names=names,
        done=_DONE.get(request.args.get("done", "")),
    )


@bp.post("/sessions/<int:number>/end")
def end_session(number: int) -> ResponseReturnValue:
    """Sign somebody's browser out."""
    found = rows.get(db.ledger(), number) or abort(404)
    owner = accounts.get(db.ledger(), found.account) or abort(404)
    sessions.end(db.ledger(), asker().actor, found, of=owner.name)
    return redirect(url_for("people.sessions", done="session"), 303)


def _handed(account: Account, password: str) -> ResponseReturnValue:
    return render_template("access/handed.html", account=account, password=password)


def _account(number: int) -> Account:
    found = accounts.get(db.ledger(), number) if number < 1 << 63 else None
    if found is None:
        abort(404)
    return found


def _role() -> Role:
    word = field("role")
    if word not in set(Role):
        abort(400, "There is no such role.")
    return Role(word)


def _grants() -> dict[str, Role]:
    """What the form says of each share: nothing, viewer or operator."""
    found: dict[str, Role] = {}
    for key, word in request.form.items():
        share = key.removeprefix("share:")
        if share == key or not word:
            continue
        if word not in set(GRANTED):
            abort(400, "There is no such role in a share.")
        found[share[:100]] = Role(word)
    return found
