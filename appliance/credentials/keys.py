"""Keys of programs: `apl_<8 of its name>_<32 of its secret>_<6 to check>`.

The name is shown and kept; of the secret (160 random bits) only a SHA-256 is. The check
at the end tells a mistyped key from a wrong one before anything is looked up, and lets
scanners of source code recognise a key that somebody has published.

Not here: what a key opens (rights), how long it lives (accounts.keys).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

from appliance.credentials import tokens

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_FORM: Final = re.compile(r"apl_([a-z2-7]{8})_([a-z2-7]{32})_([0-9a-f]{6})")


@dataclass(frozen=True, slots=True)
class Shown:
    """A key as its owner holds it, read or just made."""

    name: str  # the part that may be shown
    digest: str  # of the secret: the part that is kept


def make() -> tuple[Shown, str]:
    """A new key, and its whole text: to be shown once and kept nowhere."""
    name, secret = _random(8), _random(32)
    return Shown(name, tokens.digest(secret)), f"apl_{name}_{secret}_{_check(name, secret)}"


def read(text: str) -> Shown | None:
    """What a key says of itself; None when it is none of ours."""
    found = _FORM.fullmatch(text)
    if found is None or found[3] != _check(found[1], found[2]):
        return None
    return Shown(found[1], tokens.digest(found[2]))


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _check(name: str, secret: str) -> str:
    return hashlib.sha256(f"apl_{name}_{secret}".encode()).hexdigest()[:6]
