"""Readiness is asked once a second, however many want to know."""

from __future__ import annotations

from appliance.errors import LedgerBusy
from appliance.health.checks import Seen
from appliance.health.finding import named
from web.asked import Asked

WELL = Seen((), frozenset(), ready=True)
BUSY = Seen((named("ledger", LedgerBusy(seconds=2)),), frozenset(), ready=False)


def test_the_answer_of_a_second_serves_everybody_who_asks_in_it() -> None:
    now, count = [100.0], 0

    def ask() -> Seen:
        nonlocal count
        count += 1
        return WELL if count == 1 else BUSY

    asked = Asked(ask, lambda: now[0])
    assert [asked.seen() for _ in range(5)] == [WELL] * 5
    now[0] += 0.9
    asked.seen()
    assert count == 1
    now[0] += 0.1
    assert asked.seen() is BUSY
    assert count == 2
