"""Accounts, sessions and keys over a real ledger; the hour is an argument."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.accounts import keys, people, sessions, setup
from appliance.credentials import keys as form
from appliance.credentials import passwords, tokens
from appliance.errors import (
    AccessError,
    CodeWrong,
    KeyRefused,
    LastAdmin,
    NameTaken,
    NameUnfit,
    NoSuchKey,
    PasswordWeak,
    SetUpAlready,
    SignInWrong,
)
from appliance.rights import Right, Role
from appliance.store import accounts, audit, restores, schema, setup_codes
from appliance.store import keys as key_rows
from appliance.store import sessions as rows
from appliance.store.accounts import Account
from appliance.store.ledger import Ledger, Moment
from tests.signed_in import TEST

GOOD = "drei Birnen im Schnee"
OTHER = "vier Kraniche am Teich"
THIRD = "sieben Boote vor dem Wehr"
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass
class Clock:
    """The hour, as the tests say it."""

    seconds: float = 1_800_000_000.0

    def __call__(self) -> Moment:
        return Moment(round(self.seconds * 1000), self.seconds, "boot")

    def later(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path), clock=clock) as opened:
        yield opened


@pytest.fixture
def anna(ledger: Ledger) -> Account:
    """An admin with a password."""
    return people.add(ledger, TEST, "anna", GOOD, role=Role.ADMIN, grants={})[0]


def sign_in(ledger: Ledger, name: str = "anna", password: str = GOOD) -> str:
    return sessions.sign_in(ledger, name, password, address="10.0.0.7", browser="Firefox")


# --- the first admin ----------------------------------------------------------------------------


def redeem(ledger: Ledger, code: str, name: str = "Anna", password: str = GOOD) -> Account:
    return setup.redeem(ledger, code, name=name, password=password, address="10.0.0.7")


def test_a_code_makes_the_first_admin_once(ledger: Ledger) -> None:
    assert setup.is_needed(ledger)
    code = setup.new_code(ledger, TEST)
    anna = redeem(ledger, code.lower())
    assert (anna.name, anna.role, anna.handed) == ("anna", Role.ADMIN, False)
    assert not setup.is_needed(ledger)
    assert setup_codes.digest(ledger, now_ms=0) is None
    with pytest.raises(SetUpAlready):
        redeem(ledger, code, "eve")
    with pytest.raises(SetUpAlready):
        setup.new_code(ledger, TEST)


def test_without_a_code_nobody_becomes_admin(ledger: Ledger) -> None:
    for code in ("", "00000-00000"):
        with pytest.raises(CodeWrong):
            redeem(ledger, code)
    assert setup.is_needed(ledger)


def test_a_code_is_too_old_after_a_day_and_void_after_the_next(
    ledger: Ledger, clock: Clock
) -> None:
    first = setup.new_code(ledger, TEST)
    second = setup.new_code(ledger, TEST)
    with pytest.raises(CodeWrong):
        redeem(ledger, first)
    clock.later(DAY)
    with pytest.raises(CodeWrong):
        redeem(ledger, second)


def test_a_weak_password_or_a_strange_name_leaves_the_code_good(ledger: Ledger) -> None:
    code = setup.new_code(ledger, TEST)
    with pytest.raises(PasswordWeak):
        redeem(ledger, code, "anna", "short")
    with pytest.raises(NameUnfit):
        redeem(ledger, code, "<script>")
    assert redeem(ledger, code).name == "anna"


# --- accounts -----------------------------------------------------------------------------------


def test_a_name_is_given_once_whatever_its_case(ledger: Ledger, anna: Account) -> None:
    with pytest.raises(NameTaken):
        people.add(ledger, TEST, " ANNA ", GOOD, role=Role.VIEWER, grants={})
    assert anna.name == "anna"


def test_a_password_that_the_box_makes_is_known_to_somebody_else(ledger: Ledger) -> None:
    bert, password = people.add(ledger, TEST, "bert", None, role=Role.VIEWER, grants={})
    assert bert.handed
    held = sessions.whose(ledger, sign_in(ledger, "bert", password))
    assert held is not None
    people.change_password(
        ledger, TEST, held.account, old=password, new=OTHER, session=held.session.id
    )
    assert not accounts.named(ledger, "bert").handed  # type: ignore[union-attr]
    sign_in(ledger, "bert", OTHER)


def test_the_last_admin_stays(ledger: Ledger, anna: Account) -> None:
    with pytest.raises(LastAdmin):
        people.remove(ledger, TEST, anna)
    with pytest.raises(LastAdmin):
        people.change(ledger, TEST, anna, role=Role.VIEWER, grants={})
    people.add(ledger, TEST, "bert", GOOD, role=Role.ADMIN, grants={})
    people.remove(ledger, TEST, anna)
    assert [one.name for one in accounts.listing(ledger)] == ["bert"]


# --- sessions -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("anna")
def test_wrong_is_wrong_whatever_it_was(ledger: Ledger) -> None:
    told = set()
    for name, password in (("anna", OTHER), ("nobody", GOOD), ("", ""), ("anna", "")):
        with pytest.raises(SignInWrong) as wrong:
            sign_in(ledger, name, password)
        told.add(str(wrong.value))
    assert len(told) == 1


def test_an_unknown_name_costs_as_much_as_a_wrong_password(
    ledger: Ledger, anna: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str | None] = []
    real = passwords.matches

    def watched(password: str, known: str | None) -> bool:
        judged.append(known)
        return real(password, known)

    monkeypatch.setattr(passwords, "matches", watched)
    for name in ("anna", "nobody"):
        with pytest.raises(SignInWrong):
            sign_in(ledger, name, OTHER)
    assert judged == [anna.password, None]
    began = time.process_time()
    assert not real(OTHER, None)
    assert time.process_time() - began >= 0.01  # nobody's hash is computed as well


@pytest.mark.usefixtures("anna")
def test_a_session_ends_when_nobody_comes_and_after_a_fortnight_in_any_case(
    ledger: Ledger, clock: Clock
) -> None:
    idle = sign_in(ledger)
    clock.later(12 * HOUR)
    assert sessions.whose(ledger, idle) is None

    busy = sign_in(ledger)
    for _ in range(14 * 2 + 1):
        clock.later(11.5 * HOUR)
        if held := sessions.whose(ledger, busy):
            sessions.see(ledger, held.session)
    assert held is not None
    clock.later(14 * DAY - 29 * 11.5 * HOUR)
    assert sessions.whose(ledger, busy) is None


@pytest.mark.usefixtures("anna")
def test_a_look_is_no_write_until_minutes_have_passed(ledger: Ledger, clock: Clock) -> None:
    secret = sign_in(ledger)
    for seconds, written in ((MINUTE, False), (5 * MINUTE, True), (MINUTE, False)):
        clock.later(seconds)
        held = sessions.whose(ledger, secret)
        assert held is not None
        sessions.see(ledger, held.session)
        now = sessions.whose(ledger, secret)
        assert now is not None
        assert (now.session.seen_ms > held.session.seen_ms) is written


@pytest.mark.usefixtures("anna")
def test_a_password_that_was_just_given_counts_for_ten_minutes(
    ledger: Ledger, clock: Clock
) -> None:
    secret = sign_in(ledger)
    held = sessions.whose(ledger, secret)
    assert held is not None
    assert sessions.is_proven(held.session, clock().wall_ms)
    clock.later(10 * MINUTE)
    assert not sessions.is_proven(held.session, clock().wall_ms)
    with pytest.raises(SignInWrong):
        sessions.confirm(ledger, held, OTHER, address="", browser="")
    fresh = sessions.confirm(ledger, held, GOOD, address="", browser="")
    assert fresh != secret
    assert sessions.whose(ledger, secret) is None
    again = sessions.whose(ledger, fresh)
    assert again is not None
    assert sessions.is_proven(again.session, clock().wall_ms)


@pytest.mark.usefixtures("anna")
@pytest.mark.parametrize("how", ["change", "confirm", "sign-in"])
def test_a_reset_is_not_undone_by_what_was_on_its_way(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Judging a password takes a while, and an admin sets another one meanwhile."""
    bert, _ = people.add(ledger, TEST, "bert", GOOD, role=Role.VIEWER, grants={})
    held = sessions.whose(ledger, sign_in(ledger, "bert"))
    assert held is not None
    matches = passwords.matches

    def slow(password: str, known: str | None) -> bool:
        if password == GOOD:
            people.reset(ledger, TEST, bert, OTHER)
        return matches(password, known)

    ways: dict[str, Callable[[], object]] = {
        "change": lambda: people.change_password(
            ledger, TEST, held.account, old=GOOD, new=THIRD, session=held.session.id
        ),
        "confirm": lambda: sessions.confirm(ledger, held, GOOD, address="", browser=""),
        "sign-in": lambda: sign_in(ledger, "bert"),
    }
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(passwords, "matches", slow)
        with pytest.raises(SignInWrong):
            ways[how]()
    assert sessions.whose(ledger, sign_in(ledger, "bert", OTHER)) is not None
    with pytest.raises(SignInWrong):
        sign_in(ledger, "bert", THIRD)


@pytest.mark.usefixtures("anna")
@pytest.mark.parametrize("what", ["role", "grants", "reset", "remove", "everywhere", "password"])
def test_what_changes_an_account_ends_its_sessions(ledger: Ledger, what: str) -> None:
    bert, _ = people.add(
        ledger, TEST, "bert", GOOD, role=Role.VIEWER, grants={"meetings": Role.VIEWER}
    )
    secret = sign_in(ledger, "bert")
    other = sign_in(ledger, "bert")
    held = sessions.whose(ledger, secret)
    assert held is not None
    match what:
        case "role":
            people.change(ledger, TEST, bert, role=Role.OPERATOR, grants=bert.grants)
        case "grants":
            people.change(ledger, TEST, bert, role=bert.role, grants={})
        case "reset":
            people.reset(ledger, TEST, bert, OTHER)
        case "remove":
            people.remove(ledger, TEST, bert)
        case "everywhere":
            sessions.end_all(ledger, TEST, bert, but=held.session.id)
        case "password":
            people.change_password(ledger, TEST, bert, old=GOOD, new=OTHER, session=held.session.id)
    assert sessions.whose(ledger, other) is None
    stays = what in ("everywhere", "password")
    assert (sessions.whose(ledger, secret) is not None) is stays


@pytest.mark.usefixtures("anna")
def test_a_restored_ledger_has_nobody_signed_in(ledger: Ledger) -> None:
    secret = sign_in(ledger)
    restores.note(ledger, backup="ledger-x.db", why="gone", quarantine=None)
    assert sessions.whose(ledger, secret) is None


# --- keys ---------------------------------------------------------------------------------------


def make_key(ledger: Ledger, days: float | None = 90) -> str:
    return keys.make(
        ledger, TEST, purpose="scanner", scopes=[Right.READ], shares=["meetings"], days=days
    )


def is_open(ledger: Ledger, text: str) -> bool:
    try:
        return bool(keys.recognise(ledger, text))
    except KeyRefused:
        return False


def test_a_key_opens_until_its_day(ledger: Ledger, clock: Clock) -> None:
    text, forever = make_key(ledger, 90), make_key(ledger, None)
    key = keys.recognise(ledger, text)
    assert key.rights.may(Right.READ, "meetings")
    assert not key.rights.may(Right.READ, "archive")
    clock.later(90 * DAY)
    assert not is_open(ledger, text)
    assert is_open(ledger, forever)


def test_a_rotated_key_works_on_for_some_hours_beside_the_new_one(
    ledger: Ledger, clock: Clock
) -> None:
    old = make_key(ledger)
    name = keys.recognise(ledger, old).name
    new = keys.rotate(ledger, TEST, name, overlap_hours=24)
    assert keys.recognise(ledger, new).scopes == (Right.READ,)
    assert is_open(ledger, old)
    clock.later(24 * HOUR)
    assert not is_open(ledger, old)
    assert is_open(ledger, new)
    with pytest.raises(NoSuchKey):
        keys.rotate(ledger, TEST, name)


def test_rotating_lengthens_no_life_of_the_old_key(ledger: Ledger, clock: Clock) -> None:
    old = make_key(ledger, days=1)
    clock.later(23 * HOUR)
    new = keys.rotate(ledger, TEST, keys.recognise(ledger, old).name, overlap_hours=24)
    clock.later(HOUR)
    assert not is_open(ledger, old)
    clock.later(22 * HOUR)
    assert is_open(ledger, new)


def test_a_revoked_key_opens_nothing_from_then_on(ledger: Ledger) -> None:
    text = make_key(ledger)
    name = keys.recognise(ledger, text).name
    keys.revoke(ledger, TEST, name)
    assert not is_open(ledger, text)
    with pytest.raises(NoSuchKey):
        keys.revoke(ledger, TEST, name)
    assert next(key_rows.listing(ledger)).revoked_ms is not None


def test_a_name_alone_opens_nothing(ledger: Ledger) -> None:
    one, two = make_key(ledger), make_key(ledger)
    guessed = "_".join([*one.split("_")[:2], two.split("_")[2]])
    guessed += f"_{hashlib.sha256(guessed.encode()).hexdigest()[:6]}"
    assert form.read(guessed) is not None  # well spelt, under a name that there is
    for text in ("", one[:-1], guessed, one.upper(), f"{one}\n"):
        assert not is_open(ledger, text)


# --- what is kept -------------------------------------------------------------------------------


def test_the_ledger_holds_no_secret_in_clear(ledger: Ledger, tmp_path: Path) -> None:
    code = setup.new_code(ledger, TEST)
    anna = redeem(ledger, code)
    bert, handed = people.add(ledger, TEST, "bert", None, role=Role.VIEWER, grants={})
    key = make_key(ledger)
    rotated = keys.rotate(ledger, TEST, keys.recognise(ledger, key).name)
    session = sign_in(ledger)
    with pytest.raises(AccessError):
        sign_in(ledger, "my-password-in-the-wrong-field", OTHER)
    people.reset(ledger, TEST, bert, OTHER)
    secrets = [code, tokens.as_meant(code), GOOD, OTHER, handed, session, key, rotated]
    secrets += [key.split("_")[2], rotated.split("_")[2], tokens.form_word(session)]
    secrets.append("my-password-in-the-wrong-field")
    ledger.checkpoint()
    kept = b"".join(
        (tmp_path / name).read_bytes() for name in os.listdir(tmp_path) if name.startswith("ledger")
    )
    assert anna.password.encode() in kept  # the hash is: so this would find what is there
    assert [secret for secret in secrets if secret.encode() in kept] == []
    assert rows.found(ledger, session) is None  # a digest is no cookie


def test_every_deed_is_in_the_audit_log(ledger: Ledger) -> None:
    anna = redeem(ledger, setup.new_code(ledger, TEST))
    bert, _ = people.add(ledger, TEST, "bert", None, role=Role.VIEWER, grants={})
    people.change(ledger, TEST, bert, role=Role.OPERATOR, grants={})
    people.reset(ledger, TEST, bert, OTHER)
    with pytest.raises(SignInWrong):
        sign_in(ledger, "bert", GOOD)
    held = sessions.whose(ledger, sign_in(ledger, "bert", OTHER))
    assert held is not None
    people.change_password(ledger, TEST, held.account, old=OTHER, new=GOOD, session=0)
    sessions.end(ledger, TEST, held.session, of="bert")
    held = sessions.whose(ledger, sign_in(ledger, "bert", GOOD))
    assert held is not None
    sessions.end(ledger, TEST, held.session, of="bert")
    sessions.end_all(ledger, TEST, anna)
    people.remove(ledger, TEST, bert)
    name = keys.recognise(ledger, make_key(ledger)).name
    keys.rotate(ledger, TEST, name)
    keys.revoke(ledger, TEST, name)
    assert [entry.did for entry in reversed(audit.page(ledger))] == [
        "setup-code-made",
        "account-added",
        "set-up",
        "account-added",
        "account-changed",
        "password-reset",
        "sign-in-failed",
        "signed-in",
        "password-changed",
        "signed-in",
        "signed-out",
        "signed-out-everywhere",
        "account-removed",
        "key-made",
        "key-rotated",
        "key-revoked",
    ]
    assert audit.verify(ledger).length == 16
