"""`python -m appliance.notify.speak`: one message through apprise; the only door to it.

In: JSON on standard input (url, title, text). Out: JSON on standard output, `why` it was
not taken, or null. Whatever apprise logs stays in here but for the last line of trouble,
which never holds the address: that holds the secret.

Not here: who asks (spoken).
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Final

import apprise

_PLUGINS: Final = ("ntfy", "ntfys", "mailto", "mailtos")


class _Last(logging.Handler):
    """Remembers the last trouble."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.line: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.line = record.getMessage().splitlines()[0][:200] if record.getMessage() else None


def main() -> int:
    """Send one message."""
    told = json.load(sys.stdin)
    heard = _Last()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    logger.propagate = False
    asset = apprise.AppriseAsset(
        app_id="transcription-appliance",
        app_desc="transcription appliance",
        app_url="",
        http_redirects=False,
        async_mode=False,
        plugin_paths=[],
    )
    speaker = apprise.Apprise(asset=asset)
    known = str(told["url"]).partition("://")[0] in _PLUGINS and speaker.add(told["url"])
    sent = bool(known) and speaker.notify(body=told["text"], title=told["title"])
    why = None if sent else (heard.line or "apprise knows no reason")
    json.dump({"why": why if known else "apprise does not understand the address"}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
