"""Verbs about who may come in: user, key, audit.

Whoever may write the ledger may use them: root and the appliance's group. A password
comes from the terminal or from stdin, never from the command line, where every process
of the machine could read it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import click

from appliance.accounts import keys, people, setup
from appliance.cli.site import Site, site
from appliance.credentials import passwords
from appliance.errors import NoSuchAccount
from appliance.rights import EVERY, GRANTED, Right, Role
from appliance.settings import Settings
from appliance.store import accounts, audit
from appliance.store import keys as key_rows
from appliance.store.accounts import Account
from appliance.store.audit import Actor
from appliance.store.ledger import Ledger


def actor() -> Actor:
    """Who types, as far as the system tells."""
    return Actor(f"cli:{os.environ.get('SUDO_USER') or os.environ.get('USER') or os.getuid()}")


def way_in(ledger: Ledger, settings: Settings, address: str) -> list[str]:
    """What to print for whoever starts the box here while it has no admin: the way to the first.

    The code stands behind the # of the address, which a browser keeps to itself, and only on
    a terminal: what goes to a file or the journal stays there.
    """
    if not setup.is_needed(ledger):
        return []
    if not sys.stdout.isatty():
        return ["no admin yet: `appliance user setup` prints a code for the page"]
    code = setup.new_code(ledger, actor())
    if settings.web.listen.startswith("/"):
        return [f"no admin yet: the set-up code of the page is {code} (good for a day)"]
    return [f"no admin yet: open {address}setup#code={code} and choose a password (good for a day)"]


# --- user ---------------------------------------------------------------------------------------


@click.group()
def user() -> None:
    """Who may sign in on the page, and in which shares they may do what."""


_password_from = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from stdin."
)


@user.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    default=str(Role.VIEWER),
    show_default=True,
)
@click.option(
    "--share",
    "shares",
    multiple=True,
    metavar="SHARE[=ROLE]",
    help="May be repeated; * is every share. Without a role, as the account's.",
)
@_password_from
@click.option(
    "--hash-stdin", is_flag=True, help="Read an argon2id hash from stdin, as a provisioner has it."
)
@site
def add_user(
    of: Site, name: str, role: str, shares: tuple[str, ...], *, from_stdin: bool, hash_stdin: bool
) -> None:
    """Let NAME sign in. Without a password, one to hand over is made and printed."""
    grants = _grants(of.settings(), Role(role), shares)
    with of.ledger(make=True) as ledger:
        if hash_stdin:
            known = sys.stdin.readline().strip()
            if not passwords.is_hash(known):
                raise click.UsageError("stdin holds no argon2id hash")
            people.enter(ledger, actor(), name, known, role=Role(role), grants=grants)
            click.echo(f"{people.fitting(name)}: added")
            return
        given = _password(from_stdin=from_stdin)
        account, password = people.add(ledger, actor(), name, given, role=Role(role), grants=grants)
    click.echo(f"{account.name}: added")
    _hand_over(given, password)


@user.command("reset")
@click.argument("name")
@_password_from
@site
def reset_user(of: Site, name: str, *, from_stdin: bool) -> None:
    """Set another password for NAME and sign NAME out everywhere."""
    with of.ledger() as ledger:
        account = _account(ledger, name)
        given = _password(from_stdin=from_stdin)
        password = people.reset(ledger, actor(), account, given)
    click.echo(f"{account.name}: the password is another, and every session has ended")
    _hand_over(given, password)


@user.command("remove")
@click.argument("name")
@site
def remove_user(of: Site, name: str) -> None:
    """Forget NAME and sign NAME out everywhere."""
    with of.ledger() as ledger:
        people.remove(ledger, actor(), _account(ledger, name))
    click.echo(f"{name}: removed")


@user.command("list")
@site
def list_users(of: Site) -> None:
    """Everybody who may sign in."""
    with of.ledger() as ledger:
        rows = [
            {
                "name": one.name,
                "role": one.role,
                "shares": [f"{share}={role}" for share, role in one.grants.items()],
                "password": "to be chosen" if one.handed else "chosen",
            }
            for one in accounts.listing(ledger)
        ]
    of.table(rows, ("name", "role", "shares", "password"))


@user.command("setup")
@site
def setup_user(of: Site) -> None:
    """Print a new code with which the page makes the first admin; it is good once, for a day."""
    with of.ledger(make=True) as ledger:
        click.echo(setup.new_code(ledger, actor()))


def _grants(settings: Settings, role: Role, shares: Iterable[str]) -> dict[str, Role]:
    found: dict[str, Role] = {}
    for word in shares:
        share, _, named = word.partition("=")
        if share != EVERY and settings.share_named(share) is None:
            raise click.ClickException(f"no share is named {share} in the settings")
        usual = Role.OPERATOR if role is not Role.VIEWER else Role.VIEWER
        if named and named not in set(GRANTED):
            raise click.UsageError(f"in a share one is {' or '.join(GRANTED)}, not {named}")
        found[share] = Role(named) if named else usual
    return found


def _password(*, from_stdin: bool) -> str | None:
    """The password that was given; None: the box shall make one."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        return None
    typed: str = click.prompt(
        "Password (empty: the box makes one)",
        hide_input=True,
        confirmation_prompt=True,
        default="",
        show_default=False,
        err=True,
    )
    return typed or None


def _hand_over(given: str | None, password: str) -> None:
    if given is None:
        click.echo(f"password, to be changed at the first sign-in: {password}")


def _account(ledger: Ledger, name: str) -> Account:
    account = accounts.named(ledger, name.strip().lower())
    if account is None:
        raise NoSuchAccount(name=name)
    return account


# --- key ----------------------------------------------------------------------------------------


@click.group()
def key() -> None:
    """Keys with which programs ask the API."""


@key.command("create")
@click.option("--for", "purpose", required=True, help="What it is for, to be recognised by.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([str(right) for right in Right]),
    help="May be repeated; none contains another.",
)
@click.option("--share", "shares", multiple=True, help="May be repeated; without it, every share.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), default=90, show_default=True)
@site
def create_key(
    of: Site, purpose: str, scopes: tuple[str, ...], shares: tuple[str, ...], days: float
) -> None:
    """Make a key and print it, this once."""
    for share in shares:
        if share != EVERY and of.settings().share_named(share) is None:
            raise click.ClickException(f"no share is named {share} in the settings")
    with of.ledger(make=True) as ledger:
        text = keys.make(
            ledger,
            actor(),
            purpose=purpose[:100],
            scopes=[Right(scope) for scope in scopes],
            shares=shares or (EVERY,),
            days=days,
        )
    click.echo(text)


@key.command("rotate")
@click.argument("name")
@click.option(
    "--overlap",
    type=click.FloatRange(min=0),
    default=keys.OVERLAP_HOURS,
    show_default=True,
    help="Hours the old key works on.",
)
@site
def rotate_key(of: Site, name: str, overlap: float) -> None:
    """Make a key in the place of NAME (the 8 letters after apl_) and print it, this once."""
    with of.ledger() as ledger:
        click.echo(keys.rotate(ledger, actor(), _short(name), overlap_hours=overlap))


@key.command("revoke")
@click.argument("name")
@site
def revoke_key(of: Site, name: str) -> None:
    """Let the key NAME (the 8 letters after apl_) open nothing any more."""
    with of.ledger() as ledger:
        keys.revoke(ledger, actor(), _short(name))
    click.echo(f"{_short(name)}: revoked")


@key.command("list")
@site
def list_keys(of: Site) -> None:
    """Every key there ever was, without the part that opens anything."""
    with of.ledger() as ledger:
        now = ledger.clock().wall_ms
        rows = [
            {
                "name": one.name,
                "for": one.purpose,
                "scopes": list(one.scopes),
                "shares": list(one.shares),
                "open": "yes" if one.is_open(now) else "no",
                "until": _time(one.expires_ms),
                "last used": _time(one.used_ms),
                "by": one.who,
            }
            for one in key_rows.listing(ledger)
        ]
    of.table(rows, ("name", "for", "scopes", "shares", "open", "until", "last used", "by"))


def _short(name: str) -> str:
    """The part of a key that may be shown, also where somebody gives more of it."""
    return name.removeprefix("apl_")[:8]


# --- audit --------------------------------------------------------------------------------------


@click.group("audit")
def audit_() -> None:
    """Who did what on this box."""


@audit_.command()
@click.option("--holds", metavar="HASH", help="A hash from the journal that must be in it.")
@site
def verify(of: Site, holds: str | None) -> None:
    """Walk along the whole audit log; exit 1 where it does not hold together."""
    with of.ledger() as ledger:
        chain = audit.verify(ledger, holds=holds)
    if of.as_json:
        of.one({"entries": chain.length, "head": chain.head})
    else:
        click.echo(f"{chain.length} entries hold together; the last one is {chain.head}")


@audit_.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000))
@site
def list_audit(of: Site, limit: int) -> None:
    """The newest entries."""
    with of.ledger() as ledger:
        rows = [
            {
                "n": one.n,
                "at": _time(one.at_ms),
                "who": one.who,
                "did": one.did,
                "about": one.about,
                "from": one.address,
                "detail": one.detail,
                "hash": one.hash,
            }
            for one in audit.page(ledger, limit=limit)
        ]
    of.table(rows, ("n", "at", "who", "did", "about", "from", "detail"))


def _time(ms: int | None) -> str | None:
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


VERBS: Final = (user, key, audit_)
