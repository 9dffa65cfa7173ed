"""Keys of programs: made, rotated, revoked, recognised.

The whole text of a key leaves here once, to whoever made it. Rotating gives a new key
with the same scopes and shares, and lets the old one work on for some hours, so that no
program stands still in between.

Not here: the form of a key (credentials.keys), what its scopes allow (rights).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from appliance.credentials import keys as form
from appliance.credentials import tokens
from appliance.errors import KeyRefused, NoSuchKey
from appliance.rights import Right
from appliance.store import audit
from appliance.store import keys as rows
from appliance.store.audit import Actor
from appliance.store.keys import Key
from appliance.store.ledger import Ledger

OVERLAP_HOURS: Final = 24.0
_HOUR_MS: Final = 3600 * 1000
_DAY_MS: Final = 24 * _HOUR_MS
_USED_MS: Final = 5 * 60 * 1000  # finer than that nobody needs to know when a key was used


def make(
    ledger: Ledger,
    actor: Actor,
    *,
    purpose: str,
    scopes: Sequence[Right],
    shares: Sequence[str],
    days: float | None,
) -> str:
    """A new key, `days` long (None: until it is revoked); its whole text, once."""
    now = ledger.clock().wall_ms
    expires_ms = None if days is None else now + round(days * _DAY_MS)
    return _make(ledger, actor, "key-made", purpose, scopes, shares, expires_ms)


def rotate(ledger: Ledger, actor: Actor, name: str, *, overlap_hours: float = OVERLAP_HOURS) -> str:
    """A key in the place of that one, which works on for some hours; the new one's whole text.

    It lives as long as the old one was made to live. Raises NoSuchKey.
    """
    with ledger.writing():
        now = ledger.clock().wall_ms
        old = _usable(ledger, name)
        life = None if old.expires_ms is None else now + old.expires_ms - old.created_ms
        text = _make(ledger, actor, "key-rotated", old.purpose, old.scopes, old.shares, life)
        shown = form.read(text)
        assert shown is not None  # noqa: S101 - made a line above
        until = now + round(overlap_hours * _HOUR_MS)
        rows.succeed(ledger, old.id, successor=shown.name, expires_ms=until)
    return text


def revoke(ledger: Ledger, actor: Actor, name: str) -> None:
    """Let a key open nothing any more, at once. Raises NoSuchKey."""
    with ledger.writing():
        rows.revoke(ledger, _usable(ledger, name).id)
        audit.add(ledger, actor, "key-revoked", f"key:{name}")


def recognise(ledger: Ledger, text: str) -> Key:
    """The key that a program has sent. Raises KeyRefused, whatever is wrong with it."""
    shown = form.read(text)
    known = rows.named(ledger, shown.name) if shown else None
    if shown is None or known is None or not tokens.same(shown.digest, known.digest):
        raise KeyRefused
    if not known.is_open(ledger.clock().wall_ms):
        raise KeyRefused
    return known


def see(ledger: Ledger, key: Key) -> None:
    """Note that a program came with it, every few minutes."""
    if key.used_ms is None or ledger.clock().wall_ms - key.used_ms >= _USED_MS:
        rows.used(ledger, key.id)


def _usable(ledger: Ledger, name: str) -> Key:
    known = rows.named(ledger, name)
    if known is None or not known.is_open(ledger.clock().wall_ms):
        raise NoSuchKey(name=name[:12])
    return known


def _make(
    ledger: Ledger,
    actor: Actor,
    did: str,
    purpose: str,
    scopes: Sequence[Right],
    shares: Sequence[str],
    expires_ms: int | None,
) -> str:
    shown, text = form.make()
    with ledger.writing():
        rows.add(
            ledger,
            shown.name,
            shown.digest,
            purpose=purpose,
            scopes=scopes,
            shares=shares,
            who=actor.who,
            expires_ms=expires_ms,
        )
        about = f"key:{shown.name}"
        audit.add(ledger, actor, did, about, scopes=list(scopes), shares=list(shares))
    return text
