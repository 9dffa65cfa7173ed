"""Times put in order, text left in order."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from appliance.export.units import Unit, units
from appliance.nouns import Word
from tests.export import speech


def heard(text: str, words: list[Word], *, start: float = 0, end: float = 9) -> list[Unit]:
    return units(speech.transcript(speech.segment(text, start, end, words)), 42)


def times(found: list[Unit]) -> list[tuple[str, int, int]]:
    return [(unit.text, unit.start, unit.end) for unit in found]


def test_a_token_takes_the_times_of_the_words_it_is_made_of() -> None:
    words = [speech.word(" don", 1, 1.5), speech.word("'t", 1.5, 2), speech.word(" go", 2, 3)]
    assert times(heard(" don't go", words)) == [("don't", 1000, 2000), ("go", 2000, 3000)]


def test_without_word_times_the_segment_is_spread_over_its_letters() -> None:
    assert times(heard(" ab cdef", [], start=1, end=4)) == [
        ("ab", 1000, 2000),
        ("cdef", 2000, 4000),
    ]


def test_words_of_another_text_are_not_believed() -> None:
    words = [speech.word(" old", 0, 1)]
    assert times(heard(" a bc", words, end=3)) == [("a", 0, 1000), ("bc", 1000, 3000)]


@pytest.mark.parametrize("start", [0.0, math.nan, math.inf, -5.0, 1e300])
def test_starts_only_grow_and_ends_never_pass_the_next_start(start: float) -> None:
    words = [speech.word(f" {t}", s, e) for t, s, e in [("a", 5, 9), ("b", start, 6), ("c", 5, 5)]]
    found = heard(" a b c", words)
    assert [unit.text for unit in found] == ["a", "b", "c"]
    assert all(a.start < b.start and a.start <= a.end <= b.start for a, b in pairwise(found))


def test_a_word_that_swallowed_silence_ends_when_a_word_ends() -> None:
    assert times(heard(" so", [speech.word(" so", 0, 9)])) == [("so", 0, 2000)]


def test_a_word_stays_within_its_segment() -> None:
    words = [speech.word(" a", 0, 1), speech.word(" b", 500, 501)]
    assert [unit.start for unit in heard(" a b", words)] == [0, 9000]


def test_japanese_may_break_between_letters_but_not_before_closing_marks() -> None:
    assert [unit.text for unit in heard("「本」です。ちゃん", [])] == [
        "「本」", "で", "す。", "ちゃ", "ん",
    ]  # fmt: skip


def test_thai_breaks_between_its_words_only() -> None:
    words = [speech.word("วันนี้", 0, 1), speech.word("เรา", 1, 2)]
    assert [unit.text for unit in heard("วันนี้เรา", words)] == ["วันนี้", "เรา"]


def test_a_long_address_stays_whole_and_a_long_thai_text_does_not() -> None:
    address = "https://example.org/" + "x" * 60
    assert [unit.text for unit in heard(f" {address}", [])] == [address]
    assert len(heard("ก" * 100, [])) == 3


def test_an_accent_never_leaves_its_letter() -> None:
    assert all(unit.text[0] != "\u0301" for unit in heard("日\u0301本\u0301" * 40, []))
