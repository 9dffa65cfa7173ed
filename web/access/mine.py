"""My account: what I may do, my password, where I am signed in.

Not here: everybody else's (people).
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.accounts import people, sessions
from appliance.errors import AccessError
from appliance.store import sessions as rows
from web import db
from web.access import throttle
from web.access.asker import address, asker, person, remember
from web.access.entry import field
from web.failures import status_of

bp = Blueprint("mine", __name__, url_prefix="/account")

_DONE: Final = {
    "password": "Your password is changed. Every other session of yours was signed out.",
    "session": "That session was signed out.",
    "others": "Every other session of yours was signed out.",
}


@bp.get("")
def account() -> ResponseReturnValue:
    """The page."""
    return _page(None)


def _page(error: AccessError | None) -> ResponseReturnValue:
    who = person()
    page = render_template(
        "access/account.html",
        who=who,
        sessions=list(rows.listing(db.ledger(), who.account.id)),
        error=error,
        done=_DONE.get(request.args.get("done", "")),
    )
    return page, status_of(error)


@bp.post("/password")
def change_password() -> ResponseReturnValue:
    """Another password; this session goes on under another secret, the others end."""
    who, where = person(), address()
    try:
        with throttle.attempt(who.account.name, where):
            account = people.change_password(
                db.ledger(),
                asker().actor,
                who.account,
                old=field("old"),
                new=request.form.get("new", ""),
                session=who.session.id,
            )
            secret = sessions.begin(
                db.ledger(),
                account,
                address=where,
                browser=who.session.browser,
                instead=who.session.id,
            )
    except AccessError as error:
        return _page(error)
    return remember(redirect(url_for("mine.account", done="password"), 303), secret)


@bp.post("/sessions/<int:number>/end")
def end_session(number: int) -> ResponseReturnValue:
    """Sign out one of my browsers."""
    who = person()
    found = rows.get(db.ledger(), number)
    if found is None or found.account != who.account.id:
        abort(404)
    sessions.end(db.ledger(), asker().actor, found, of=who.account.name)
    return redirect(url_for("mine.account", done="session"), 303)


@bp.post("/sessions/end")
def end_others() -> ResponseReturnValue:
    """Sign out everywhere but here."""
    who = person()
    sessions.end_all(db.ledger(), asker().actor, who.account, but=who.session.id)
    return redirect(url_for("mine.account", done="others"), 303)
