"""ntfy and e-mail: apprise speaks them, in a child that has seconds and is told everything.

apprise knows a hundred and seventy services and parses what they answer; it gets a process
of its own, without our settings, our ledger and our descriptors, and is killed when it
takes too long. What it is told, secrets included, goes through its standard input.

Not here: where a message may go (addresses), the child itself (speak).
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from appliance.notify import addresses
from appliance.settings import Channel
from appliance.store.outbox import Letter

LIMIT_SECONDS: Final = 30.0
_PORTS: Final = {"https": 443, "http": 80, "smtps": 465, "smtp+starttls": 587, "smtp": 25}
_MODES: Final = {"smtps": "ssl", "smtp+starttls": "starttls", "smtp": "insecure"}
_PRIORITIES: Final = {"failure": "high", "warning": "default"}


def ntfy(channel: Channel, secret: str, letter: Letter, allow: tuple[str, ...]) -> str | None:
    """Send a letter to a topic; says why it did not arrive. The secret is a token, if any."""
    parts = urlsplit(channel.url)
    topic = quote(parts.path.strip("/"), safe="")
    asked = {
        "mode": "private",
        "priority": _PRIORITIES.get(letter.body.get("level", ""), "default"),
    }
    if secret:
        asked |= {"auth": "token", "token": secret}
    scheme = "ntfys" if parts.scheme == "https" else "ntfy"
    if url := letter.body.get("url"):
        asked["click"] = url
    return _speak(
        channel,
        f"{scheme}://{_host(channel)}/{topic}?{urlencode(asked, quote_via=quote)}",
        letter,
        allow,
    )


def email(channel: Channel, secret: str, letter: Letter, allow: tuple[str, ...]) -> str | None:
    """Send a letter by mail; says why it did not arrive. The secret is the password, if any."""
    parts = urlsplit(channel.url)
    login = f"{quote(channel.user, safe='')}:{quote(secret, safe='')}@" if channel.user else ""
    scheme = "mailto" if parts.scheme == "smtp" else "mailtos"
    asked = {
        "smtp": parts.hostname or "",
        "mode": _MODES[parts.scheme],
        "from": channel.sender or "",
        "to": ",".join(channel.to),
        "format": "text",
    }
    return _speak(
        channel,
        f"{scheme}://{login}{_host(channel)}?{urlencode(asked, quote_via=quote)}",
        letter,
        allow,
    )


def _host(channel: Channel) -> str:
    parts = urlsplit(channel.url)
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or _PORTS[parts.scheme]}"


def _speak(channel: Channel, url: str, letter: Letter, allow: tuple[str, ...]) -> str | None:
    parts = urlsplit(channel.url)
    host = parts.hostname or ""
    address = addresses.resolved(host, parts.port or _PORTS[parts.scheme], allow)
    if isinstance(address, addresses.Refused):
        return address.why
    told: dict[str, Any] = {
        "url": url,
        "title": letter.body.get("title", ""),
        "text": letter.body.get("text", ""),
        "id": letter.id,
    }
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", f"{__package__}.speak"],
            input=json.dumps(told).encode(),
            capture_output=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{host} took longer than {LIMIT_SECONDS:.0f} seconds"
    try:
        why = json.loads(child.stdout)["why"]
    except (ValueError, KeyError, TypeError):
        why = f"apprise ended with {child.returncode}"
    return None if why is None else f"{host} does not take it: {why}"[:200]
