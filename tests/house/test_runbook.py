"""The runbook has an entry for each code that a person can meet, and for no other."""

from __future__ import annotations

import os
import re

import pytest

from appliance.errors import CATALOGUE, WARNINGS
from appliance.health.checks import NAMED

FILE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "runbook.md")
CODES = [*NAMED, *CATALOGUE, *WARNINGS]
TOLD = ("means", "meanwhile", "look", "do", "over")  # what an entry, or its chapter, has to say


def entries() -> dict[str, tuple[str, str]]:
    """Each code of the runbook → its entry, and the head of its chapter."""
    with open(FILE, encoding="utf-8") as stream:
        chapters = re.split(r"^## .*\n", stream.read(), flags=re.MULTILINE)[1:]
    found = {}
    for chapter in chapters:
        head, *parts = re.split(r"^### ", chapter, flags=re.MULTILINE)
        for part in parts:
            code, _, text = part.partition("\n")
            assert code not in found, f"{code} has two entries"
            found[code] = (text, head)
    return found


ENTRIES = entries()


def test_no_entry_is_without_a_code() -> None:
    assert ENTRIES.keys() - set(CODES) == set()


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_an_entry_that_says_what_somebody_needs_at_night(code: str) -> None:
    assert code in ENTRIES, f"docs/runbook.md has no «### {code}»"
    text, head = ENTRIES[code]
    said = {word.lower() for word in re.findall(r"\*\*([A-Za-z]+)\*\*", f"{text} {head}")}
    assert set(TOLD) <= said, f"{code} does not say: {set(TOLD) - said}"
    own = {word.lower() for word in re.findall(r"\*\*([A-Za-z]+)\*\*", text)}
    assert {"means", "do"} <= own, f"{code} must say itself what it means and what to do"


def test_what_points_into_the_runbook_points_at_something() -> None:
    with open(FILE, encoding="utf-8") as stream:
        named = set(re.findall(r"\]\(#([a-z.-]+)\)", stream.read()))
    assert named
    assert named <= {code.replace(".", "") for code in ENTRIES}


def test_every_alert_of_a_prometheus_is_in_it() -> None:
    rules = os.path.join(os.path.dirname(FILE), "..", "config/prometheus/appliance.rules.yml")
    with open(rules, encoding="utf-8") as stream:
        alerts = set(re.findall(r"- alert: (\w+)", stream.read()))
    with open(FILE, encoding="utf-8") as stream:
        assert alerts == set(re.findall(r"`(Appliance[A-Z]\w+)`", stream.read()))
