"""For machines that watch the box: is it alive, can it take work.

Answers say pass, warn or fail; who is signed in, or comes with a key, is told the names of the
checks and how jobs are held to their limits as well, never a path, a share or a file.

Not here: the questions themselves (appliance.health.checks).
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint
from flask.typing import ResponseReturnValue

from appliance.health import holding
from appliance.health.finding import Finding, Level
from appliance.rights import Right
from web import asked, db
from web.access.asker import asker

bp = Blueprint("health", __name__)

_STATUS: Final = {Level.OK: "pass", Level.WARN: "warn", Level.FAIL: "fail"}


@bp.get("/livez", endpoint="livez")
@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Alive: this process answers."""
    return {"status": "pass"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Can take work: 200, or 503; with every check, the worst of several, for whoever may read."""
    seen = asked.seen()
    checks = {code: _row(one) for code, one in seen.worst.items()}
    limits = holding.known(db.settings().run_dir)
    told = {"checks": checks, "limits": limits} if asker().rights.may(Right.READ) else {}
    return {"status": "pass" if seen.ready else "fail", **told}, 200 if seen.ready else 503


def _row(one: Finding) -> dict[str, str]:
    row = {"status": _STATUS[one.level]}
    return row | {"code": one.error} if one.error else row
