"""Where a line ends well."""

from __future__ import annotations

import pytest

from appliance.export import phrases
from appliance.export.units import units
from tests.export import speech


def price(text: str, language: str = "en") -> float:
    """What it costs to end a line at the bar in `text`."""
    before, _ = text.split(" | ")
    found = units(speech.spoken(text.replace(" |", "")), 42)
    return phrases.endings(found, language)[len(before.split()) - 1]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("It is late. | Go home", "Well, | go home"),
        ("Well, | go home", "we went | and came"),
        ("we went | and came", "we all | went home"),
        ("we all | went home", "Ada | Lovelace came"),
        ("we all | went home", "we went and | came"),
        ("went out of | town", "went to the | town"),
        ("he said “no.” | Then", "he said | no"),
    ],
)
def test_one_place_reads_better_than_another(better: str, worse: str) -> None:
    assert price(better) < price(worse)


def test_a_title_is_no_end_of_a_sentence() -> None:
    assert price("with Dr. | House", "en") == phrases.ARTICLE


def test_articles_are_those_of_the_language() -> None:
    assert price("sah die | Frau", "de") == phrases.ARTICLE
    assert price("to die | young", "en") < phrases.ARTICLE


def test_german_nouns_are_no_names() -> None:
    assert price("Haus | Garten", "de") < price("Haus | Garten", "en")
