"""Readiness is asked once a second, however many want to know."""

from __future__ import annotations

from appliance.errors import ApplianceError, LedgerBusy
from web.asked import Answers, Asked


def test_the_answer_of_a_second_serves_everybody_who_asks_in_it() -> None:
    now, count = [100.0], 0

    def ask() -> Answers:
        nonlocal count
        count += 1
        trouble: ApplianceError | None = None if count == 1 else LedgerBusy()
        return {"ledger": trouble}

    asked = Asked(ask, lambda: now[0])
    assert [asked.answers()["ledger"] for _ in range(5)] == [None] * 5
    now[0] += 0.9
    asked.answers()
    assert count == 1
    now[0] += 0.1
    assert asked.answers()["ledger"] is not None
    assert count == 2
