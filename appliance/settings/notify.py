"""Whom to tell, over which channels, and where their messages may go.

Not here: the other tables (sections), sending anything (notify).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from appliance.settings.sections import Name, Section

_SCHEMES: Final = {
    "ntfy": ("https", "http"),
    "email": ("smtps", "smtp+starttls", "smtp"),
    "webhook": ("https", "http"),
}
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")  # docs.ntfy.sh, "Publishing"
_ADDRESS: Final = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")


def _allowed(text: str) -> str:
    """A name of a host, an address, or a range of addresses."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        if "/" in text or not _HOST.fullmatch(text):
            raise ValueError(f"{text[:60]!r} is no name, no address and no range") from None
        return text.lower()


def _mailbox(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no address of e-mail")
    return text


def _place(text: str) -> str:
    parts = urlsplit(text)  # raises ValueError, which is told
    if parts.username is not None or parts.password is not None:
        raise ValueError("names and passwords do not belong here: use user and secret")
    if not parts.hostname:
        raise ValueError("must be an address such as https://host/path")
    _ = parts.port
    return text


def hidden(url: str) -> str:
    """Where an address leads, without its path: that may hold a token."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/\N{HORIZONTAL ELLIPSIS}"


Mailbox = Annotated[str, AfterValidator(_mailbox)]
Place = Annotated[str, AfterValidator(_place)]


class Channel(Section):
    """A way to people: an ntfy topic, mailboxes, or a program that takes signed requests."""

    name: Name
    kind: Literal["ntfy", "email", "webhook"]
    url: Place  # https://host/topic · smtps://host · https://host/path
    secret: Annotated[str, Field(max_length=400)] = ""  # a file's path, or a systemd credential
    user: str = ""  # of the mail server
    sender: Mailbox | None = None
    to: tuple[Mailbox, ...] = ()
    alerts: bool = True
    jobs: Literal["never", "failed", "all", "daily"] = "never"
    shares: tuple[str, ...] = ()  # whose jobs; none named: all
    names: bool = False  # whether messages may name recordings

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if mistakes := list(self._mistakes()):
            raise ValueError("\n".join(mistakes))
        return self

    def _mistakes(self) -> Iterator[str]:
        scheme = urlsplit(self.url).scheme
        if scheme not in _SCHEMES[self.kind]:
            yield f"url: {self.kind} wants {' or '.join(_SCHEMES[self.kind])}, not {scheme}"
        if self.kind == "ntfy" and not _TOPIC.fullmatch(urlsplit(self.url).path.strip("/")):
            yield "url: it must end with a topic and nothing else, as in https://host/topic"
        if self.kind == "email" and not (self.to and self.sender):
            yield "to, sender: e-mail needs both"
        if self.kind == "email" and self.user and not self.secret:
            yield "secret: where the password is kept"
        if self.kind == "webhook" and not self.secret:
            yield "secret: where the key is kept that requests are signed with"


class NotifySettings(Section):
    """Whom to tell. Without a channel nothing ever leaves the box."""

    channel: tuple[Channel, ...] = ()
    # Where messages may go; none named: anywhere but to this machine itself, and to the
    # addresses that clouds keep their secrets at.
    allow: tuple[Annotated[str, AfterValidator(_allowed)], ...] = ()
    page: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""  # what messages point to
