"""Who may do what, and in which share: the rights, the roles that bundle them, what follows.

In: a role with its grants, or the scopes of a key with its shares. Out: `Rights`, which
answer two questions: may this be done there, and in which shares at all.

Not here: the rows (store.accounts, store.keys), which page needs which right (web.access).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

EVERY: Final = "*"  # in the place of a share's name: each there is and each to come


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees: these shares, and whatever they have sent to the box themselves."""

    shares: frozenset[str]
    own: str  # as who they send: user:anna, key:NAME

    def __contains__(self, share: object) -> bool:
        return share in self.shares

    def __iter__(self) -> Iterator[str]:
        return iter(self.shares)

    def __len__(self) -> int:
        return len(self.shares)


Shares = frozenset[str] | Sight | None  # None: every one


class Right(enum.StrEnum):
    """Something one may do. The scopes of a key are rights, and none contains another."""

    READ = "read"  # see, play, search, fetch
    SUBMIT = "submit"  # bring recordings
    OPERATE = "operate"  # retry, cancel, edit
    ADMIN = "admin"  # people, keys, shares, settings


class Role(enum.StrEnum):
    """What people are: each may do more than the one before."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_OF_ROLE: Final[Mapping[Role, frozenset[Right]]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.OPERATOR: frozenset({Right.READ, Right.SUBMIT, Right.OPERATE}),
    Role.ADMIN: frozenset(Right),
}
GRANTED: Final = (Role.VIEWER, Role.OPERATOR)  # what one may be in a single share


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do at all, and in which share.

    Whoever may read at all gets a list, if an empty one; what lies in a share where they
    may not is not there for them.
    """

    able: frozenset[Right] = frozenset()
    by_share: Mapping[str, frozenset[Right]] = field(default_factory=dict)

    def may(self, right: Right, share: str | None = None) -> bool:
        """Tell whether this is allowed in a share; without one: at all."""
        if share is None:
            return right in self.able
        return any(right in self.by_share.get(name, ()) for name in (share, EVERY))

    def shares(self, right: Right) -> frozenset[str] | None:
        """Where this is allowed; None: everywhere."""
        if right in self.by_share.get(EVERY, ()):
            return None
        return frozenset(name for name, allowed in self.by_share.items() if right in allowed)


NOTHING: Final = Rights()


def of_person(role: Role, grants: Mapping[str, Role]) -> Rights:
    """What an account may do: an admin everything, everybody else what each grant says.

    A grant never gives more than the account's own role.
    """
    able = _OF_ROLE[role]
    if role is Role.ADMIN:
        return Rights(able, {EVERY: able})
    return Rights(able, {share: able & _OF_ROLE[here] for share, here in grants.items()})


def of_key(scopes: Iterable[Right], shares: Iterable[str]) -> Rights:
    """What a program with a key may do."""
    able = frozenset(scopes)
    return Rights(able, dict.fromkeys(shares, able))
