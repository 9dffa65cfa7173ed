"""Channels to people and programs, for admins: plain forms, a page for each.

An address and a secret are typed and never shown again; fields that are left empty keep them. A
test is a letter like any other, which the one process that may sends within seconds.

Not here: what may be said (appliance.choices), the same for programs (web.api.channels).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.alarm.words import of_a_test
from appliance.choices import channels
from appliance.choices.channels import Standing
from appliance.errors import ApplianceError, ChoiceError
from appliance.health.telling import RESTS_AFTER
from appliance.settings import Channel
from appliance.store import audit, outbox
from web import db
from web.access.asker import asker
from web.access.entry import field
from web.failures import status_of
from web.fitting import fitting

bp = Blueprint("channels", __name__, url_prefix="/admin/channels")

_DONE: Final = {
    "made": "The channel is there. A test tells whether it works.",
    "changed": "Kept.",
    "back": "What the files say holds again.",
    "gone": "That channel is gone.",
    "test": "A test is on its way; look again in a moment.",
}
_KINDS: Final = {"ntfy": "ntfy", "email": "e-mail", "webhook": "webhook, for a program"}
_JOBS: Final = {
    "never": "of none",
    "failed": "of those that could not be done",
    "all": "of all that ended",
    "daily": "how many, once a day",
}
_NEW: Final[Mapping[str, Any]] = {
    "kind": "ntfy",
    "user": "",
    "sender": None,
    "to": [],
    "alerts": True,
    "jobs": "never",
    "shares": [],
    "names": False,
}
_GIVEN: Final = "given"  # in the place of a secret, where its being there is all that counts
_SHOWN: Final = 5
_MANY: Final = 200
_LONGEST: Final = 4096


@bp.get("")
def listing() -> ResponseReturnValue:
    """Every channel, and a form for another one."""
    return _listing(None, {})


@bp.post("")
def make() -> ResponseReturnValue:
    """A new channel."""
    typed, name, secret = _typed(), field("name").strip(), _long("secret")
    try:
        said = {**typed, "name": name, "url": _long("url")}
        channel = _fitting(said, has_secret=bool(secret))
        channels.make(db.ledger(), db.files(), asker().actor, channel, secret)
    except ChoiceError as error:
        return _listing(error, {**typed, "name": name})
    return redirect(url_for("channels.one", name=name, done="made"), 303)


def _listing(error: ApplianceError | None, typed: Mapping[str, Any]) -> ResponseReturnValue:
    page = render_template(
        "access/channels.html",
        channels=channels.listing(db.ledger(), db.files()),
        typed={**_NEW, **typed},
        **_offered(),
        error=error,
        done=_DONE.get(request.args.get("done", "")),
    )
    return page, status_of(error)


@bp.get("/<name>")
def one(name: str) -> ResponseReturnValue:
    """One channel, to be changed, and what was sent over it."""
    return _one(_seen(name), None)


@bp.post("/<name>")
def change(name: str) -> ResponseReturnValue:
    """Let it be something else."""
    seen, typed = _seen(name), _typed()
    secret = "" if "no_secret" in request.form else _long("secret") or None
    url = _long("url") or (seen.channel.url if seen.channel else "")
    try:
        has_secret = seen.has_secret if secret is None else bool(secret)
        channel = _fitting({**typed, "name": name, "url": url}, has_secret=has_secret)
        on = field("on")
        channels.change(db.ledger(), db.files(), asker().actor, seen, channel, secret, on=on)
    except ChoiceError as error:
        return _one(seen, error, typed)
    return redirect(url_for("channels.one", name=name, done="changed"), 303)


@bp.post("/<name>/back")
def take_back(name: str) -> ResponseReturnValue:
    """Back to the files; a channel that is not in them goes."""
    seen = _seen(name)
    try:
        channels.take_back(db.ledger(), db.files(), asker().actor, seen, on=field("on"))
    except ChoiceError as error:
        return _one(seen, error)
    if seen.in_files:
        return redirect(url_for("channels.one", name=name, done="back"), 303)
    return redirect(url_for("channels.listing", done="gone"), 303)


@bp.post("/<name>/test")
def test(name: str) -> ResponseReturnValue:
    """Send a test over it."""
    seen, ledger = _seen(name), db.ledger()
    now = ledger.clock().wall_ms
    with ledger.writing():
        outbox.put(ledger, outbox.letters([name], of_a_test(db.settings().notify, now), now))
        audit.add(ledger, asker().actor, "channel-tested", f"channel:{seen.name}")
    return redirect(url_for("channels.one", name=name, done="test"), 303)


def _one(
    seen: Standing, error: ApplianceError | None, typed: Mapping[str, Any] | None = None
) -> ResponseReturnValue:
    """Its page; after an error with what was typed there, but for address and secret."""
    page = render_template(
        "access/channel.html",
        one=seen,
        typed={**_NEW, **(typed or seen.said)},
        **_offered(),
        fares=outbox.channel(db.ledger(), seen.name, most=RESTS_AFTER),
        deliveries=outbox.listing(db.ledger(), seen.name, limit=_SHOWN),
        error=error,
        done=_DONE.get(request.args.get("done", "")),
    )
    return page, status_of(error)


def _seen(name: str) -> Standing:
    found = channels.get(db.ledger(), db.files(), name)
    return found if found is not None else abort(404)


def _offered() -> dict[str, object]:
    shares = [one.name for one in db.files().watched]
    return {"kinds": _KINDS, "of_jobs": _JOBS, "shares": shares}


def _long(name: str) -> str:
    return request.form.get(name, "")[:_LONGEST].strip()


def _typed() -> dict[str, Any]:
    """What the form says, but for address and secret."""
    lines = request.form.get("to", "").splitlines()
    return {
        **{key: field(key) for key in ("kind", "jobs", "user")},
        "sender": field("sender").strip() or None,
        "to": [line.strip() for line in lines if line.strip()][:_MANY],
        "alerts": "alerts" in request.form,
        "shares": request.form.getlist("shares")[:_MANY],
        "names": "names" in request.form,
    }


def _fitting(said: Mapping[str, Any], *, has_secret: bool) -> Channel:
    """What was typed, as a channel. Raises ChoiceUnfit."""
    return fitting(Channel, "The channel", {**said, "secret": _GIVEN if has_secret else ""})
