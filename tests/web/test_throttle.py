"""How often one may try, and how often one may ask; the hour is an argument."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from appliance.errors import SignInSlow, SignInWrong
from appliance.rights import Right
from tests import signed_in
from tests.web.box import Box
from web import create_app, db
from web.access import throttle
from web.access.throttle import Throttle

HERE, THERE = "10.0.0.7", "10.0.0.8"


@dataclass
class Clock:
    """Seconds, as the tests say them."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def wait(known: Throttle, name: str, address: str) -> float:
    """How long it takes until the next attempt counts."""
    try:
        known.check(name, address)
    except SignInSlow as slow:
        return float(slow.detail["seconds"])
    return 0.0


def fail(known: Throttle, times: int, name: str = "@anna", address: str = HERE) -> None:
    for _ in range(times):
        known.failed(name, address)


def test_the_first_failures_cost_nothing_then_each_doubles_the_wait() -> None:
    known = Throttle(Clock())
    waits = []
    for _ in range(10):
        fail(known, 1)
        waits.append(wait(known, "@anna", HERE))
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32]
    fail(known, 50)
    assert wait(known, "@anna", HERE) == 900


def test_a_wait_passes_and_an_hour_without_failures_forgets() -> None:
    clock = Clock()
    known = Throttle(clock)
    fail(known, 8)
    clock.now += 8
    assert wait(known, "@anna", HERE) == 0
    fail(known, 1)
    assert wait(known, "@anna", HERE) == 16
    clock.now += 3601
    fail(known, 1)
    assert wait(known, "@anna", HERE) == 0


def test_somebody_elsewhere_does_not_keep_the_owner_out() -> None:
    known = Throttle(Clock())
    fail(known, 49)
    assert wait(known, "@anna", THERE) == 0
    fail(known, 10_000)
    assert wait(known, "@anna", THERE) == 30  # half a minute, whatever they do


def test_many_names_from_one_address_are_slowed_down_as_well() -> None:
    known = Throttle(Clock())
    for number in range(25):
        fail(known, 1, name=f"@user{number}")
    assert wait(known, "@somebody-new", HERE) == 32
    assert wait(known, "@somebody-new", THERE) == 0


def test_whoever_knew_it_begins_anew_but_not_for_their_address() -> None:
    known = Throttle(Clock())
    fail(known, 6)
    known.succeeded("@anna", HERE)
    assert wait(known, "@anna", HERE) == 0
    fail(known, 14)
    known.succeeded("@anna", HERE)
    assert wait(known, "@anna", HERE) > 0  # a known password does not cover guesses at others


def test_a_flood_of_names_fills_no_memory() -> None:
    known = Throttle(Clock())
    for number in range(30_000):
        known.failed(f"@{number}", HERE)
    assert len(known._counts) <= 10_000


@pytest.mark.parametrize("name", ["", "@", "x" * 5000, "\x00"])
def test_no_name_falls_into_the_bucket_of_an_address(box: Box, name: str) -> None:
    app = create_app(box.settings, clock=Clock())
    with app.app_context():
        for _ in range(6):
            with pytest.raises(SignInWrong), throttle.attempt(name, THERE):
                raise SignInWrong
            if _ >= 4:
                break
        with pytest.raises(SignInSlow), throttle.attempt(name, THERE):
            pass
        with throttle.attempt("somebody else", THERE):
            pass
    db.close(app)


def test_more_passwords_at_once_than_there_is_memory_for_wait(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "_PATIENCE_SECONDS", 0.01)
    app = create_app(box.settings, clock=Clock())
    with app.app_context():
        with throttle.attempt("a", HERE), throttle.attempt("b", HERE):  # noqa: SIM117
            with pytest.raises(SignInSlow), throttle.attempt("c", HERE):
                pass
        with throttle.attempt("c", HERE):
            pass
    db.close(app)


def test_a_program_gone_wild_is_stopped_and_nobody_else_with_it(box: Box) -> None:
    app = create_app(box.settings, clock=itertools.count().__next__, per_minute=4)
    wild, other = signed_in.key(box.ledger, Right.READ), signed_in.key(box.ledger, Right.READ)
    with app.test_client() as client:
        statuses = [
            client.get(address, headers=wild).status_code
            for address in ("/api/v1/jobs", "/api/v1/jobs?limit=1", "/api/v1/status", "/readyz") * 2
        ]
        assert statuses == [200] * 4 + [429] * 4
        told = client.get("/api/v1/jobs", headers=wild)
        assert told.mimetype == "application/problem+json"
        assert int(told.headers["Retry-After"]) <= 61
        assert "ask more often" in told.text
        assert client.get("/api/v1/jobs", headers=other).status_code == 200
        assert client.get("/login").status_code in (200, 303)
        with client.get("/static/page.css", headers=wild) as style:
            assert style.status_code == 200
    db.close(app)
