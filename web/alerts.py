"""What people were told is wrong with the box, and what is over.

Not here: opening and closing alerts (appliance.alarm), what needs somebody now (needs).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from appliance import alarm
from appliance.rights import Shares, Sight
from appliance.store import alerts
from appliance.store.alerts import Alert
from web import db
from web.access import sees

bp = Blueprint("alerts", __name__)

_OVER: Final = 50
_OF_SHARES: Final = frozenset({"share", "adoption"})


@bp.get("/alerts")
def listing() -> ResponseReturnValue:
    """What is wrong now, and what was."""
    ledger, seen = db.ledger(), sees()
    firing = alarm.firing(ledger, db.settings().run_dir)
    return render_template(
        "alerts.html",
        firing=_concerning(firing, seen),
        over=_concerning(alerts.closed(ledger, limit=_OVER), seen),
        channels=[one.name for one in db.settings().notify.channel],
    )


def _concerning(found: Iterable[Alert], seen: Shares) -> list[Alert]:
    """Those that whoever sees these shares may know of: the box's own, and those of a share.

    What failed in all shares together is told to who sees all.
    """
    if seen is None:
        return list(found)
    named = seen.shares if isinstance(seen, Sight) else seen
    return [one for one in found if _concerns(one, named)]


def _concerns(alert: Alert, seen: frozenset[str]) -> bool:
    if alert.code in _OF_SHARES:
        return alert.name.removeprefix(f"{alert.code} ") in seen
    return alert.code != "jobs"
