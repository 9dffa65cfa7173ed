"""What may be said of a channel to people, and who said it.

A channel that was chosen stands in the place of the one of that name in the files, as a whole.
Its address and its secret are told to nobody again (kept); where it may reach is the files'
alone (`[notify] allow`).

Not here: sending anything (notify), how it is laid over the files (settings.chosen).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from appliance.choices import in_force, kept
from appliance.errors import ChoiceOfFiles, ChoiceStale, ChoiceTaken, ChoiceUnfit
from appliance.settings import Channel, Settings
from appliance.settings.notify import hidden
from appliance.store import audit, choices, outbox
from appliance.store.audit import Actor
from appliance.store.choices import Choice, Kind
from appliance.store.ledger import Ledger

MOST: Final = 50
_LONGEST: Final = 4096  # bytes of a secret, as notify reads it
_OWN: Final = frozenset({"name", "url", "secret"})  # said in another way than in the files
LOST: Final = "its address is not on this box: give it again"


@dataclass(frozen=True, slots=True)
class Standing:
    """A channel as it is in force, and whose word it is."""

    name: str
    channel: Channel | None  # None: it cannot be used
    choice: Choice | None  # None: the files say so
    in_files: bool

    @property
    def tag(self) -> str:
        """Another one with each change."""
        said = self.channel.model_dump(mode="json") if self.channel else {}
        text = json.dumps([said, self.choice.n if self.choice else 0], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def place(self) -> str:
        """Where it leads, as far as that may be told."""
        return hidden(self.channel.url) if self.channel else str(self._body.get("place", ""))

    @property
    def said(self) -> dict[str, Any]:
        """All that may be told of it, as its fields are called."""
        if self.channel:
            return self.channel.model_dump(mode="json", exclude=set(_OWN))
        known = Channel.model_fields.keys() - _OWN
        return {key: value for key, value in self._body.items() if key in known}

    @property
    def has_secret(self) -> bool:
        """Whether it signs or logs in with something."""
        body = self._body
        return bool(self.channel.secret if self.channel else body.get("secret") or body.get("own"))

    @property
    def _body(self) -> dict[str, Any]:
        return dict(self.choice.body) if self.choice else {}


def listing(ledger: Ledger, files: Settings) -> list[Standing]:
    """Every channel, in the order of the files, then by name."""
    chosen = {one.name: one for one in choices.listing(ledger) if one.kind is Kind.CHANNEL}
    of_files = [one.name for one in files.notify.channel]
    now = {one.name: one for one in in_force(ledger, files).notify.channel}
    return [
        Standing(name, now.get(name), chosen.get(name), in_files=name in of_files)
        for name in dict.fromkeys((*of_files, *chosen))
    ]


def get(ledger: Ledger, files: Settings, name: str) -> Standing | None:
    """The channel of that name."""
    return next((one for one in listing(ledger, files) if one.name == name), None)


def make(ledger: Ledger, files: Settings, actor: Actor, channel: Channel, secret: str) -> None:
    """A channel that was not there before; `secret` "" is none. Raises ChoiceTaken, ChoiceUnfit."""
    with ledger.writing():
        every = listing(ledger, files)
        if any(one.name == channel.name for one in every):
            raise ChoiceTaken(what=f"a channel {channel.name}")
        if len(every) >= MOST:
            raise _unfit(channel, "name", f"there are {MOST} already")
        _keep(ledger, files, actor, channel, secret, None)
    _tidy(ledger, files)


def change(
    ledger: Ledger,
    files: Settings,
    actor: Actor,
    seen: Standing,
    channel: Channel,
    secret: str | None,
    *,
    on: str,
) -> None:
    """Let a channel be this from now on; `secret` None is the one it has.

    Raises ChoiceStale, ChoiceUnfit.
    """
    with ledger.writing():
        _still(ledger, files, seen, on)
        _keep(ledger, files, actor, channel, secret, seen)
    _tidy(ledger, files)


def take_back(ledger: Ledger, files: Settings, actor: Actor, seen: Standing, *, on: str) -> None:
    """Back to the files; a channel that is not in them goes. Raises ChoiceStale, ChoiceOfFiles."""
    with ledger.writing():
        _still(ledger, files, seen, on)
        if not choices.drop(ledger, Kind.CHANNEL, seen.name):
            raise ChoiceOfFiles(what=f"Channel {seen.name}")
        outbox.forgive(ledger, seen.name)
        did = "channel-taken-back" if seen.in_files else "channel-removed"
        audit.add(ledger, actor, did, f"channel:{seen.name}")
    _tidy(ledger, files)


def _keep(
    ledger: Ledger,
    files: Settings,
    actor: Actor,
    channel: Channel,
    secret: str | None,
    seen: Standing | None,
) -> None:
    """Write a channel down, and beside the ledger what it must not show."""
    _fits(channel, secret, seen, files)
    name = kept.new()
    kept.keep(files, name, kept.ADDRESS, channel.url)
    body = channel.model_dump(mode="json", exclude=set(_OWN))
    body |= {"kept": name, "place": hidden(channel.url)}
    body |= _secret(files, name, secret, seen)
    choices.put(ledger, Kind.CHANNEL, channel.name, body, actor.who)
    outbox.forgive(ledger, channel.name)  # it rested because of what it was before
    facts = {"place": body["place"], "kind": channel.kind, "secret": bool(secret)}
    audit.add(ledger, actor, "channel-changed", f"channel:{channel.name}", **facts)


def _secret(
    files: Settings, name: str, secret: str | None, seen: Standing | None
) -> dict[str, object]:
    """Where its secret will be read: beside the ledger (`own`), or where the files said."""
    if secret is None and seen is not None:
        before = seen.choice.body if seen.choice else {}
        if not before.get("own"):
            return {"secret": seen.channel.secret if seen.channel else "", "own": False}
        secret = kept.read(files, str(before["kept"]), kept.SECRET)
    if secret:
        kept.keep(files, name, kept.SECRET, secret)
    return {"secret": "", "own": bool(secret)}


def _fits(channel: Channel, secret: str | None, seen: Standing | None, files: Settings) -> None:
    """Raise ChoiceUnfit for what could not be sent, or would go where nobody meant it to."""
    there = [share.name for share in files.watched]
    for share in channel.shares:
        if share not in there:
            raise _unfit(channel, "shares", f"there is no share {share[:60]}")
    if secret is None:
        before = seen.channel if seen else None
        if before is not None and before.secret and _door(before.url) != _door(channel.url):
            why = "it would go to another place than it was given for; give it again"
            raise _unfit(channel, "secret", why)
    elif len(secret.encode()) > _LONGEST or not secret.isprintable():
        raise _unfit(channel, "secret", "it must be one line of 4096 bytes at most")


def _door(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


def _unfit(channel: Channel, where: str, why: str) -> ChoiceUnfit:
    return ChoiceUnfit(what=f"Channel {channel.name}", where=where, why=why)


def _still(ledger: Ledger, files: Settings, seen: Standing, on: str) -> None:
    now = get(ledger, files, seen.name)
    if now is None or on != now.tag:
        raise ChoiceStale(what=f"Channel {seen.name}")


def _tidy(ledger: Ledger, files: Settings) -> None:
    with ledger.writing():  # nobody writes a new one meanwhile
        every = choices.listing(ledger)
        kept.forget(files, {str(one.body["kept"]) for one in every if "kept" in one.body})
