"""Where a message may go: a name becomes addresses once, and each of them is judged.

Without a list anything on the network will do, the office's own included, but not this
machine itself and not the range at which clouds hand out their secrets: whoever can change
a name's address must not turn the box against its own services. With a list, nothing that
is not on it; this machine, and that range, only where their addresses stand on it.

Not here: connecting (webhook).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Alibaba's; Amazon's over IPv6; the others answer within the link's own range.
_METADATA: Final = tuple(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::254")))


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message may not go there."""

    why: str


def resolved(host: str, port: int, allow: Sequence[str]) -> str | Refused:
    """The address to connect to, as text: the first that may be; or why there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Refused(f"{host} has no address: {getattr(error, 'strerror', 'no name of a host')}")
    addresses = list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found))
    for text in addresses:
        if may_go(host, text, allow):
            return text
    listed = "is not on the list [notify] allow" if allow else "is this machine, or of no use"
    return Refused(f"{host} ({', '.join(addresses)}) {listed}")


def may_go(host: str, address: str, allow: Sequence[str]) -> bool:
    """Tell whether a message for this host may go to this address of it."""
    there = _plain(address)
    named = host.lower().rstrip(".") in allow
    if any(there in ipaddress.ip_network(one) for one in allow if _is_range(one)):
        return True
    if allow and not named:
        return False
    return not _is_refused(there)


def _plain(address: str) -> Address:
    there = ipaddress.ip_address(address)
    inside = getattr(there, "ipv4_mapped", None)  # ::ffff:127.0.0.1 is 127.0.0.1
    return inside or there


def _is_range(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_refused(there: Address) -> bool:
    dangerous = there.is_loopback or there.is_link_local or there.is_unspecified
    return dangerous or there.is_multicast or there in _METADATA
