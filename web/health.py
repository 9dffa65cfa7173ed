"""For machines that watch the box: is it alive, can it take work.

Answers say pass or fail; who is signed in, or comes with a key, is told the names of what
failed as well, never a path, a share or a file.

Not here: the questions themselves (appliance.health.ready).
"""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from appliance.rights import Right
from web import asked
from web.access.asker import asker

bp = Blueprint("health", __name__)


@bp.get("/livez", endpoint="livez")
@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Alive: this process answers."""
    return {"status": "pass"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Can take work: 200, or 503 with the checks that fail."""
    found = asked.answers()
    checks = {
        name: {"status": "fail", "code": trouble.code} if trouble else {"status": "pass"}
        for name, trouble in found.items()
    }
    well = not any(found.values())
    told = {"checks": checks} if asker().rights.may(Right.READ) else {}
    return {"status": "pass" if well else "fail", **told}, 200 if well else 503
