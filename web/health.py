"""For machines that watch the box: is it alive, can it take work.

Answers say pass, warn or fail and the names of the checks, never a path, a share or a file.

Not here: the questions themselves (appliance.health.checks).
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint
from flask.typing import ResponseReturnValue

from appliance.health.finding import Finding, Level
from web import asked

bp = Blueprint("health", __name__)

_STATUS: Final = {Level.OK: "pass", Level.WARN: "warn", Level.FAIL: "fail"}


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Alive: this process answers."""
    return {"status": "pass"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Can take work: 200, or 503; with every check, the worst of several."""
    seen = asked.seen()
    checks = {code: _row(one) for code, one in seen.worst.items()}
    return {
        "status": "pass" if seen.ready else "fail",
        "checks": checks,
    }, 200 if seen.ready else 503


def _row(one: Finding) -> dict[str, str]:
    row = {"status": _STATUS[one.level]}
    return row | {"code": one.error} if one.error else row
