"""Keys of programs, for admins: made, rotated, revoked; the whole of one is shown once.

Not here: what a scope allows (appliance.rights).
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.accounts import keys
from appliance.errors import AccessError
from appliance.rights import Right
from appliance.store import keys as rows
from web import db
from web.access.asker import asker
from web.access.entry import field
from web.access.people import shares_there_are
from web.failures import status_of

bp = Blueprint("programs", __name__, url_prefix="/admin/keys")

_LIVES: Final = (30, 90, 365)  # days
_USUAL: Final = 90
_DONE: Final = {"revoked": "That key opens nothing any more."}


@bp.get("")
def listing() -> ResponseReturnValue:
    """Every key there ever was."""
    return _page(None)


def _page(error: AccessError | None) -> ResponseReturnValue:
    page = render_template(
        "access/keys.html",
        keys=list(rows.listing(db.ledger())),
        now_ms=db.ledger().clock().wall_ms,
        scopes=list(Right),
        shares=shares_there_are(),
        lives=_LIVES,
        usual=_USUAL,
        overlap=round(keys.OVERLAP_HOURS),
        error=error,
        done=_DONE.get(request.args.get("done", "")),
    )
    return page, status_of(error)


@bp.post("")
def make() -> ResponseReturnValue:
    """A new key."""
    scopes = [Right(word) for word in request.form.getlist("scope") if word in set(Right)]
    shares = [name for name in request.form.getlist("share") if name in shares_there_are()]
    if not scopes or not shares:
        abort(400, "A key needs at least one scope and one share.")
    days = request.form.get("days", _USUAL, type=int)
    text = keys.make(
        db.ledger(),
        asker().actor,
        purpose=field("purpose").strip() or "no purpose given",
        scopes=scopes,
        shares=shares,
        days=min(max(days, 1), 3650),
    )
    return render_template("access/key.html", text=text)


@bp.post("/<name>/rotate")
def rotate(name: str) -> ResponseReturnValue:
    """A key in the place of this one."""
    try:
        text = keys.rotate(db.ledger(), asker().actor, name)
    except AccessError as error:
        return _page(error)
    return render_template("access/key.html", text=text, overlap=round(keys.OVERLAP_HOURS))


@bp.post("/<name>/revoke")
def revoke(name: str) -> ResponseReturnValue:
    """Let it open nothing any more."""
    try:
        keys.revoke(db.ledger(), asker().actor, name)
    except AccessError as error:
        return _page(error)
    return redirect(url_for("programs.listing", done="revoked"), 303)
