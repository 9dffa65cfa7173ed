"""The shares: how each is, what a recording there is asked for, and a look at one right now.

Not here: watching them (appliance.watch), what the status page says of them (overview).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from appliance.errors import ApplianceError, NotAllowed
from appliance.nouns import Options
from appliance.report import spelled
from appliance.rights import EVERY, Right, Role
from appliance.settings import Share
from appliance.states import LIVE, State
from appliance.store import accounts, jobs, shares
from appliance.store.shares import ShareRow
from web import db, media
from web.access import sees
from web.access.asker import asker
from web.overview import in_sight

bp = Blueprint("shares", __name__, url_prefix="/shares")

_FAILED: Final = (State.FAILED, State.DEAD)


@dataclass(frozen=True, slots=True)
class Tested:
    """What a look at a share has found."""

    share: str
    milliseconds: int
    error: ApplianceError | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A share as its page shows it."""

    share: Share
    row: ShareRow
    options: Options
    counts: Mapping[State, int]
    people: tuple[str, ...] | None  # who may see it, but for admins; None: not yours to know
    may_test: bool

    @property
    def waiting(self) -> int:
        """How many of its recordings are not done yet."""
        return sum(self.counts.get(state, 0) for state in LIVE)

    @property
    def failed(self) -> int:
        """How many could not be done."""
        return sum(self.counts.get(state, 0) for state in _FAILED)

    @property
    def done(self) -> int:
        """How many are done."""
        return self.counts.get(State.DONE, 0)


@bp.get("")
def listing() -> ResponseReturnValue:
    """Every share that whoever asks may see."""
    return _page(None)


@bp.post("/<name>/test")
def test(name: str) -> ResponseReturnValue:
    """Look at a share now: is it there, is it the one we know, does it list its folder?"""
    share = db.settings().share_named(name)
    if share is None or not in_sight(name, sees()):
        abort(404)
    if not asker().rights.may(Right.OPERATE, name):
        raise NotAllowed
    begun, error = time.monotonic(), None
    try:
        media.listening().porters().look(share)
    except ApplianceError as found:
        error = spelled(found)
    return _page(Tested(name, round((time.monotonic() - begun) * 1000), error))


def _page(tested: Tested | None) -> str:
    settings, seen = db.settings(), sees()
    shown = [_shown(share) for share in settings.share if in_sight(share.name, seen)]
    return render_template("shares.html", shares=shown, tested=tested)


def _shown(share: Share) -> Shown:
    ledger, rights = db.ledger(), asker().rights
    people = None
    if asker().is_admin:
        people = tuple(
            one.name
            for one in accounts.listing(ledger)
            if one.role is not Role.ADMIN and one.grants.keys() & {share.name, EVERY}
        )
    return Shown(
        share,
        shares.get(ledger, share.name),
        db.settings().options_for(share),
        jobs.counts(ledger, shares=frozenset({share.name})),
        people,
        rights.may(Right.OPERATE, share.name),
    )
