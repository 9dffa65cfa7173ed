"""Channels to people and programs: made, changed, taken back by admins.

What they say stands over the settings' files from then on. An address and a secret are taken and
never told again.

Not here: what may be said (appliance.choices), how a channel fares and what was sent (telling).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from flask import Response, abort
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.choices import channels
from appliance.choices.channels import LOST, Standing
from appliance.report import shown
from appliance.settings import Channel
from appliance.settings.notify import Mailbox
from appliance.settings.sections import Name
from web import db, failures, words
from web.access.asker import asker
from web.api.asked import MOST, Named, NamePath
from web.api.document import problems, told
from web.api.profiles import MadeOnHeader, SaidRow, made_on, tagged
from web.api.telling import bp

__all__ = ["bp"]  # that of telling: an address belongs to one part

_CHANGED: Final = problems(HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED)
_CONFLICT: Final = problems(HTTPStatus.CONFLICT)
_GIVEN: Final = "given"  # in the place of a secret, where its being there is all that counts
_KIND = Literal["ntfy", "email", "webhook"]
_JOBS = Literal["never", "failed", "all", "daily"]
_Url = Annotated[str, Field(max_length=2000, json_schema_extra={"writeOnly": True})]
_Secret = Annotated[
    str, Field(max_length=4096, json_schema_extra={"writeOnly": True, "format": "password"})
]


class ChannelBody(BaseModel):
    """A new channel."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Name
    kind: _KIND
    url: _Url = Field(description="Never told again: of its path, nothing.")
    secret: _Secret = Field("", description="A token, a password, a key. Never told again.")
    user: str = Field("", max_length=200, description="Of the mail server.")
    sender: Mailbox | None = None
    to: list[Mailbox] = Field([], max_length=MOST)
    alerts: bool = True
    jobs: _JOBS = "never"
    shares: list[Named] = Field([], max_length=MOST, description="None named: all.")
    names: bool = Field(False, description="Whether messages may name recordings.")


class ChannelPatch(BaseModel):
    """What becomes of a channel; what is left out stays."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: _KIND | None = None
    url: _Url | None = None
    secret: _Secret | None = Field(None, description='"" is none from now on.')
    user: str | None = Field(None, max_length=200)
    sender: Mailbox | None = None
    to: list[Mailbox] | None = Field(None, max_length=MOST)
    alerts: bool | None = None
    jobs: _JOBS | None = None
    shares: list[Named] | None = Field(None, max_length=MOST)
    names: bool | None = None


class ChannelSaidRow(SaidRow):
    """A channel as it was said."""

    name: str
    kind: str
    place: str = Field(description="Its address, without what may hold a token.")
    has_secret: bool
    user: str
    sender: str | None
    to: list[str]
    alerts: bool
    jobs: str
    shares: list[str]
    names: bool
    trouble: str | None = Field(description="Why it cannot be used; null: it can.")


class ChannelSaidPage(BaseModel):
    """Every channel as it was said."""

    channels: list[ChannelSaidRow]


@bp.post("/notifications", responses={201: ChannelSaidRow, **_CONFLICT})
def make(body: ChannelBody) -> Response:
    """A channel under a name that none has yet."""
    channel = drafted(body.model_dump(exclude={"secret"}), has_secret=bool(body.secret))
    channels.make(db.ledger(), db.files(), asker().actor, channel, body.secret.strip())
    return _told(body.name, HTTPStatus.CREATED)


@bp.get("/notifications/<name>", responses={200: ChannelSaidRow})
def one(path: NamePath) -> Response:
    """One channel; its ETag is what a change of it has to name."""
    return _told(path.name, HTTPStatus.OK)


@bp.patch("/notifications/<name>", responses={200: ChannelSaidRow, **_CHANGED})
def change(path: NamePath, header: MadeOnHeader, body: ChannelPatch) -> Response:
    """Let a channel be something else. One that leads elsewhere needs its secret again."""
    seen = _seen(path.name)
    on = made_on(header.if_match, seen.tag, f"channel {seen.name}")
    said = body.model_dump(exclude_unset=True, exclude={"secret"})
    kept = {key: value for key, value in said.items() if value is not None or key == "sender"}
    has_secret = seen.has_secret if body.secret is None else bool(body.secret)
    channel = drafted(as_is(seen) | kept, has_secret=has_secret)
    secret = None if body.secret is None else body.secret.strip()
    channels.change(db.ledger(), db.files(), asker().actor, seen, channel, secret, on=on)
    return _told(path.name, HTTPStatus.OK)


@bp.delete("/notifications/<name>", responses={200: ChannelSaidPage, **_CHANGED, **_CONFLICT})
def take_back(path: NamePath, header: MadeOnHeader) -> Response:
    """Back to what the files say of a channel; one that is not in them is gone."""
    seen = _seen(path.name)
    on = made_on(header.if_match, seen.tag, f"channel {seen.name}")
    channels.take_back(db.ledger(), db.files(), asker().actor, seen, on=on)
    every = channels.listing(db.ledger(), db.files())
    return told(ChannelSaidPage(channels=[_row(one) for one in every]))


def as_is(seen: Standing) -> dict[str, Any]:
    """A channel as it is, its address included, for a change of it."""
    url = seen.channel.url if seen.channel else ""
    return {**seen.said, "name": seen.name, "url": url}


def drafted(said: dict[str, Any], *, has_secret: bool) -> Channel:
    """A channel out of its fields. Raises RequestUnfit."""
    try:
        return Channel.model_validate({**said, "secret": _GIVEN if has_secret else ""})
    except ValidationError as error:
        failures.refuse(error)


def _seen(name: str) -> Standing:
    found = channels.get(db.ledger(), db.files(), name)
    return found if found is not None else abort(404)


def _told(name: str, status: int) -> Response:
    seen = _seen(name)
    return tagged(_row(seen), seen.tag, status)


def _row(one: Standing) -> ChannelSaidRow:
    choice = one.choice
    return ChannelSaidRow(
        name=one.name,
        place=one.place,
        has_secret=one.has_secret,
        **one.said,
        trouble=None if one.channel else LOST,
        said_by="page" if choice else "files",
        in_files=one.in_files,
        changed_by=shown(choice.who) if choice else None,
        changed_at=words.iso(choice.at_ms) if choice else None,
    )
