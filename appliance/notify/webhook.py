"""A letter to a program: an HTTP request, signed, to the very address that was judged.

Signed as "Standard Webhooks" 1.0 has it: HMAC-SHA256 over id, time and body, joined by
dots, in base64; the id stays the same for every try, so that a receiver tells one message
twice from two. Redirects are not followed, and no more of an answer is read than its first
line.

Not here: when to try again (post).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

from appliance import __version__
from appliance.notify import addresses
from appliance.settings import Channel
from appliance.store.outbox import Letter

PATIENCE_SECONDS: Final = 10.0
_PREFIX: Final = "whsec_"


class _Http(http.client.HTTPConnection):
    """To an address, whatever its name means by now."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=PATIENCE_SECONDS)
        self.address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), PATIENCE_SECONDS)


class _Https(_Http):
    """The same, with the certificate of the name."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def send(channel: Channel, secret: str, letter: Letter, allow: tuple[str, ...]) -> str | None:
    """Send a letter; says why it did not arrive."""
    parts = urlsplit(channel.url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    address = addresses.resolved(host, port, allow)
    if isinstance(address, addresses.Refused):
        return address.why
    body = json.dumps(letter.body, ensure_ascii=False).encode("utf-8", "replace")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        told = headers(letter.id, body, secret, time.time())
    except ValueError:
        return "its secret begins with whsec_ and is not base64"
    connection = (_Https if secure else _Http)(host, port, address)
    try:
        connection.request("POST", target, body, told)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{host} does not take it: {error or type(error).__name__}"[:200]
    finally:
        connection.close()
    if 300 <= status < 400:
        return f"{host} points elsewhere ({status}); that is not followed"
    return None if 200 <= status < 300 else f"{host} answers {status}"


def headers(number: str, body: bytes, secret: str, now: float) -> dict[str, str]:
    """What goes before the body. `now` in seconds since 1970."""
    stamp = str(int(now))
    return {
        "Content-Type": "application/json",
        "User-Agent": f"transcription-appliance/{__version__}",
        "webhook-id": number,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature(number, stamp, body, secret)}",
        "Connection": "close",
    }


def signature(number: str, stamp: str, body: bytes, secret: str) -> str:
    """HMAC-SHA256 in base64; a secret that begins with whsec_ is base64 itself."""
    key = secret.encode()
    if secret.startswith(_PREFIX):
        key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = b".".join((number.encode(), stamp.encode(), body))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
