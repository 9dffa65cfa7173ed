"""The page's own certificate, made at the first boot with the names and addresses of the box.

In: the network, which may need a moment. Out: cert.pem and key.pem where nginx looks for them.
A site that has a certificate puts it there instead (docs/image.md).

Not here: what the page is called elsewhere (identity).
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Final

from . import asked

FOLDER: Final = "/etc/appliance/tls"
_PATIENCE_SECONDS: Final = 20.0
_DAYS: Final = 825  # browsers believe none that lives longer


def make(folder: str = FOLDER) -> bool:
    """Make one where there is none; says whether it did. Raises OSError."""
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    if os.path.exists(cert) and os.path.exists(key):
        return False
    name = socket.gethostname()
    subject = names(name, wait(asked.addresses))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as half:
        new = (os.path.join(half, "cert.pem"), os.path.join(half, "key.pem"))
        done = asked.run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", str(_DAYS), "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName={','.join(subject)}", "-out", new[0], "-keyout", new[1]),
        )
        if done.returncode:
            raise OSError(f"openssl: {done.stderr.strip()}")
        # The certificate comes last: where it is, the key is.
        for made, place in ((new[1], key), (new[0], cert)):
            with open(made, "rb") as stream:
                asked.write(place, stream.read(), mode=0o600)
    return True


def names(name: str, addresses: Sequence[str]) -> list[str]:
    """What a certificate says it is for."""
    return [
        *(f"DNS:{one}" for one in (name, f"{name}.local", "localhost")),
        *(f"IP:{one}" for one in addresses),
    ]


def wait(
    ask: Callable[[], list[str]],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """The addresses of the box as soon as it has one; none where no network gives one in time."""
    until = clock() + _PATIENCE_SECONDS
    while not (found := ask()) and clock() < until:
        sleep(0.5)
    return found


def fingerprint(folder: str = FOLDER) -> str:
    """What a browser shows of it, too; empty where there is none."""
    cert = os.path.join(folder, "cert.pem")
    told = asked.run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", cert).stdout
    return told.partition("=")[2].strip()
