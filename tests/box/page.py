"""The page of a box, asked over TLS through a door of this machine.

Not here: what it should answer (image).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

_SECONDS: Final = 120.0  # a machine that is emulated takes its time


def status(door: int, path: str, *, host: str, form: Mapping[str, str] | None = None) -> int:
    """The status of an answer; with a `form`, to that form. Raises OSError for none."""
    anybody = ssl._create_unverified_context()  # noqa: S323 - the box has made its own
    line = http.client.HTTPSConnection("127.0.0.1", door, timeout=_SECONDS, context=anybody)
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    with contextlib.closing(line):
        method, body = ("POST", urlencode(form)) if form else ("GET", None)
        line.request(method, path, body, {"Host": host, **kind})
        return line.getresponse().status


def fingerprint(door: int) -> str:
    """Of the certificate, as browsers and openssl write it."""
    told = ssl.get_server_certificate(("127.0.0.1", door), timeout=_SECONDS)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(told)).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
