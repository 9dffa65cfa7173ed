"""The way in and out: set up, sign in, confirm the password, sign out.

Not here: judging a password (appliance.accounts), how often one may try (throttle).
"""

from __future__ import annotations

import ipaddress
from typing import Final

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.accounts import sessions, setup
from appliance.errors import AccessError, CodeWrong
from web import db
from web.access import throttle
from web.access.asker import address, asker, forget, person, remember
from web.access.origin import is_ours
from web.failures import status_of

bp = Blueprint("entry", __name__)

_MOST: Final = 300  # characters of any field


def field(name: str) -> str:
    """What somebody has typed there, and no more of it than a field holds."""
    return request.form.get(name, "")[:_MOST]


def _there(fallback: str) -> str:
    """Where they wanted to go when they were asked to sign in."""
    wanted = request.values.get("next", "")[:2000]
    return wanted if is_ours(wanted) else fallback


def _browser() -> str:
    return request.headers.get("User-Agent", "")


@bp.get("/login")
def login() -> ResponseReturnValue:
    """Ask for name and password."""
    if asker().signed_in is not None:
        return redirect(_there(url_for("pages.status")), 303)
    if setup.is_needed(db.ledger()):
        return redirect(url_for("entry.setup"), 303)
    return _ask_to_sign_in(None)


@bp.post("/login")
def sign_in() -> ResponseReturnValue:
    """Judge them."""
    name, where = field("name"), address()
    try:
        with throttle.attempt(name, where):
            secret = sessions.sign_in(
                db.ledger(), name, field("password"), address=where, browser=_browser()
            )
    except AccessError as error:
        return _ask_to_sign_in(error)
    return remember(redirect(_there(url_for("pages.status")), 303), secret)


def _ask_to_sign_in(error: AccessError | None) -> ResponseReturnValue:
    page = render_template("access/login.html", error=error, name=field("name"), next=_there(""))
    return page, status_of(error)


@bp.get("/confirm")
def confirm() -> ResponseReturnValue:
    """Ask for the password once more, before accounts and keys are changed."""
    return _ask_to_confirm(None)


@bp.post("/confirm")
def confirmed() -> ResponseReturnValue:
    """Judge it; the session goes on under another secret."""
    who, where = person(), address()
    try:
        with throttle.attempt(who.account.name, where):
            secret = sessions.confirm(
                db.ledger(), who, field("password"), address=where, browser=_browser()
            )
    except AccessError as error:
        return _ask_to_confirm(error)
    return remember(redirect(_there(url_for("pages.status")), 303), secret)


def _ask_to_confirm(error: AccessError | None) -> ResponseReturnValue:
    page = render_template("access/confirm.html", error=error, next=_there(""))
    return page, status_of(error)


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    """End this session."""
    who = person()
    sessions.end(db.ledger(), asker().actor, who.session, of=who.account.name)
    return forget(redirect(url_for("entry.login"), 303))


# --- the first admin ----------------------------------------------------------------------------


@bp.get("/setup", endpoint="setup")
def ask_for_code() -> ResponseReturnValue:
    """Ask for the code from the console, and for the first admin."""
    if not setup.is_needed(db.ledger()):
        return redirect(url_for("entry.login"), 303)
    return _ask_for_code(None)


@bp.post("/setup")
def set_up() -> ResponseReturnValue:
    """Make the first admin, who is signed in at once."""
    where = address()
    if not _is_near(where):
        return _ask_for_code(CodeWrong())
    try:
        with throttle.attempt("setup code", where, wrong=CodeWrong):
            account = setup.redeem(
                db.ledger(),
                field("code"),
                name=field("name"),
                password=field("password"),
                address=where,
            )
    except AccessError as error:
        return _ask_for_code(error)
    secret = sessions.begin(db.ledger(), account, address=where, browser=_browser())
    return remember(redirect(url_for("pages.status"), 303), secret)


def _ask_for_code(error: AccessError | None) -> ResponseReturnValue:
    page = render_template(
        "access/setup.html", error=error, code=field("code"), name=field("name") or "admin"
    )
    return page, status_of(error)


def _is_near(where: str) -> bool:
    """Tell whether an address is of this house; unknown means: of this machine."""
    return not where or ipaddress.ip_address(where).is_private
