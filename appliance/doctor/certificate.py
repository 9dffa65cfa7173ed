"""The certificate with which the web server before the pages speaks: until when does it hold?

Whoever answers for TLS on this machine is asked, as a browser would ask; on a machine where nobody
does there is nothing to say.

Not here: making one (ansible/roles/web, image.boot.certificate).
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import Final

from appliance.health.finding import Finding, Level

_DOOR: Final = ("127.0.0.1", 443)
_SECONDS: Final = 3.0
_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_SOON_DAYS: Final = 60  # enough for who looks once a month
_DAY: Final = 86_400.0
_RENEW: Final = (
    "Run site.yml again, which makes a new one, or put the site's own into /etc/appliance/tls; "
    "on a box from an image delete /etc/appliance/tls/*.pem and start it again."
)


def examine(door: tuple[str, int] = _DOOR) -> Iterator[Finding]:
    """Ask whoever answers at `door`."""
    try:
        until = expires(door)
    except OSError:
        return
    yield told(until, time.time())


def expires(door: tuple[str, int]) -> float | None:
    """Seconds since 1970 until which it holds; None: not any more. Raises OSError."""
    shown = ssl.get_server_certificate(door, timeout=_SECONDS)
    # The library tells dates only of what it trusts; this one need not be anybody's but its own.
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    alone.check_hostname = False
    alone.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    alone.load_verify_locations(cadata=shown)
    try:
        with (
            socket.create_connection(door, timeout=_SECONDS) as line,
            alone.wrap_socket(line) as spoken,
        ):
            until = str((spoken.getpeercert() or {}).get("notAfter", ""))
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            return None
        raise
    return float(ssl.cert_time_to_seconds(until))


def told(until: float | None, now: float) -> Finding:
    """What follows for a person."""
    if until is None:
        text = "the certificate of the page has expired: no browser trusts it"
        return Finding("certificate", Level.FAIL, text, _RENEW)
    day = time.strftime("%Y-%m-%d", time.gmtime(until))
    text = f"the certificate of the page holds until {day}"
    if until - now < _SOON_DAYS * _DAY:
        return Finding("certificate", Level.WARN, text, _RENEW)
    return Finding("certificate", Level.OK, text)
