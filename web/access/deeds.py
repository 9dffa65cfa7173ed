"""The audit log, for admins: who did what, the newest first.

Not here: walking along its chain, which reads all of it (`appliance audit verify`).
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.store import audit
from web import db

bp = Blueprint("deeds", __name__, url_prefix="/admin/audit")

_PAGE: Final = 100
_MOST: Final = 1 << 63


@bp.get("")
def listing() -> ResponseReturnValue:
    """A page of it, from ?before= on."""
    before = request.args.get("before", type=int)
    if before is not None and not 0 < before < _MOST:
        before = None
    found = audit.page(db.ledger(), before=before, limit=_PAGE + 1)
    older = url_for("deeds.listing", before=found[_PAGE - 1].n) if len(found) > _PAGE else None
    return render_template("access/audit.html", entries=found[:_PAGE], older=older, before=before)
