"""Secrets that the box makes itself, and what may be kept of them.

They are random and long, so a plain SHA-256 hides them: nobody can try them all. The
set-up code alone is short enough to type; it lives for a day and is used once.

Not here: keys of programs, which have a form of their own (keys).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: nothing to mistake
_MEANT: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def session() -> str:
    """The secret of a session: 256 random bits."""
    return secrets.token_urlsafe(32)


def code() -> str:
    """A set-up code of ten characters (50 random bits), to be typed: `7GK2M-X04TQ`."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return f"{letters[:5]}-{letters[5:]}"


def as_meant(typed: str) -> str:
    """A set-up code as it was made, however somebody has typed it."""
    return typed.strip().upper().translate(_MEANT)


def digest(secret: str) -> str:
    """What the ledger may keep of a secret: SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def form_word(session: str) -> str:
    """The word that a form of this session carries, so that no other site can send one."""
    return hmac.new(session.encode(), b"form", "sha256").hexdigest()


def same(one: str, other: str) -> bool:
    """Compare secrets, digests or words without telling by the time how much is right."""
    return hmac.compare_digest(one.encode(), other.encode())
