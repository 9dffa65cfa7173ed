"""Forms that no other site can send, and no other page of this machine.

What changes something must come from a page of ours: the browser says so (Origin,
Sec-Fetch-Site), and the form carries a word that follows from the session's secret. A
program with a key sends it knowingly and needs neither.

Not here: which names are ours (web.headers).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import request

from appliance.credentials import tokens
from appliance.errors import FormStale
from web.access import asker

_ASKING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS: Final = {"http": 80, "https": 443}


def changes_something() -> bool:
    """Tell whether this request is of a kind that may change something."""
    return request.method not in _ASKING


def check(*, word_later: bool = False) -> None:
    """Raise FormStale for a change that comes from elsewhere, or from an older session.

    `word_later`: the view calls `check_word` when it has read the form that far.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise FormStale
    sent = request.headers.get("Origin")
    if sent is not None and _place(sent) != _place(f"{request.scheme}://{request.host}"):
        raise FormStale
    if asker.asker().signed_in is not None and not word_later:
        check_word(request.headers.get("X-CSRF-Token") or request.form.get("csrf", ""))


def check_word(word: str) -> None:
    """Raise FormStale where this is not the word that the forms of this session carry."""
    if asker.asker().signed_in is not None and not tokens.same(word, word_of_form()):
        raise FormStale


def word_of_form() -> str:
    """What each form of this session carries; without a session, nothing."""
    held = asker.secret()
    return tokens.form_word(held) if held else ""


def _place(url: str) -> tuple[str | None, int | None]:
    """Host and port. The scheme is left aside: a proxy may end TLS before us."""
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None, None


def is_ours(path: str) -> bool:
    """Tell whether an address that was sent along leads to a page of this box."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
