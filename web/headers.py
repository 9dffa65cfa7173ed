"""What every answer carries: nothing from elsewhere runs here, nobody frames us, nobody sniffs.

Also which names this box answers to: a page of the internet that points its own name at
this box (DNS rebinding) is refused, and so is what a page of another site asks for.

Not here: who may see what (access), forms that other sites send (access.origin).
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request
from werkzeug.exceptions import SecurityError

from appliance.settings import Settings

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " media-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'"
)
_DEVICES: Final = ("camera", "microphone", "geolocation", "payment", "usb", "display-capture")
_ALWAYS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{device}=()" for device in _DEVICES),
}

_PAGES: Final = frozenset(
    (
        *("pages", "texts", "finding", "shares", "alerts", "sending"),
        *("mine", "people", "programs", "deeds", "site", "profiles", "channels"),
        "entry",  # whom a link finds signed out is sent there, and the browser remembers from where
    )
)
_SECRET: Final = frozenset(
    {"entry", "mine", "people", "programs", "api.people"}
)  # keys are shown there, once


def guard(app: Flask, settings: Settings) -> None:
    """Put the headers on every answer and refuse strange names."""
    ours = names_of_this_box(settings)
    # Behind a web server people come by whatever address the network gave the box. An address is
    # no name: nobody can point one that a browser was told elsewhere.
    behind = settings.web.listen.startswith("/")

    def refuse_other_sites() -> None:
        # A browser says where a request comes from. A link that somebody follows may lead
        # to a page; nothing else of another site gets as far as a question to the ledger.
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and not _is_followed_link():
            abort(403)

    def refuse_strange_names() -> None:
        # Not by TRUSTED_HOSTS: Werkzeug 3.1 cuts a name at its first colon, so [::1] never fits.
        host = _host()
        if host not in ours and not (behind and _is_address(host)):
            raise SecurityError("not a name of this box")

    app.before_request(refuse_strange_names)
    app.before_request(refuse_other_sites)
    app.after_request(_seal)


def _is_followed_link() -> bool:
    to_a_page = request.headers.get("Sec-Fetch-Dest") == "document"
    return to_a_page and request.method == "GET" and request.blueprint in _PAGES


def names_of_this_box(settings: Settings) -> frozenset[str]:
    """Every name a browser may have typed to come here, without the port."""
    own = socket.gethostname().lower()
    listen, colon, _port = settings.web.listen.rpartition(":")
    named = [listen.strip("[]")] if colon else []
    if page := urlsplit(settings.notify.page).hostname:  # where messages send people
        named.append(page)
    named += [name.lower() for name in settings.web.names]
    return frozenset({"localhost", "127.0.0.1", "::1", own, f"{own}.local", *named})


def _host() -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        return None


def _is_address(host: str | None) -> bool:
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return False
    return True


def _seal(response: Response) -> Response:
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)  # a recording's own policy is stricter
    if said := g.get("retry_after"):  # the limiter writes its own window over it
        response.headers["Retry-After"] = said
    if request.endpoint != "static":
        keep = "no-store" if request.blueprint in _SECRET else "no-cache"
        response.headers.setdefault("Cache-Control", f"private, {keep}")
    return response
