"""Who comes, and whether they may: every request passes here before anything is looked up.

    policy    what each address asks of whoever comes: one table
    asker     who comes: by cookie, by key, or nobody
    gate      putting the two together: let in, send to sign in, refuse
    origin    forms that no other site can send
    throttle  how often somebody may try a password
    limits    how often anybody may ask anything
    entry     pages: set up, sign in, confirm, sign out
    mine      page: my account
    people    pages of an admin: accounts and sessions
    programs  page of an admin: keys
    deeds     page of an admin: the audit log

Not here: what roles and scopes allow (appliance.rights), which rows they see (appliance.store).
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from web.access import deeds, entry, gate, limits, mine, people, programs, throttle
from web.access.asker import sees

__all__ = ["guard", "sees"]


def guard(app: Flask, clock: Callable[[], float], *, per_minute: int) -> None:
    """Let nobody do what they may not. Call it when names and sites are checked already.

    `clock` in seconds, only ever growing; `per_minute`: requests of one asker.
    """
    throttle.keep_for(app, clock)
    gate.identify_each(app)
    limits.bound(app, per_minute)
    gate.admit_each(app)
    for part in (entry.bp, mine.bp, people.bp, programs.bp, deeds.bp):
        app.register_blueprint(part)
