"""Letting in, sending to sign in, refusing: what happens before every page.

In: who asks, and the policy of the address. Out: nothing, a way to the sign-in page, or
an access.* error.

Not here: the table (policy), what is told with which status (web.failures).
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, redirect, request, url_for
from werkzeug import Response as Answer

from appliance.accounts import sessions, setup
from appliance.errors import ConfirmNeeded, NotAllowed, SignInNeeded
from web import db
from web.access import origin
from web.access.asker import Asker, asker, identify
from web.access.policy import POLICIES, Door, Policy
from web.failures import is_for_programs

log = logging.getLogger(__name__)

_WITHOUT_LEDGER = ("static", "health.healthz", "health.livez")  # they answer whatever is broken
_ABOUT_ONESELF = ("entry", "mine")  # what somebody with a handed-over password may see


def identify_each(app: Flask) -> None:
    """Find out who asks, before anything else is done for them."""

    def know() -> None:
        if request.endpoint not in _WITHOUT_LEDGER:
            g.asker = identify()

    app.before_request(know)
    app.context_processor(lambda: {"asker": g.get("asker"), "csrf": origin.word_of_form})
    app.after_request(_varies)


def admit_each(app: Flask) -> None:
    """Let each request in, or not."""
    app.before_request(_admit)


def _admit() -> Answer | None:
    if request.endpoint is None:
        return None  # there is nothing at this address: told as 404
    policy = POLICIES.get(request.endpoint)
    if policy is None:
        log.error("an address without a policy: %s", request.endpoint)
        abort(404)
    who = asker()
    if origin.changes_something() and who.key is None:
        origin.check(word_later=policy.form_later)
    return _refused(policy, who)


def _refused(policy: Policy, who: Asker) -> Answer | None:
    """None where they may come in. Raises SignInNeeded, NotAllowed."""
    if not may_enter(policy, who):
        if who.signed_in is None and who.key is None:
            return _to_sign_in()
        raise NotAllowed
    if who.signed_in is None or policy.door is Door.EVERYBODY:
        return None
    if who.signed_in.account.handed and request.blueprint not in _ABOUT_ONESELF:
        if not _is_a_look_at_a_page():
            raise NotAllowed
        return redirect(url_for("mine.account"), 303)
    now = db.ledger().clock().wall_ms
    if policy.proven and not sessions.is_proven(who.signed_in.session, now):
        if request.path.startswith("/api/"):
            raise ConfirmNeeded
        return redirect(url_for("entry.confirm", next=_here()), 303)
    return None


def may_enter(policy: Policy, who: Asker) -> bool:
    """Tell whether they may come to an address with that policy."""
    is_person, is_program = who.signed_in is not None, who.key is not None
    may = policy.right is None or who.rights.may(policy.right)
    if policy.everywhere and policy.right is not None:
        may = who.rights.shares(policy.right) is None
    match policy.door:
        case Door.EVERYBODY:
            return True
        case Door.PERSON:
            return is_person and may
        case Door.ASKER:
            return (is_person or is_program) and may
        case Door.PROBE:
            return _is_of_this_machine() or ((is_person or is_program) and may)


def _is_of_this_machine() -> bool:
    """A program of this machine that came over TCP itself, not through a proxy."""
    local = request.remote_addr in ("127.0.0.1", "::1")
    return local and "X-Forwarded-For" not in request.headers and "Origin" not in request.headers


def _to_sign_in() -> Answer:
    if not _is_a_look_at_a_page():
        raise SignInNeeded
    if setup.is_needed(db.ledger()):
        return redirect(url_for("entry.setup"), 303)
    there = _here()
    return redirect(url_for("entry.login", next=None if there == "/" else there), 303)


def _is_a_look_at_a_page() -> bool:
    return not origin.changes_something() and not is_for_programs(request.path)


def _here() -> str:
    """Where to go on afterwards: this page, or the one whose form was sent."""
    if origin.changes_something():
        came_from = urlsplit(request.referrer or "").path
        return came_from if origin.is_ours(came_from) else "/"
    return request.full_path.rstrip("?")


def _varies(response: Response) -> Response:
    if request.endpoint != "static":
        response.vary.add("Cookie")
        response.vary.add("Authorization")
    return response
